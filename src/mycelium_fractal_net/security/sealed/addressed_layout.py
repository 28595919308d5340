"""What stands in front of a message for recipients, and how its bytes are told from others.

docs/format.md is the specification. In short::

    "MFR" 0x01 || n(1) || n times length(2) || blob || salt(24) || commitment(32) || chunks
    "MFR" 0x02 || digest of a name(32) || n(1) || …

A blob is that of :mod:`.recipients`, of the 32 bytes of the data key. Sizes in bytes.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final, NamedTuple

from mycelium_fractal_net.security.byte_io.binary_io import BinaryReader, read_fully
from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import DecryptionError
from mycelium_fractal_net.security.records.file_names import NAME_DIGEST_BYTES

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer

MOST_RECIPIENTS: Final = 255
_MAGIC: Final = b"MFR"
_START_BYTES: Final = len(_MAGIC) + 1
_COUNT_BYTES: Final = 1
_LENGTH_BYTES: Final = 2
_MOST_BLOB_BYTES: Final = 4096  # of a suite that is not known here; the longest here has 1,178
_NAME_BYTES_OF: Final = {_MAGIC + b"\x01": 0, _MAGIC + b"\x02": NAME_DIGEST_BYTES}
_MOST_BYTES: Final = (
    _START_BYTES
    + NAME_DIGEST_BYTES
    + _COUNT_BYTES
    + MOST_RECIPIENTS * (_LENGTH_BYTES + _MOST_BLOB_BYTES)
)

_BLOB_START_BYTES: Final = 10
# Header, enc, and the data key with its tag: .hpke_suites, which a test compares.
SUITES: Final = {
    b"MFH\x01" + bytes.fromhex("002000010002"): ("HPKE-X25519", 90),
    b"MFH\x01" + bytes.fromhex("001000010002"): ("HPKE-P256", 123),
    b"MFH\x01" + bytes.fromhex("001100020002"): ("HPKE-P384", 155),
    b"MFH\x01" + bytes.fromhex("647a00010002"): ("HPKE-MLKEM768-X25519", 1178),
}
"""By its first ten bytes, the suite of a blob and how long the blob is."""

KINDS: Final = {
    "x25519": "HPKE-X25519",
    "p256": "HPKE-P256",
    "p384": "HPKE-P384",
    "mlkem768-x25519": "HPKE-MLKEM768-X25519",
}
"""What a key of each algorithm is called in a line of text, :mod:`.recipient_text`."""
RECIPIENT: Final = "mfn-recipient:"
IDENTITY: Final = "mfn-identity:"
SEALED_IDENTITY: Final = "mfn-identity-sealed:"


class AddressedHeader(NamedTuple):
    """What stands before the salt. Nothing of it is authenticated before the body is."""

    blobs: tuple[bytes, ...]
    name: bytes = b""  # the digest of a file's, records/file_names.py

    @property
    def raw(self) -> bytes:
        """The header as it is written."""
        listed = (len(blob).to_bytes(_LENGTH_BYTES, "big") + blob for blob in self.blobs)
        form = b"\x02" if self.name else b"\x01"
        return b"".join((_MAGIC, form, self.name, bytes([len(self.blobs)]), *listed))

    @property
    def suites(self) -> list[str | None]:
        """The suite of each blob; None where nobody here knows it."""
        return [SUITES.get(blob[:_BLOB_START_BYTES], (None, 0))[0] for blob in self.blobs]


def is_addressed(beginning: Buffer) -> bool:
    """Whether a message with that beginning says that it is for recipients."""
    return bytes(as_bytes(beginning)[: len(_MAGIC)]) == _MAGIC


def read_addressed_header(reader: BinaryReader) -> AddressedHeader:
    """Read the header and not a byte more from ``reader``. Raises :class:`DecryptionError`.

    A blob of a suite that nobody here knows is passed over: it may be for somebody else.
    """
    name_bytes = _NAME_BYTES_OF.get(_take(reader, _START_BYTES))
    if name_bytes is None:
        raise DecryptionError
    name = _take(reader, name_bytes)
    (count,) = _take(reader, _COUNT_BYTES)
    if not count:
        raise DecryptionError
    return AddressedHeader(tuple(_blob(reader) for _ in range(count)), name)


def header_bytes_at_most(beginning: Buffer) -> int:
    """No header that begins so is longer, unless with a suite that nobody here knows.

    ``beginning`` has 37 bytes at least. Raises :class:`DecryptionError`.
    """
    data = bytes(as_bytes(beginning))
    name_bytes = _NAME_BYTES_OF.get(data[:_START_BYTES])
    if name_bytes is None or len(data) <= _START_BYTES + name_bytes:
        raise DecryptionError
    at = _START_BYTES + name_bytes
    longest = max(size for _, size in SUITES.values())
    return at + _COUNT_BYTES + data[at] * (_LENGTH_BYTES + longest)


def parse_addressed_header(message: Buffer) -> AddressedHeader:
    """The header at the beginning of ``message``. Raises :class:`DecryptionError`."""
    return read_addressed_header(io.BytesIO(as_bytes(message)[:_MOST_BYTES]))


def _blob(reader: BinaryReader) -> bytes:
    size = int.from_bytes(_take(reader, _LENGTH_BYTES), "big")
    if not 0 < size <= _MOST_BLOB_BYTES:
        raise DecryptionError
    blob = _take(reader, size)
    if size != SUITES.get(blob[:_BLOB_START_BYTES], ("", size))[1]:
        raise DecryptionError
    return blob


def _take(reader: BinaryReader, size: int) -> bytes:
    taken = bytearray(size)
    if read_fully(reader, memoryview(taken)) < size:
        raise DecryptionError
    return bytes(taken)
