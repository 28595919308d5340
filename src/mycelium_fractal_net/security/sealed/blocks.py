"""Large messages that lie in memory: through one warm block into a growing buffer.

``update`` of cobblestone, or one output of full size beside the input, is several times
slower: what costs is the first touch of fresh pages.
"""

from __future__ import annotations

from io import BytesIO

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor

from mycelium_fractal_net.security.byte_io.buffers import release, scratch, wipe
from mycelium_fractal_net.security.sealed.format import (
    HEAD_BYTES,
    PLAIN_BLOCK_BYTES,
    SEALED_BLOCK_BYTES,
)

__all__ = ["open_blocks", "seal_blocks"]


def seal_blocks(encryptor: Cobblestone256Encryptor, prefix: bytes, plaintext: memoryview) -> bytes:
    """``prefix`` and the whole sealed message after it."""
    message = BytesIO()
    message.write(prefix)
    block = scratch()
    view = memoryview(block)
    for start in range(0, len(plaintext), PLAIN_BLOCK_BYTES):
        used = encryptor.update_into(plaintext[start : start + PLAIN_BLOCK_BYTES], block)
        message.write(view[:used])
    release(block)
    message.write(encryptor.finalize())
    return message.getvalue()


def open_blocks(decryptor: Cobblestone256Decryptor, body: memoryview) -> bytes:
    """The plaintext of the whole message ``body``. Raises InvalidTag or ValueError."""
    plaintext = BytesIO()
    block = scratch()
    widest = len(block)
    try:
        view = memoryview(block)
        decryptor.update_into(body[:HEAD_BYTES], block)
        for start in range(HEAD_BYTES, len(body), SEALED_BLOCK_BYTES):
            used = decryptor.update_into(body[start : start + SEALED_BLOCK_BYTES], block)
            plaintext.write(view[:used])
        widest = min(len(body), len(block))
    finally:
        wipe(block, widest)
        release(block)
    plaintext.write(decryptor.finalize())
    return plaintext.getvalue()
