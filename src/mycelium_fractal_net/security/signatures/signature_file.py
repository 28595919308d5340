"""The ``.sig`` file: a signature that says which key version made it, and how.

    0   4   "MFS" 0x01
    4   8   handle of the key version
    12  1   mode: 0 pure, 1 SHA-512 pre-hash
    13  …   signature, to the end of the file: 1 to 8192 bytes

The file is not trusted to choose its key: a verifier names the key, and the handle must be
one of its versions (docs/format.md, "Signature files").
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import InvalidInputError, InvalidSignatureError
from mycelium_fractal_net.security.records.keys import HANDLE_BYTES

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer

_MAGIC: Final = b"MFS\x01"
_HEADER_BYTES: Final = len(_MAGIC) + HANDLE_BYTES + 1
_MAX_SIGNATURE_BYTES: Final = 8192  # the longest of ours is 3309; room for SLH-DSA-128s (7856)

MAX_FILE_BYTES: Final = _HEADER_BYTES + _MAX_SIGNATURE_BYTES
"""No ``.sig`` file is longer; who reads one need not read more than one byte past this."""


class SignatureMode(IntEnum):
    """What was signed: the data itself, or its SHA-512 behind a label."""

    PURE = 0
    PREHASH = 1


class SignatureFile(NamedTuple):
    """The parts of a ``.sig`` file: handle (8 bytes), mode, bare signature."""

    handle: bytes
    mode: SignatureMode
    signature: bytes


def encode_signature_file(handle: bytes, mode: SignatureMode, signature: bytes) -> bytes:
    """The bytes of a ``.sig`` file.

    :raises InvalidInputError: the handle is not 8 bytes, or the signature is empty or over 8192.
    """
    if len(handle) != HANDLE_BYTES or not 1 <= len(signature) <= _MAX_SIGNATURE_BYTES:
        raise InvalidInputError("the handle or the signature has not the size of one")
    return _MAGIC + handle + bytes([SignatureMode(mode)]) + signature


def parse_signature_file(data: Buffer) -> SignatureFile:
    """The parts of a ``.sig`` file. What parses encodes to the same bytes again.

    :raises InvalidSignatureError: it is none.
    """
    data = bytes(as_bytes(data))
    if not _HEADER_BYTES < len(data) <= MAX_FILE_BYTES or not data.startswith(_MAGIC):
        raise InvalidSignatureError
    try:
        mode = SignatureMode(data[_HEADER_BYTES - 1])
    except ValueError:
        raise InvalidSignatureError from None
    return SignatureFile(data[len(_MAGIC) : _HEADER_BYTES - 1], mode, data[_HEADER_BYTES:])
