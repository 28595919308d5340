"""HMAC-SHA-256 (FIPS 198-1, RFC 2104) under a key of its own.

A key that MACs serves nothing else: sealing derives its message keys with HMAC too, and would
have them handed out.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import (
    InvalidInputError,
    InvalidKeyError,
    InvalidSignatureError,
)

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer

ALGORITHM: Final = "HMAC-SHA-256"
KEY_BYTES: Final = 32  # the security strength of the hash, SP 800-107 section 5.3.4
TAG_BYTES: Final = 32  # never truncated


class MacKey:
    """A 32-byte HMAC-SHA-256 key, set up once. Thread-safe; shows no key.

    :raises InvalidKeyError: the key is not 32 bytes.
    """

    __slots__ = ("_keyed",)

    def __init__(self, key: Buffer) -> None:
        try:
            key = as_bytes(key)
        except InvalidInputError:
            key = b""
        if len(key) != KEY_BYTES:
            raise InvalidKeyError(f"an {ALGORITHM} key is exactly {KEY_BYTES} bytes")
        self._keyed = HMAC(key, hashes.SHA256())

    def __repr__(self) -> str:
        return f"MacKey({ALGORITHM})"

    def tag(self, data: Buffer) -> bytes:
        """The 32-byte tag of ``data``, any contiguous buffer.

        :raises InvalidInputError: it is none.
        """
        if type(data) is not bytes:
            data = as_bytes(data)
        # Copying the keyed state saves hashing the key twice: 0.4 us where hmac.digest takes 1.2.
        state = self._keyed.copy()
        state.update(data)
        return state.finalize()

    def verify(self, data: Buffer, tag: Buffer) -> None:
        """Return if ``tag`` is the tag of ``data``; compared in constant time.

        :raises InvalidSignatureError: it is not; a shortened tag is none.
        :raises InvalidInputError: one of them is no buffer.
        """
        if not compare_digest(self.tag(data), as_bytes(tag)):
            raise InvalidSignatureError
