"""What must hold after every kill, and what is looked at less often because it takes longer."""

from __future__ import annotations

import base64
import contextlib
import re
import shutil
import sqlite3
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net import open_keyring
from mycelium_fractal_net.bootstrap import audit_log, audit_report, restore, verify_backup_file
from mycelium_fractal_net.columns.plaintext import sealed_in
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.security.audit import query
from mycelium_fractal_net.security.audit.folders import chain_folders
from mycelium_fractal_net.security.records.keys import KeyState
from tests.torture.killing import forked
from tests.torture.place import FIELD, INDEX, ROWS, SIDE_TABLE, file_contents, old_values

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from mycelium_fractal_net.config import Settings
    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from mycelium_fractal_net.security.records.keys import Key
    from tests.torture.ledger import Ledger, Message, VersionLedger
    from tests.torture.place import Place

__all__ = ["check", "check_backups", "check_store", "check_whole"]

_SAMPLE: Final = 6
_HOME: Final = re.compile(
    r"keys\.db(-wal|-shm|\.lock|\.move)?|master\.key(\.lock)?|audit|first-api-key|(xor-kept|takeovers)\.(json|new)"
)
_MASTER_KEY_IN_WORK: Final = re.compile(r"\.master\.key\.[0-9a-f]{8}")
_RESOLVED: Final = ("done", "not-done", "superseded", "interrupted", "unknown")
_LEFTOVER: Final = ".mfn-partial"


class TortureError(AssertionError):
    """Something that was acknowledged is lost, or something half-written is left."""


def _insist(condition: object, what: str) -> None:
    if not condition:
        raise TortureError(what)


def check(place: Place, keyring: Keyring, draw: random.Random) -> None:
    """What costs little: the keys, some messages and the counts."""
    keyring.refresh()
    ledger = place.ledger
    for name, known in ledger.keys.items():
        _check_key(keyring.provider.keys.get(name), known)
    newest = ledger.messages[-2:]
    for message in newest + draw.sample(ledger.messages, min(_SAMPLE, len(ledger.messages))):
        _check_message(keyring, message)
    for handle, used in ledger.raw.items():
        _insist(keyring.usage.raw_reserved(handle) >= used, "raw messages are not counted")
    _check_old_files(place, keyring)
    _check_old_rows(place, keyring)


def _check_key(key: Key, known: VersionLedger) -> None:
    numbers = [version.version for version in key.versions]
    _insist(numbers == list(range(1, len(numbers) + 1)), f"{key.key_id} has versions {numbers}")
    handles = {version.handle for version in key.versions}
    _insist(len(handles) == len(numbers), f"two versions of {key.key_id} have one handle")
    latest = key.latest.version
    _insist(
        known.latest <= latest <= known.latest + known.tried,
        f"{key.key_id} is at v{latest}; v{known.latest} was acknowledged, {known.tried} tried",
    )
    _insist(key.primary is key.latest, f"the newest version of {key.key_id} does not protect")
    minimum = key.minimum_versions
    _insist(list(minimum) == sorted(minimum), f"{key.key_id}: {minimum} cross")
    for version in key.versions:
        may_be = known.may_be(version.version)
        _insist(
            version.state in may_be,
            f"{key.key_id}:v{version.version} is {version.state}, not of {sorted(may_be)}",
        )
        erased = version.state is KeyState.DESTROYED
        _insist(erased != bool(version.wrapped), "material and state disagree")
        known.states[version.version] = {version.state}
    # What was seen once must stay.
    known.latest, known.tried = latest, 0


def _check_message(keyring: Keyring, message: Message) -> None:
    plain = keyring.decrypt(message.sealed)
    _insist(plain == message.plain, f"a message of {message.key_id} opens as something else")


def _check_old_files(place: Place, keyring: Keyring) -> None:
    """Each opens under its name, and what it was is kept until somebody gave it up."""
    for number, old in enumerate(old_values()):
        path = place.old_files / str(number)
        kept = path.with_name(f"{number}.xor-old")
        now = path.read_bytes()
        if now == old.encode():
            continue
        _insist(keyring.decrypt(now) == b"old %d" % number, f"{path} opens as something else")
        if "commit files" not in place.ledger.unfinished or kept.exists():
            _insist(kept.read_bytes() == old.encode(), f"{kept} is not what {path} was")


def _check_old_rows(place: Place, keyring: Keyring) -> None:
    side = place.rows(SIDE_TABLE) if SIDE_TABLE in place.tables() else {}
    rows = place.rows("letters")
    for number, old in enumerate(old_values()):
        now = rows[number]
        if now == old.encode():
            continue
        plain = keyring.decrypt(base64.urlsafe_b64decode(now))
        _insist(plain == b"old %d" % number, f"row {number} opens as something else")
        if "commit rows" not in place.ledger.unfinished or number in side:
            _insist(side.get(number) == old.encode(), f"what row {number} was is not kept")


def check_whole(place: Place, keyring: Keyring) -> Counter[str]:
    """Everything, with the store's next start, which resolves what was left open.

    Returns how the changes ended whose processes were killed in the middle.
    """
    for path, plain in file_contents(place.files):
        _insist(keyring.decrypt(path.read_bytes()) == plain, f"{path} opens as something else")
    rows = place.rows("people")
    _insist(len(rows) == ROWS, f"{len(rows)} rows are left")
    for number, value in rows.items():
        _insist(keyring.decrypt(value) == b"row %d" % number, f"row {number} is lost")
    _check_accounts(place, keyring)
    return check_store(place, keyring)


def _check_accounts(place: Place, keyring: Keyring) -> None:
    """Each value is plaintext, or sealed behind a tag by which it is found."""
    rows = place.rows("accounts")
    _insist(len(rows) == ROWS, f"{len(rows)} accounts are left")
    index = keyring.index(key_id=INDEX, context=FIELD.binding)
    for number, value in rows.items():
        plain = b"account %d" % number
        stored = sealed_in(value, FIELD.tag_bytes)
        if stored is None:
            _insist(value == plain, f"account {number} is lost")
            continue
        tag, message = stored[: FIELD.tag_bytes], stored[FIELD.tag_bytes :]
        opened = keyring.decrypt(message, associated_data=FIELD.binding)
        _insist(opened == plain, f"account {number} opens as something else")
        _insist(tag in map(bytes, index.tags(plain)), f"account {number} is not found")


def check_store(place: Place, keyring: Keyring) -> Counter[str]:
    """The same without the application's files and rows."""
    keyring.refresh()
    for name, known in place.ledger.keys.items():
        _check_key(keyring.provider.keys.get(name), known)
    for message in place.ledger.messages:
        _check_message(keyring, message)
    _check_counts(keyring, place.ledger)
    _check_due(keyring, place.ledger)
    _check_folders(place)
    if place.on_sqlite:
        _check_sqlite(place)
    return _check_audit(place, keyring)


def _check_counts(keyring: Keyring, ledger: Ledger) -> None:
    used = {(message.key_id, message.version) for message in ledger.messages}
    keys = {name: keyring.provider.keys.get(name) for name, _ in used}
    handles = [keys[name].version(number).handle for name, number in used]
    counted = {day.handle for day in keyring.usage.days(handles) if day.kind == "protect"}
    _insist(set(handles) <= counted, "a version has sealed and no day of use stands for it")


def _check_due(keyring: Keyring, ledger: Ledger) -> None:
    """One rotation for each time that the key was due, and none is lost."""
    key = keyring.provider.keys.get("due")
    waiting = key.rotation_due <= keyring.provider.store.database.now()
    _insist(
        len(key.versions) - 1 == ledger.due - waiting,
        f"{len(key.versions) - 1} rotations for {ledger.due} due times, {int(waiting)} to come",
    )


def check_backups(place: Place) -> None:
    """Each file is a whole backup; the last that was acknowledged restores to what was then."""
    for path in place.backups.iterdir():
        if path.suffix != ".key":
            with path.open("rb") as reader:
                verify_backup_file(_elsewhere(place, path), reader)
    if not place.ledger.backups:
        return
    path, latest, messages = place.ledger.backups[-1]
    settings = _elsewhere(place, path)
    with path.open("rb") as reader:
        restore(settings, reader)
    with open_keyring(settings=settings) as keyring:
        for name, number in latest.items():
            found = keyring.provider.keys.get(name).latest.version
            _insist(
                found >= number, f"{path} has v{found} of {name}, and v{number} was made before"
            )
        for message in place.ledger.messages[:messages]:
            _check_message(keyring, message)
    shutil.rmtree(settings.home)


def _elsewhere(place: Place, backup: Path) -> Settings:
    """Another machine, with the master key of the time of the backup."""
    home = place.folder / f"home of {backup.name}"
    home.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(backup.with_suffix(".key"), home / "master.key")
    return load_settings(home=home, store=f"sqlite:///{home / 'keys.db'}", environ={})


def _check_folders(place: Place) -> None:
    names = [path.name for path in place.home.iterdir()]
    moving = "master" in place.ledger.unfinished
    stray = [
        name
        for name in names
        if not _HOME.fullmatch(name) and not (moving and _MASTER_KEY_IN_WORK.fullmatch(name))
    ]
    _insist(not stray, f"left in the store's folder: {stray}")
    runs = (
        ({"rewrap files"}, place.files),
        ({"migrate files", "roll back files"}, place.old_files),
    )
    for works, folder in runs:
        if not works & place.ledger.unfinished:
            parts = [path for path in folder.rglob("*") if path.name.endswith(_LEFTOVER)]
            _insist(not parts, f"left by a run that is over: {parts}")


def _check_audit(place: Place, keyring: Keyring) -> Counter[str]:
    # Who starts takes one chain that nobody writes, and resolves what was left open in that one.
    with contextlib.ExitStack() as stack:
        for _ in chain_folders(place.settings.audit_folder):
            log = audit_log(place.settings, keyring.provider)
            stack.callback(log.close)
            log.open()
    report = audit_report(place.settings, keyring.provider)
    _insist(not report.faults, f"the audit chain: {report.faults}")
    records = query(place.settings.audit_folder, limit=1_000_000)
    _check_intents(records)
    _check_rotations(keyring, records)
    return Counter(
        record["outcome"] for record in records if record["outcome"] in _RESOLVED
    ) + Counter(record["event"] for record in records if record["event"] == "audit.torn")


def _check_intents(records: list[dict[str, Any]]) -> None:
    intents = [record for record in records if record["outcome"] == "intent"]
    answers = Counter(
        (record.get("chain"), record["intent"]) for record in records if "intent" in record
    )
    for record in intents:
        place = (record.get("chain"), record["sequence"])
        _insist(answers[place] == 1, f"{answers[place]} outcomes of one intent: {record}")


def _check_rotations(keyring: Keyring, records: list[dict[str, Any]]) -> None:
    """As many rotations as versions; of one that was superseded the log does not say."""
    for key in keyring.provider.keys.all():
        of_key = [
            record["outcome"]
            for record in records
            if record["event"] == "key.rotate"
            and str(record.get("key", "")).partition(":")[0] == key.key_id
        ]
        outcomes = Counter(of_key)
        certain = outcomes["ok"] + outcomes["done"]
        made = len(key.versions) - 1
        _insist(
            certain <= made <= certain + outcomes["superseded"],
            f"{key.key_id} has {made} versions more, and in the log {dict(outcomes)}",
        )


def _check_sqlite(place: Place) -> None:
    for path in (place.home / "keys.db", place.folder / "rows.db"):
        with contextlib.closing(sqlite3.connect(path)) as connection:
            (word,) = connection.execute("PRAGMA integrity_check").fetchone()
        _insist(word == "ok", f"{path.name}: {word}")
    # Whoever opens and closes the file of a database loses the locks that his process has on it
    # (https://sqlite.org/howtocorrupt.html, section 2.2). So another process looks.
    looked = forked(lambda tell: tell("begun") if _holds_erased(place) else None, 0).ended()
    _insist(not looked.said("begun"), "an erased key is in a file")


def _holds_erased(place: Place) -> bool:
    held = b"".join(path.read_bytes() for path in place.home.glob("keys.db*"))
    ledger = place.ledger
    return any(wrapped in held for wrapped, n in ledger.doomed.items() if n in ledger.gone)
