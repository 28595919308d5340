"""The bytes of a backup: what stands before its body, and the frames that the body holds.

docs/format.md is the specification. In short::

    "MFB" 0x01 || length of the header (4) || header, JSON || body

The body is Cobblestone-256 under the data key that the header carries, wrapped by the master key,
with the label and all bytes before the body as its context. Its plaintext is frames, each a length
(4) and a MessagePack value: a map begins a table, arrays are its rows, a last map counts them all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import Meta

from mycelium_fractal_net.security.byte_io.binary_io import read_fully
from mycelium_fractal_net.security.errors import DecryptionError
from mycelium_fractal_net.security.key_providers.custodian import Binding
from mycelium_fractal_net.security.key_store.backup_table import MadeBackup
from mycelium_fractal_net.security.key_store.rows import from_micros
from mycelium_fractal_net.security.records.keys import HANDLE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from mycelium_fractal_net.security.byte_io.binary_io import BinaryReader

MAGIC: Final = b"MFB\x01"
LENGTH_BYTES: Final = 4  # big-endian
HEADER_BYTES: Final = 65_536  # at most; a wrapped data key is hundreds of bytes
FRAME_BYTES: Final = 1 << 24  # at most; a row is hundreds of bytes
BLOCK_BYTES: Final = 262_144  # worked on at a time
DATA_KEY_ALGORITHM: Final = "AES-256-GCM"
_CONTEXT_LABEL: Final = b"mycelium-fractal-net/backup/v1"

# What msgspec raises for bytes that are no value: for text that is not UTF-8 Python's own error.
_NO_VALUE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_Id = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
_Name = Annotated[str, Meta(pattern="^[\\x21-\\x7e]{1,200}$")]


class BackupHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in the clear. Nothing of it is secret; all of it is in the body's context."""

    backup_id: _Id
    store_id: _Id
    made_at: int
    """Microseconds since the Unix epoch, by the store's clock."""
    generation: int
    schema: Annotated[str, Meta(pattern="^[0-9]{4}$")]
    master_id: _Name
    wrapped_key: Annotated[bytes, Meta(min_length=1)]

    @property
    def made(self) -> MadeBackup:
        """What the store notes of this backup."""
        return MadeBackup(self.backup_id, self.made_at, self.generation, self.master_id)


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was written or read to its end.

    ``rows`` counts the rows of each table. ``handles`` are those of the versions that it holds, 8
    bytes each, one behind the other; of ``external`` of them it has no private key, only where
    that is.
    """

    made: MadeBackup
    rows: dict[str, int]
    handles: bytes = field(repr=False)
    external: int = 0

    @property
    def made_at(self) -> datetime:
        """When it was made, by the store's clock."""
        return from_micros(self.made.made_at)

    @property
    def versions(self) -> int:
        """How many versions of keys it holds, external ones among them."""
        return len(self.handles) // HANDLE_BYTES

    def each_handle(self) -> Iterator[bytes]:
        """The handles, one at a time."""
        for start in range(0, len(self.handles), HANDLE_BYTES):
            yield self.handles[start : start + HANDLE_BYTES]


def encode_start(header: BackupHeader) -> bytes:
    """All that stands before the body."""
    encoded = msgspec.json.encode(header)
    return b"%b%b%b" % (MAGIC, len(encoded).to_bytes(LENGTH_BYTES, "big"), encoded)


def read_start(reader: BinaryReader) -> tuple[BackupHeader, bytes]:
    """Read up to the body and not a byte more: the header, and the bytes that were read.

    Raises :class:`DecryptionError` for what is no backup.
    """
    start = _exactly(reader, len(MAGIC) + LENGTH_BYTES)
    size = int.from_bytes(start[len(MAGIC) :], "big")
    if start[: len(MAGIC)] != MAGIC or size > HEADER_BYTES:
        raise DecryptionError
    encoded = _exactly(reader, size)
    try:
        header = msgspec.json.decode(encoded, type=BackupHeader)
    except _NO_VALUE:
        raise DecryptionError from None
    if encode_start(header) != start + encoded:  # one spelling: no member twice, no white space
        raise DecryptionError
    return header, start + encoded


def _exactly(reader: BinaryReader, size: int) -> bytes:
    block = bytearray(size)
    if read_fully(reader, memoryview(block)) != size:
        raise DecryptionError
    return bytes(block)


def context_of(start: bytes) -> bytes:
    """The context of the body behind these bytes."""
    return _CONTEXT_LABEL + start


def binding_of(store_id: bytes, backup_id: str) -> Binding:
    """What the wrapped data key is bound to: this backup of this store.

    No named key has the type ``backup``, so no key's wrapping passes for a backup's.
    """
    return Binding(
        store_id=store_id,
        key_id="",
        key_type="backup",
        use="",
        algorithm=DATA_KEY_ALGORITHM,
        version=0,
        handle=bytes.fromhex(backup_id),
    )


def encode_frames(values: Iterable[Any]) -> bytes:
    """Values as frames, one behind the other."""
    encoded = map(_encoder.encode, values)
    return b"".join(b"%b%b" % (len(each).to_bytes(LENGTH_BYTES, "big"), each) for each in encoded)


def decode_value(encoded: bytes | bytearray | memoryview) -> Any:
    """The value in a frame. Raises :class:`DecryptionError`."""
    try:
        return _decoder.decode(encoded)
    except _NO_VALUE:
        raise DecryptionError from None


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder()
