"""The works whose system calls are refused: what is run, what is true before and after it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.security.audit import query
from tests.torture.checks import check_backups
from tests.torture.command import COMMANDS, Said
from tests.torture.ledger import Fact, VersionLedger
from tests.torture.place import Place


def _nothing(_: Place) -> None:
    """There is nothing to do."""


@dataclass(frozen=True, slots=True)
class Work:
    """One command. ``begin`` prepares a store for it; ``see`` raises where its own result is bad.

    ``asked`` gives its arguments, what is true from its beginning on, and what after a success.
    """

    name: str
    asked: Callable[[Place], Said]
    begin: Callable[[Place], None] = _nothing
    see: Callable[[Place], None] = _nothing
    changes_schema: bool = False


# One audit write ------------------------------------------------------------------------------


def _exportable(place: Place) -> None:
    """A key that may leave: an export changes no key, and is a record of the audit log."""
    with place.open() as keyring:
        keyring.provider.keys.create("shared", exportable=True)
    place.ledger.keys["shared"] = VersionLedger()
    folder = place.folder / "exports"
    folder.mkdir()
    public = X25519PrivateKey.generate().public_key()
    folder.joinpath("to.pem").write_bytes(
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )


def _export(place: Place) -> Said:
    folder = place.folder / "exports"
    target = folder / secrets.token_hex(8)
    return ["key", "export", "shared", "--to", str(folder / "to.pem"), "-o", str(target)], [], []


def _each_export_is_on_record(place: Place) -> None:
    """Nobody has a key of which the log does not say so."""
    there = [path for path in place.folder.joinpath("exports").iterdir() if path.name != "to.pem"]
    settings = load_settings(home=place.home, store=place.url, environ={})
    records = query(settings.audit_folder, limit=1_000)
    said = sum(record["event"] == "key.export" for record in records)
    if len([path for path in there if path.stat().st_size]) > said:
        raise AssertionError(f"{len(there)} exports, of which the log has {said}")


# Moving out of the XOR cipher ------------------------------------------------------------------


def _migrate_column(place: Place) -> Said:
    where = ["--database", place.rows_url, "--table", "letters", "--column", "value"]
    before: list[Fact] = [("unfinished", "migrate rows")]
    arguments = ["migrate-xor", *where, "-k", "orders", "--workers", "1", "--yes"]
    return arguments, before, [("finished", "migrate rows")]


def _migrate_files(place: Place) -> Said:
    arguments, before, after = COMMANDS["migrate-xor"](place)
    return [*arguments, "--workers", "1", "--yes"], before, after


# The store's own schema ------------------------------------------------------------------------


def _older(place: Place) -> None:
    """Have the store as schema 0010 has it, with all that is in it."""
    from mycelium_fractal_net.security.key_store import Database

    database = Database(place.url)
    with database.write() as connection:
        for statement in (
            "DROP TABLE mfn_acknowledged_findings",
            "ALTER TABLE mfn_key_versions DROP COLUMN external",
            "ALTER TABLE mfn_key_versions DROP COLUMN external_gone_at",
            "UPDATE mfn_schema_version SET version_num = '0010'",
        ):
            connection.exec_driver_sql(statement)
    database.close()


def _init(_: Place) -> Said:
    return ["init"], [], []


WORKS: Final[tuple[Work, ...]] = (
    Work("rotation", COMMANDS["key rotate"]),
    Work("audit write", _export, _exportable, _each_export_is_on_record),
    Work("backup", COMMANDS["backup"], see=check_backups),
    Work("migrate files", _migrate_files),
    Work("migrate column", _migrate_column),
    Work("schema upgrade", _init, _older, changes_schema=True),
)
"""``mfn key rotate``, ``key export``, ``backup``, ``migrate-xor`` twice, and ``init``."""
