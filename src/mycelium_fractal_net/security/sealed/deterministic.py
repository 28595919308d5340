"""Deterministic encryption: AES-SIV (RFC 5297) with keys of 64 bytes, and the message it makes.

Equal data under equal associated data gives equal messages, which is what it is for and what it
gives away. The associated data is one component of the S2V of RFC 5297 section 2.4, present even
where it is empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import DecryptionError, InvalidKeyError
from mycelium_fractal_net.security.sealed.layout import DETERMINISTIC, NAMED_BYTES, SIV_BYTES

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer

KEY_BYTES: Final = 64  # two of AES-256: AEAD_AES_SIV_CMAC_512, RFC 5297 section 6.3
OVERHEAD_BYTES: Final = NAMED_BYTES + SIV_BYTES


class DeterministicCipher:
    """Seals and opens deterministic messages under one version. Thread-safe; shows no key.

    Raises :class:`InvalidKeyError` where the key is not 64 bytes.
    """

    __slots__ = ("_aead", "_header")

    def __init__(self, key: Buffer, handle: bytes) -> None:
        key = as_bytes(key)
        if len(key) != KEY_BYTES:  # the library takes 32 and 48 too
            raise InvalidKeyError(f"a key of AES-256-SIV is exactly {KEY_BYTES} bytes")
        self._aead = AESSIV(key)
        self._header = DETERMINISTIC + handle

    def __repr__(self) -> str:
        return "DeterministicCipher(AES-256-SIV)"

    def seal(self, data: Buffer, associated_data: Buffer = b"") -> bytes:
        """``header(12) || SIV(16) || ciphertext``, 28 bytes longer than ``data``."""
        made = self._aead.encrypt(as_bytes(data), [as_bytes(associated_data)])
        return self._header + made

    def open(self, message: Buffer, associated_data: Buffer = b"") -> bytes:
        """The data in a message of this version. Raises :class:`DecryptionError`."""
        message = as_bytes(message)
        if message[:NAMED_BYTES] != self._header:
            raise DecryptionError
        try:
            return self._aead.decrypt(message[NAMED_BYTES:], [as_bytes(associated_data)])
        except InvalidTag:
            raise DecryptionError from None
