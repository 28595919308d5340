"""Opens the messages of the XOR cipher that this package replaces, and can never write one.

A message is the text ``urlsafe_base64(salt(16) || iv(16) || body || mac(32))``, as Python's
:func:`base64.urlsafe_b64encode` writes it, where

- ``derived = PBKDF2-HMAC-SHA-256(key, salt, 100,000 iterations, 32 bytes)``,
- ``body[i] = data[i] XOR SHA-256(iv || derived)[i mod 32]``,
- ``mac = HMAC-SHA-256(derived, salt || iv || body)``.

The cipher is weak: one key stream of 32 bytes repeats through the whole message, so that whoever
knows or guesses 32 bytes in a row reads all of it. It is here to be left: imported only where
``legacy.read_xor`` is on or a migration runs.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.algorithms.digests import sha256
from mycelium_fractal_net.security.blocking import about_to_compute
from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import (
    DecryptionError,
    InvalidInputError,
    InvalidKeyError,
    InvalidSignatureError,
)
from mycelium_fractal_net.security.policy import Policy

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer

KEY_BYTES: Final = 32
SALT_BYTES: Final = 16
IV_BYTES: Final = 16
TAG_BYTES: Final = 32
ITERATIONS: Final = 100_000  # half of what this package takes for a key of its own
OVERHEAD_BYTES: Final = SALT_BYTES + IV_BYTES + TAG_BYTES
_STREAM_BYTES: Final = 32  # one SHA-256


class XorOpener:
    """Opens messages under the 32-byte master key of the old cipher. Thread-safe; shows no key.

    :raises InvalidKeyError: the key is not 32 bytes.
    """

    __slots__ = ("_key", "_policy")

    def __init__(self, policy: Policy, key: Buffer) -> None:
        try:
            key = bytes(as_bytes(key))
        except InvalidInputError:
            key = b""
        if len(key) != KEY_BYTES:
            raise InvalidKeyError("a key of the XOR cipher is exactly 32 bytes")
        self._key = key
        self._policy = policy

    def __repr__(self) -> str:
        return "XorOpener()"

    def open(self, message: str | Buffer) -> bytes:
        """The data in ``message``, text or its ASCII bytes; of text the old writer took the UTF-8.

        Takes some 23 ms of PBKDF2, during which other threads run; nothing can be kept from
        one message to the next, since each has its own salt. The MAC is checked, in constant
        time, before a byte is decrypted.

        :raises DecryptionError: whatever is wrong. Base64 in another spelling than the writer's
            is wrong too: no blanks, no other alphabet, padded.
        :raises InvalidInputError: it is neither text nor a contiguous buffer.
        """
        raw = memoryview(_decoded(message))
        if len(raw) < OVERHEAD_BYTES:
            raise DecryptionError
        signed, tag = raw[:-TAG_BYTES], raw[-TAG_BYTES:]
        about_to_compute()
        salt, iv = bytes(signed[:SALT_BYTES]), signed[SALT_BYTES : SALT_BYTES + IV_BYTES]
        derived = self._policy.pbkdf2(self._key, salt, ITERATIONS)
        try:
            self._policy.mac("HMAC-SHA-256", derived).verify(signed, tag)
        except InvalidSignatureError:
            raise DecryptionError from None
        return _xor(signed[SALT_BYTES + IV_BYTES :], sha256(bytes(iv) + derived))


def _decoded(message: str | Buffer) -> bytes:
    """The bytes that the old writer encoded; a text in any other spelling is refused."""
    try:
        text = message.encode("ascii") if isinstance(message, str) else bytes(as_bytes(message))
        raw = base64.urlsafe_b64decode(text)
    except (UnicodeEncodeError, binascii.Error):
        raise DecryptionError from None
    # The decoder skips stray characters and ignores unused bits; encoding gives one spelling.
    if base64.urlsafe_b64encode(raw) != text:
        raise DecryptionError
    return raw


def _xor(body: memoryview, stream: bytes) -> bytes:
    """``body`` under a key stream that repeats. One step on two numbers as long as the body."""
    size = len(body)
    repeated = (stream * (size // _STREAM_BYTES + 1))[:size]
    return (int.from_bytes(body, "little") ^ int.from_bytes(repeated, "little")).to_bytes(
        size, "little"
    )
