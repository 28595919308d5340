"""Fuzz what reads rows of the key store, of which SQLite keeps any value in any column.

    python -m fuzz store_rows -max_total_time=60 fuzz/corpus/store_rows

The first byte of an input chooses the reader; the rest is MessagePack, the values of the columns. A
finding is an error that is not one of ours, or a record whose own row is another record.
"""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import msgspec

from fuzz.running import Reader, seeds_of
from mycelium_fractal_net.security.errors import MfnError
from mycelium_fractal_net.security.key_store import rows
from mycelium_fractal_net.security.records.credentials import Credential, CredentialState
from mycelium_fractal_net.security.records.imports import PendingImport
from mycelium_fractal_net.security.records.keys import (
    Key,
    KeyState,
    KeyType,
    KeyUse,
    KeyVersion,
    RotationPolicy,
)
from mycelium_fractal_net.security.records.signers import Signer, SignerState

NOW = datetime(2026, 3, 1, tzinfo=UTC)
VERSION = KeyVersion(1, bytes(8), KeyState.ACTIVE, NOW, b"wrapped", None)
KEY = Key(
    "orders", KeyType.ENCRYPTION, KeyUse.DATA, "AES-256-GCM", RotationPolicy(90, 3), NOW, (VERSION,)
)
CREDENTIAL = Credential(
    credential_id="0123456789abcdef", name="billing", digest=bytes(32), scopes=("encrypt:*",),
    state=CredentialState.ACTIVE, created_at=NOW, expires_at=NOW,
)  # fmt: skip
SIGNER = Signer("peer", bytes(44), "Ed25519", ("0123456789abcdef",), False, SignerState.ACTIVE, NOW)
IMPORT = PendingImport(
    import_id="0" * 32, key_id="orders", existing=False, key_type=KeyType.ENCRYPTION,
    use=KeyUse.DATA, algorithm="AES-256-GCM", publish=False, exportable=False, method="hpke",
    public_key=bytes(44), wrapped=b"w", created_at=NOW, expires_at=NOW,
)  # fmt: skip
_OF_KEY = [
    "key_id",
    "key_type",
    "use",
    "algorithm",
    "publish",
    "interval_days",
    "retain_count",
    "auto_destroy",
    "unused_for_days",
    "created_at",
    "revision",
    "generation",
    "master_id",
    "mac",
    "automatic",
    "rotate_at",
    "due_at",
    "exportable",
]


def _values(data: bytes) -> list[Any]:
    try:
        found = msgspec.msgpack.decode(data)
    except (ValueError, RecursionError, msgspec.DecodeError):
        return []
    return found if isinstance(found, list) else []


def key(data: bytes) -> None:
    found = _values(data)
    if len(found) == len(_OF_KEY) + 14:
        read = rows.key_from_rows(found[: len(_OF_KEY)], [found[len(_OF_KEY) :]])
        mine = {**rows.key_row(read), "generation": 1, "mac": b"", "due_at": None}
        again = rows.key_from_rows(
            [mine[each] for each in _OF_KEY],
            [list(rows.version_row(read.key_id, each).values()) for each in read.versions],
        )
        assert again == read, "a finding: its row is another record"
        rows.authenticated_key(read)


def _record(kind: str, example: dict[str, Any], data: bytes) -> None:
    found = _values(data)
    if len(found) == len(example):
        read = dict(zip(example, found, strict=True))
        from_row, row = getattr(rows, f"{kind}_from_row"), getattr(rows, f"{kind}_row")
        record = from_row(SimpleNamespace(**read))
        again = from_row(SimpleNamespace(**row(record)))
        assert again == record, "a finding: its row is another record"


def credential(data: bytes) -> None:
    _record("credential", rows.credential_row(CREDENTIAL), data)


def signer(data: bytes) -> None:
    _record("signer", rows.signer_row(SIGNER), data)


def pending_import(data: bytes) -> None:
    _record("import", rows.import_row(IMPORT), data)


READERS: tuple[Reader, ...] = (key, credential, signer, pending_import)


def one_input(data: bytes) -> None:
    """Run one input; raises only for a finding."""
    if data:
        with contextlib.suppress(MfnError):
            READERS[data[0] % len(READERS)](data[1:])


def seeds() -> dict[str, bytes]:
    """The row of a record for each reader."""
    of_key = {**rows.key_row(KEY), "generation": 1, "mac": b"m", "due_at": None}
    of_version = rows.version_row("orders", VERSION)
    values: dict[Reader, list[Any]] = {
        key: [*(of_key[each] for each in _OF_KEY), *of_version.values()],
        credential: list(rows.credential_row(CREDENTIAL).values()),
        signer: list(rows.signer_row(SIGNER).values()),
        pending_import: list(rows.import_row(IMPORT).values()),
    }
    return seeds_of(READERS, {each: msgspec.msgpack.encode(row) for each, row in values.items()})
