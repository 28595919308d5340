"""Keys that were wrapped, opened into memory that is wiped: the standard's bytes, and no others."""

from __future__ import annotations

import os

import pytest
from cryptography.cobblestone import Cobblestone256Encryptor

from mycelium_fractal_net.security.byte_io.secret_bytes import SecretBytes
from mycelium_fractal_net.security.errors import DecryptionError
from mycelium_fractal_net.security.sealed.message_key import open_secret
from mycelium_fractal_net.security.sealed.sealer import Sealer

KEY = bytes(range(32))
CONTEXT = b"a context"


def wrapped(material: bytes) -> bytes:
    """By the library's own implementation."""
    encryptor = Cobblestone256Encryptor(KEY, CONTEXT)
    return encryptor.update(material) + encryptor.finalize()


@pytest.mark.parametrize("size", [0, 1, 32, 48, 16_383])
def test_what_the_library_wrapped_opens(size: int) -> None:
    """Byte for byte, as bytes that are wiped."""
    material = os.urandom(size)
    opened = open_secret(KEY, CONTEXT, wrapped(material))
    assert type(opened) is SecretBytes
    assert opened == material


def test_every_changed_bit_is_refused() -> None:
    """In the salt, the commitment, the ciphertext and the tag."""
    body = wrapped(b"material")
    for bit in range(0, 8 * len(body), 7):
        changed = bytearray(body)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DecryptionError):
            open_secret(KEY, CONTEXT, changed)


@pytest.mark.parametrize("size", [0, 55, 71, 56 + 16_384 + 16])
def test_what_is_not_one_chunk_is_refused(size: int) -> None:
    """Too short to hold one, or a message of two."""
    with pytest.raises(DecryptionError):
        open_secret(KEY, CONTEXT, bytes(size))


def test_another_key_context_or_prefix_is_refused() -> None:
    """With the one error."""
    body = wrapped(b"material")
    for key, context in ((bytes(32), CONTEXT), (KEY, b"another")):
        with pytest.raises(DecryptionError):
            open_secret(key, context, body)
    sealer = Sealer.sealed(KEY, b"8 bytes.")
    with pytest.raises(DecryptionError):
        sealer.open_secret(b"MFN\x01another." + sealer.seal(b"material")[12:])
    assert sealer.open_secret(sealer.seal(b"material", b"bound"), b"bound") == b"material"
