"""Signing a stream through its hash, apart from signing a message.

A signature of a stream is one of ``PREHASH_LABEL || SHA-512(data)``. A message that begins
with the label is refused where messages are signed or verified, so that no signature of one
kind is ever one of the other. It is done alike for every algorithm: Ed25519ph and HashML-DSA
are two more standards each, and a verifier of either often lacks them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import hashes

from mycelium_fractal_net.security.byte_io.binary_io import BinaryReader, read_fully
from mycelium_fractal_net.security.byte_io.buffers import Octets, as_bytes, release, scratch
from mycelium_fractal_net.security.errors import InvalidInputError

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer

PREHASH_LABEL: Final = b"mycelium-fractal-net/prehash-sha512/v1\0"  # docs/format.md
PREHASH_BYTES: Final = 64  # SHA-512, FIPS 180-4
_LABEL_BYTES: Final = len(PREHASH_LABEL)


def prehash(reader: BinaryReader) -> bytes:
    """The 64-byte SHA-512 of all that ``reader`` still gives; constant memory.

    :raises InvalidInputError: the reader gives text.
    """
    digest = hashes.Hash(hashes.SHA512())
    block = scratch()
    with memoryview(block) as view:
        while count := read_fully(reader, view):
            digest.update(view[:count])
    release(block)
    return digest.finalize()


def prehashed_message(digest: Buffer) -> bytes:
    """What is signed for a stream with that SHA-512.

    :raises InvalidInputError: the digest is not 64 bytes.
    """
    digest = as_bytes(digest)
    if len(digest) != PREHASH_BYTES:
        raise InvalidInputError(f"a SHA-512 digest is {PREHASH_BYTES} bytes")
    return PREHASH_LABEL + digest


def is_labelled(data: Octets) -> bool:
    """Whether plain bytes begin with :data:`PREHASH_LABEL`."""
    return data[:_LABEL_BYTES] == PREHASH_LABEL
