"""The part that changes every cell of the key store's records, in a real SQLite file."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from campaigns.frame.campaign import Figures
from campaigns.frame.run import Run
from mycelium_fractal_net import initialise
from mycelium_fractal_net.security.errors import (
    InvalidInputError,
    KeyNotFoundError,
    StoreError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_providers import StoredKeyProvider
from mycelium_fractal_net.security.signatures.signing_key import SigningKey

Value = bytes | str | int | None
_REFUSED: Final = (StoreError, StoreIntegrityError, KeyNotFoundError)
_QUICK_STEP: Final = 53  # one change of so many
_HINTS: Final = {
    "generation": "when a process reads it again, a hint",
    "due_at": "when a scheduler looks at it, a hint",
}


def changed_cells(value: Value) -> Iterator[Value | tuple[bytes]]:
    """Each bit of a value, nothing in its place, other types. What may be no text is a tuple."""
    if isinstance(value, bytes | str):
        raw = value.encode() if isinstance(value, str) else value
        for at in range(len(raw)):
            for bit in range(8):
                other = raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :]
                yield (other,) if isinstance(value, str) else other
        yield from (raw[:-1] if isinstance(value, bytes) else value[:-1], None, 1)
    else:
        if value is not None:
            yield from (value ^ 1 << bit for bit in range(63))
            yield from (None, -value - 1, "x", b"x")
        else:
            yield from (0, 1, 1 << 40, "", "x", b"", b"x")


class Store:
    """A store with a record of each kind, and its file to write to behind its back."""

    def __init__(self, home: Path) -> None:
        shutil.rmtree(home, ignore_errors=True)
        self.keyring = initialise(home=home)
        provider = self.keyring.provider
        assert isinstance(provider, StoredKeyProvider)
        self.provider = provider
        credential, _ = provider.credentials.create("billing", ("encrypt:*", "keys:read"))
        key = SigningKey.from_private_bytes("Ed25519", bytes([7]) * 32)
        provider.signers.add("peer", key.public.pem(), credentials=(credential.credential_id,))
        provider.imports.begin("brought", "encryption", method="hpke")
        (path,) = [each for each in home.iterdir() if each.suffix in (".db", ".sqlite")]
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.execute("PRAGMA synchronous=OFF")
        self.database.execute("PRAGMA foreign_keys=OFF")
        self.database.execute("PRAGMA ignore_check_constraints=ON")

    def tables(self) -> dict[str, Callable[[], object]]:
        """Each table with what reads its records as a process does that just started."""
        provider = self.provider
        keys = provider.keys

        def with_material() -> list[object]:
            return [(key, [keys.unwrap(key, each) for each in key.versions]) for key in keys.all()]

        return {
            "mfn_keys": with_material,
            "mfn_key_versions": with_material,
            "mfn_credentials": lambda: list(provider.credentials.all()),
            "mfn_signers": lambda: list(provider.signers.all()),
            "mfn_pending_imports": lambda: list(provider.imports.all()),
        }

    def cells(self, table: str) -> list[tuple[int, str, Value]]:
        """Every cell of a table: the row's number, its column, its value."""
        found = self.database.execute(f"SELECT rowid, * FROM {table}")
        names = [each[0] for each in found.description][1:]
        return [
            (row[0], name, value)
            for row in found.fetchall()
            for name, value in zip(names, row[1:], strict=True)
        ]

    def put(self, table: str, row: int, column: str, value: Value | tuple[bytes]) -> bool:
        """Write a cell; False where the database itself refuses it."""
        marker = "CAST(? AS TEXT)" if isinstance(value, tuple) else "?"
        plain = value[0] if isinstance(value, tuple) else value
        statement = f'UPDATE {table} SET "{column}" = {marker} WHERE rowid = ?'
        try:
            self.database.execute(statement, (plain, row))
        except (sqlite3.IntegrityError, OverflowError):
            return False
        return True


def every_cell(run: Run) -> Figures:
    """Each changed cell has its record refused, or changes nothing of what is read."""
    store = Store(run.folder / "home")
    counts: dict[str, dict[str, Any]] = {}
    failures: list[str] = []
    for table, read in store.tables().items():
        count = counts[table] = {"changes": 0, "refused": 0, "by the database": 0, "harmless": {}}
        before = read()
        changes = [
            (row, column, value, other)
            for row, column, value in store.cells(table)
            for other in changed_cells(value)
        ]
        for number, (row, column, value, other) in enumerate(changes):
            if run.quick and number % _QUICK_STEP:
                continue
            count["changes"] += 1
            if not store.put(table, row, column, other):
                count["by the database"] += 1
                continue
            reason = _ended(read, before)
            store.put(table, row, column, value)
            if reason is None:
                count["refused"] += 1
            elif reason == "" and column in _HINTS:
                count["harmless"][_HINTS[column]] = count["harmless"].get(_HINTS[column], 0) + 1
            elif reason == "":
                same = f"the same value, written otherwise: {column}"
                count["harmless"][same] = count["harmless"].get(same, 0) + 1
            else:
                failures.append(f"{table}.{column}: {reason}: {value!r} to {other!r}"[:300])
            run.progress(number + 1, len(changes), table)
        if read() != before:
            failures.append(f"{table}: it does not read as before")
    store.keyring.close()
    store.database.close()
    return {"tables": counts, "failures": failures[:20]}


def _ended(read: Callable[[], object], before: object) -> str | None:
    """None where it is refused, nothing where it reads as before, else what is wrong."""
    try:
        found = read()
    except (*_REFUSED, InvalidInputError) as error:
        return None if isinstance(error, _REFUSED) else f"{type(error).__name__}"
    except Exception as error:
        return f"{type(error).__name__}, not its error"
    return "" if found == before else "another record is taken"
