"""What the children do: each operation says what it is about to change, and what it has changed.

``tell.begun()`` stands where the operation itself begins; what is before it is never killed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net import KeyState, Verb
from mycelium_fractal_net.columns import MessageColumn, rewrap_column, take_over_column
from mycelium_fractal_net.columns.plaintext import sealed_in
from mycelium_fractal_net.files import rewrap_paths
from mycelium_fractal_net.legacy.columns import commit_column, migrate_column, roll_back_column
from mycelium_fractal_net.legacy.files import commit_xor, migrate_xor, roll_back_xor
from tests.torture.place import (
    FIELD,
    INDEX,
    SIDE_TABLE,
    Place,
    put_old_files,
    put_old_letters,
    put_plain_accounts,
)
from tests.torture.retiring import (
    backup,
    destroy,
    erase,
    look,
    open_audit,
    rotate_due,
    rotated,
)

if TYPE_CHECKING:
    import random

    from tests.torture.killing import Tell

__all__ = ["BESIDE", "OPERATIONS", "Operation"]

Operation = Callable[[Place, "Tell", "random.Random"], None]


def rotate(place: Place, tell: Tell, draw: random.Random) -> None:
    """A new version, and a message under it."""
    key = draw.choice(["orders", "release", "tags"])
    with place.open() as keyring:
        open_audit(keyring.provider, draw)
        tell.begun()
        number = rotated(keyring.provider, key, tell)
        if key == "orders":
            plain = os.urandom(16)
            sealed = keyring.encrypt(plain, key_id=key)
            by = keyring.describe(sealed).version
            if by < number:
                raise AssertionError(f"sealed under v{by} after v{number} was made")
            tell("sealed", sealed.hex(), plain.hex(), key, by)


def seal(place: Place, tell: Tell, draw: random.Random) -> None:
    """Messages of both kinds, with their counts."""
    with place.open() as keyring:
        tell.begun()
        for _ in range(draw.randint(1, 4)):
            plain = os.urandom(draw.choice([1, 100, 1000]))
            sealed = keyring.encrypt(plain, key_id="orders")
            by = keyring.describe(sealed).version
            tell("sealed", sealed.hex(), plain.hex(), "orders", by)
        result = keyring.encrypt_result(b"raw", key_id="orders", format="raw")
        number = int(result.key_id.rpartition("v")[2])
        tell("raw", keyring.provider.keys.get("orders").version(number).handle.hex())


def rewrap_files(place: Place, tell: Tell, draw: random.Random) -> None:
    """A folder of files moves to a version that is new, or goes on where a kill stopped it."""
    with place.open() as keyring:
        if "rewrap files" not in place.ledger.unfinished:
            rotated(keyring.provider, "files", tell)
        tell("unfinished", "rewrap files")
        newest = keyring.provider.keys.get("files").latest.version
        tell.begun()
        report = rewrap_paths(keyring, [place.files], workers=draw.choice([1, 2]))
        if report.failed:
            raise AssertionError(f"not moved: {report.failed}")
        for path in place.files.rglob("*.mfn"):
            at = keyring.describe(path.read_bytes()[:116]).version
            if at < newest:
                raise AssertionError(f"{path} is at v{at} after all went to v{newest}")
        tell("finished", "rewrap files")


def rewrap_rows(place: Place, tell: Tell, draw: random.Random) -> None:
    """A column moves to a version that is new, or goes on where a kill stopped it."""
    with place.open() as keyring:
        if "rewrap rows" not in place.ledger.unfinished:
            rotated(keyring.provider, "rows", tell)
        tell("unfinished", "rewrap rows")
        newest = keyring.provider.keys.get("rows").latest.version
        workers = draw.choice([1, 2])
        column = MessageColumn(place.rows_url, "people", "value")
        tell.begun()
        report = rewrap_column(keyring, column, workers=workers)
        if report.failed:
            raise AssertionError(f"not moved: {report.failures}")
        tell("finished", "rewrap rows")
        at = {keyring.describe(value).version for value in place.rows("people").values()}
        if min(at) < newest:
            raise AssertionError(f"rows are at v{min(at)} after all went to v{newest}")


def take_over(place: Place, tell: Tell, draw: random.Random) -> None:
    """A column of plaintext is sealed, beside its tags, or goes on where a kill stopped it."""
    with place.open() as keyring:
        if "take over" not in place.ledger.unfinished:
            put_plain_accounts(place)
        tell("unfinished", "take over")
        column = MessageColumn(place.rows_url, "accounts", "value", field=FIELD)
        tell.begun()
        report = take_over_column(keyring, column, "accounts", workers=draw.choice([1, 2]))
        if report.failed:
            raise AssertionError(f"not sealed: {report.failures}")
        tell("finished", "take over")


def rewrap_field(place: Place, tell: Tell, draw: random.Random) -> None:
    """Both keys of a field get a version that is new, and the index's is stored in the end."""
    with place.open() as keyring:
        keys = keyring.provider.keys
        if "rewrap field" not in place.ledger.unfinished:
            rotated(keyring.provider, "accounts", tell)
        tell("unfinished", "rewrap field")
        waits = keys.get(INDEX).latest.state is KeyState.PRE_ACTIVATION
        column = MessageColumn(place.rows_url, "accounts", "value", field=FIELD)
        tell.begun()
        if not waits:
            keyring.provider.rotate_key(INDEX)
            keyring.refresh()
        report = rewrap_column(keyring, column, workers=draw.choice([1, 2]))
        plain = [each for each in place.rows("accounts").values() if sealed_in(each, 32) is None]
        if report.failed != len(plain):
            raise AssertionError(f"not moved: {report.failures}")
        if not plain:
            latest = keys.get(INDEX).latest
            keyring.provider.states.apply(Verb.ACTIVATE, f"{INDEX}:v{latest.version}")
        tell("finished", "rewrap field")


def migrate_files(place: Place, tell: Tell, draw: random.Random) -> None:
    """Files leave the XOR cipher; then what was kept goes, or all goes back."""
    with place.open() as keyring:
        kept = any(path.suffix == ".xor-old" for path in place.old_files.iterdir())
        if "migrate files" not in place.ledger.unfinished and kept:
            # What a killed rollback has put back is kept beside itself, which is no commit's.
            back = "roll back files" in place.ledger.unfinished
            commit = "commit files" in place.ledger.unfinished or draw.random() < 0.5
            commit = commit and not back
            step = commit_xor if commit else roll_back_xor
            tell("unfinished", "commit files" if commit else "roll back files")
            tell.begun()
            report = step(keyring, [place.old_files], workers=2)
        else:
            if not kept and "commit files" in place.ledger.unfinished:
                put_old_files(place)
                tell("finished", "commit files")
            tell("unfinished", "migrate files")
            tell.begun()
            report = migrate_xor(keyring, [place.old_files], key_id="orders", workers=2)
            tell("finished", "migrate files")
        tell("finished", "roll back files")  # whatever ran has swept what that had left
        if report.failed:
            raise AssertionError(f"not moved: {report.failed}")


def migrate_rows(place: Place, tell: Tell, draw: random.Random) -> None:
    """A column leaves the XOR cipher; then what was kept goes, or all goes back."""
    column = MessageColumn(place.rows_url, "letters", "value")
    with place.open() as keyring:
        kept = SIDE_TABLE in place.tables()
        if "migrate rows" not in place.ledger.unfinished and kept:
            workers = draw.choice([1, 2])
            if "commit rows" in place.ledger.unfinished or draw.random() < 0.5:
                tell("unfinished", "commit rows")
                tell.begun()
                report = commit_column(keyring, column, workers=workers)
            else:
                tell.begun()
                report = roll_back_column(keyring, column, workers=workers)
        else:
            if not kept and "commit rows" in place.ledger.unfinished:
                put_old_letters(place)
                tell("finished", "commit rows")
            tell("unfinished", "migrate rows")
            tell.begun()
            report = migrate_column(keyring, column, "orders", workers=2)
            tell("finished", "migrate rows")
        if report.failed:
            raise AssertionError(f"not moved: {report.failures}")


def move_master(place: Place, tell: Tell, draw: random.Random) -> None:
    """The whole store moves under a new master key, or goes on doing so."""
    with place.open() as keyring:
        tell("unfinished", "master")
        open_audit(keyring.provider, draw)
        tell.begun()
        keyring.provider.master_keys.rotate()
        tell("finished", "master")


OPERATIONS: Final[dict[str, tuple[Operation, int]]] = {
    "rotate": (rotate, 6),
    "seal": (seal, 2),
    "rotate what is due": (rotate_due, 4),
    "cleanup: to pending": (destroy, 3),
    "cleanup: erase": (erase, 2),
    "rewrap files": (rewrap_files, 3),
    "rewrap rows": (rewrap_rows, 3),
    "take over": (take_over, 2),
    "rewrap field": (rewrap_field, 2),
    "migrate files": (migrate_files, 3),
    "migrate rows": (migrate_rows, 3),
    "backup": (backup, 2),
    "master key": (move_master, 1),
}
"""By name, with how often each is drawn."""

BESIDE: Final[dict[str, Operation]] = {"rotate": rotate, "seal": seal, "a scheduler": look}
"""What may run beside one that is killed, to its end."""
