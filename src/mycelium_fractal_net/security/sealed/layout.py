"""The layout of a sealed message: sizes, and the header in front of the salt."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from mycelium_fractal_net.security.byte_io.binary_io import BinaryReader, read_fully
from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import DecryptionError
from mycelium_fractal_net.security.records.file_names import NAME_DIGEST_BYTES
from mycelium_fractal_net.security.records.keys import HANDLE_BYTES

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer

# c2sp.org/chunked-encryption, version 1, with AEAD_AES_256_GCM
KEY_BYTES: Final = 32
SALT_BYTES: Final = 24
COMMITMENT_BYTES: Final = 32
HEAD_BYTES: Final = SALT_BYTES + COMMITMENT_BYTES
NONCE_BYTES: Final = 12
CHUNK_BYTES: Final = 16_384  # of plaintext; the final chunk is shorter
TAG_BYTES: Final = 16
SEALED_CHUNK_BYTES: Final = CHUNK_BYTES + TAG_BYTES
MAX_CHUNKS: Final = 1 << 38

# What is worked on at a time: whole chunks, so that the library buffers nothing twice.
PLAIN_BLOCK_BYTES: Final = 16 * CHUNK_BYTES
SEALED_BLOCK_BYTES: Final = 16 * SEALED_CHUNK_BYTES

# docs/format.md
NAMED_BYTES: Final = 3 + 1 + HANDLE_BYTES  # magic, form, handle
SALTED_BYTES: Final = NAMED_BYTES + SALT_BYTES  # of the usual form: up to the end of the salt
LEAST_BYTES: Final = NAMED_BYTES + HEAD_BYTES + TAG_BYTES  # 84: the usual form of nothing
WRAPPED_KEY_BYTES: Final = HEAD_BYTES + KEY_BYTES + TAG_BYTES  # 104
MAGIC: Final = b"MFN"
SEALED: Final = MAGIC + b"\x01"  # the usual beginning, known at a glance
DETERMINISTIC: Final = MAGIC + b"\x03"  # no body follows: AES-SIV, :mod:`.deterministic`
SIV_BYTES: Final = 16


class Form(IntEnum):
    """The fourth byte of a message."""

    SEALED = 1  #: under the named key
    ENVELOPE = 2  #: under a data key that the message carries, wrapped under the named key
    NAMED = 4  #: under the named key, and bound to the name of a file


_MORE_BYTES: Final = {
    b"%b%c" % (MAGIC, Form.ENVELOPE): WRAPPED_KEY_BYTES,
    b"%b%c" % (MAGIC, Form.NAMED): NAME_DIGEST_BYTES,
}  # of a header, behind the handle


class Header(NamedTuple):
    """What stands before the salt of a message. Nothing of it is secret or yet authenticated."""

    form: Form
    handle: bytes
    wrapped: bytes = b""
    name: bytes = b""  # the digest of a file's, records/file_names.py

    @property
    def raw(self) -> bytes:
        """The header as it is written: 12 bytes, 116 with a data key, 44 with a name."""
        return b"%b%c%b%b%b" % (MAGIC, self.form, self.handle, self.wrapped, self.name)


def parse_header(message: Buffer) -> Header:
    """The header at the beginning of ``message``. Raises :class:`DecryptionError`."""
    if type(message) is bytes and message[:4] == SEALED and len(message) >= NAMED_BYTES:
        return Header(Form.SEALED, message[4:NAMED_BYTES])
    start = bytes(as_bytes(message)[: NAMED_BYTES + WRAPPED_KEY_BYTES])
    if len(start) >= NAMED_BYTES and start[:3] == MAGIC:
        handle = start[4:NAMED_BYTES]
        if start[3] == Form.SEALED:
            return Header(Form.SEALED, handle)
        rest = start[NAMED_BYTES:]
        if start[3] == Form.ENVELOPE and len(rest) == WRAPPED_KEY_BYTES:
            return Header(Form.ENVELOPE, handle, rest)
        if start[3] == Form.NAMED and len(rest) >= NAME_DIGEST_BYTES:
            return Header(Form.NAMED, handle, name=rest[:NAME_DIGEST_BYTES])
    raise DecryptionError


def deterministic_handle(message: Buffer) -> bytes:
    """The handle in the header of a deterministic message. Raises :class:`DecryptionError`."""
    whole = as_bytes(message)
    if whole[: len(DETERMINISTIC)] != DETERMINISTIC or len(whole) < NAMED_BYTES + SIV_BYTES:
        raise DecryptionError
    return bytes(whole[len(DETERMINISTIC) : NAMED_BYTES])


def read_header(reader: BinaryReader) -> Header:
    """Read the header and not a byte more from ``reader``. Raises :class:`DecryptionError`."""
    start = bytearray(NAMED_BYTES)
    start = start[: read_fully(reader, memoryview(start))]
    more = bytearray(_MORE_BYTES.get(bytes(start[:4]), 0))
    return parse_header(start + more[: read_fully(reader, memoryview(more))])


def sealed_bytes(plain: int, *, named: bool = False) -> int:
    """The size of the sealed message of ``plain`` bytes, in which a name is bound or not."""
    return NAMED_BYTES + (NAME_DIGEST_BYTES if named else 0) + sealed_body_bytes(plain)


def plaintext_bytes(beginning: Buffer, size: int) -> int:
    """The plaintext's size in a message of ``size`` bytes. Raises :class:`DecryptionError`."""
    return plain_bytes(size - len(parse_header(beginning).raw))


def sealed_body_bytes(plain: int) -> int:
    """How many bytes follow the header of a message of ``plain`` bytes."""
    return HEAD_BYTES + plain + TAG_BYTES * (plain // CHUNK_BYTES + 1)


def plain_bytes(body: int) -> int:
    """The inverse of :func:`sealed_body_bytes`. :class:`DecryptionError` for no such size."""
    chunks, last = divmod(body - HEAD_BYTES, SEALED_CHUNK_BYTES)
    if body < HEAD_BYTES or last < TAG_BYTES:
        raise DecryptionError
    return chunks * CHUNK_BYTES + last - TAG_BYTES
