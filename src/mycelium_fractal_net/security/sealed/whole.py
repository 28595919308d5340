"""Large messages that lie in memory: written once, where they stay.

What costs is the first touch of fresh pages, not the cipher. ``update`` of cobblestone touches
them two and three times over; a block of the final size is touched once, and BytesIO gives up
its own block as bytes, uncopied. Zeroed memory of this size comes from the kernel untouched.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from mycelium_fractal_net.security.sealed.layout import HEAD_BYTES, plain_bytes, sealed_body_bytes

if TYPE_CHECKING:
    from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor


def seal_whole(encryptor: Cobblestone256Encryptor, prefix: bytes, plaintext: memoryview) -> bytes:
    """``prefix`` and the whole sealed message after it."""
    message = BytesIO(bytes(len(prefix) + sealed_body_bytes(len(plaintext))))
    with message.getbuffer() as block:
        block[: len(prefix)] = prefix
        used = len(prefix) + encryptor.update_into(plaintext, block[len(prefix) :])
        block[used:] = encryptor.finalize()
    return message.getvalue()


def open_whole(decryptor: Cobblestone256Decryptor, body: memoryview) -> bytes:
    """The plaintext of the whole message ``body``. Raises InvalidTag or ValueError."""
    decryptor.update_into(body[:HEAD_BYTES], bytearray())  # another key ends here: no memory yet
    plaintext = BytesIO(bytes(plain_bytes(len(body))))
    with plaintext.getbuffer() as block:
        try:
            used = decryptor.update_into(body[HEAD_BYTES:], block)
            block[used:] = decryptor.finalize()
        except BaseException:
            block[:] = bytes(len(block))  # it may hold plaintext that did not authenticate
            raise
    return plaintext.getvalue()
