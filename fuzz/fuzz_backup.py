"""Fuzz what reads backups: the header, the sealed rows, and the frames that the key's holder wrote.

    python -m fuzz backup -max_total_time=60 fuzz/corpus/backup

The first byte of an input chooses the reader. A finding is an error that is not one of ours, or
rows from a file other than those that were written here: without the key nobody makes others.
"""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any

from fuzz.running import chosen, seeds_of
from mycelium_fractal_net.security.backup.layout import (
    BackupHeader,
    binding_of,
    context_of,
    encode_frames,
    encode_start,
    read_start,
)
from mycelium_fractal_net.security.backup.opened import OpenedBackup, open_backup
from mycelium_fractal_net.security.errors import DecryptionError, MfnError, StoreIntegrityError
from mycelium_fractal_net.security.key_providers.custodian import (
    Binding,
    Custodian,
    CustodianStatus,
)
from mycelium_fractal_net.security.key_providers.wrapping import Wrapping
from mycelium_fractal_net.security.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mycelium_fractal_net.security.byte_io.buffers import Octets

KEY = hashlib.sha256(b"mycelium-fractal-net test key").digest()
STORE_ID, MASTER_ID, BACKUP_ID = bytes(16), "local:00000000", "0" * 32
POLICY = Policy()
VALUES: list[Any] = [
    {"table": "signers", "columns": ["name", "state"]},
    ["peer", "active"],
    ["other", None],
    {"end": {"signers": 2}},
]


class _Fixed(Custodian):
    """A custodian with one master key that is always the same."""

    scheme = "fixed"

    def newest_id(self) -> str:
        return MASTER_ID

    def holds(self, kek_id: str) -> bool:
        return kek_id == MASTER_ID

    def wrap_many(self, kek_id: str, items: Sequence[tuple[Octets, Binding]]) -> list[bytes]:
        assert kek_id == MASTER_ID
        return [POLICY.bare_sealer(KEY, bound.encode()).seal(material) for material, bound in items]

    def unwrap_many(self, kek_id: str, items: Sequence[tuple[bytes, Binding]]) -> list[bytes]:
        assert kek_id == MASTER_ID
        try:
            return [POLICY.bare_sealer(KEY, bound.encode()).open(each) for each, bound in items]
        except DecryptionError:
            raise StoreIntegrityError("it does not unwrap") from None

    def ping(self) -> None:
        raise NotImplementedError

    def inspect(self) -> CustodianStatus:
        raise NotImplementedError


CUSTODIAN = Wrapping(_Fixed(), STORE_ID)


def header(wrapped_key: bytes) -> BackupHeader:
    """The header of the one backup that was written here."""
    return BackupHeader(
        backup_id=BACKUP_ID, store_id=STORE_ID.hex(), made_at=1, generation=1, schema="0004",
        master_id=MASTER_ID, wrapped_key=wrapped_key,
    )  # fmt: skip


def start(data: bytes) -> None:
    """The header alone."""
    reader = io.BytesIO(data)
    _, read = read_start(reader)
    assert data.startswith(read), "a finding: what was read is not what is there"
    assert reader.tell() == len(read), "a finding: a byte of the body was read"


def whole(data: bytes) -> None:
    """A file, which opens only if it is the one that was written."""
    opened = open_backup(CUSTODIAN, POLICY, io.BytesIO(data))
    rows = [(each.table, row) for each in opened.rows() for row in each.rows]
    assert rows == [("signers", VALUES[1]), ("signers", VALUES[2])], "a finding: other rows"


def frames(data: bytes) -> None:
    """Any bytes as the plaintext, as if the key's holder had sealed them."""
    sealer = POLICY.bare_sealer(KEY, context_of(b""))
    body = io.BytesIO(sealer.seal(data))
    opened = OpenedBackup(header(b"x"), sealer.decryptor(), body)
    rows: list[Any] = []
    backup = opened.read(lambda part: rows.extend(part.rows))
    assert len(rows) == sum(backup.rows.values()), "a finding: rows that nobody counted"


READERS = (start, whole, frames)


one_input = chosen(READERS, MfnError)


def seeds() -> dict[str, bytes]:
    """A well-formed input for every reader."""
    plain = encode_frames(VALUES)
    data_key = hashlib.sha256(b"data key").digest()
    binding = binding_of(STORE_ID, BACKUP_ID)
    begun = encode_start(header(CUSTODIAN.wrap(MASTER_ID, data_key, binding)))
    sealed = begun + POLICY.bare_sealer(data_key, context_of(begun)).seal(plain)
    contents = {start: begun, whole: sealed, frames: plain}
    return seeds_of(READERS, contents)
