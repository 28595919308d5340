"""Deterministic encryption: AES-SIV (RFC 5297) with keys of 64 bytes, and the message it makes.

Equal data under equal associated data gives equal messages, which is what it is for and what it
gives away. Each associated data has a key of its own, which says nothing of the others and may be
lent (docs/format.md, "Deterministic messages"); it is also the one component of the S2V of RFC 5297
section 2.4, present even where it is empty.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.byte_io.secret_bytes import SecretBytes
from mycelium_fractal_net.security.errors import DecryptionError, InvalidKeyError
from mycelium_fractal_net.security.sealed.layout import DETERMINISTIC, NAMED_BYTES, SIV_BYTES

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer

KEY_BYTES: Final = 64  # two of AES-256: AEAD_AES_SIV_CMAC_512, RFC 5297 section 6.3
OVERHEAD_BYTES: Final = NAMED_BYTES + SIV_BYTES
_LABEL: Final = b"mycelium-fractal-net/deterministic/v1"


class DeterministicCipher:
    """Seals and opens the messages of one version and one associated data. Thread-safe.

    Its key is what :meth:`DeterministicKey.field_key` makes. It shows no key. Raises
    :class:`InvalidKeyError` where the key is not 64 bytes.
    """

    __slots__ = ("_aead", "_components", "_header")

    def __init__(self, key: Buffer, handle: bytes, associated_data: Buffer = b"") -> None:
        self._aead = AESSIV(_checked(key))  # which takes 32 and 48 bytes too
        self._header = DETERMINISTIC + handle
        self._components = [bytes(as_bytes(associated_data))]

    def __repr__(self) -> str:
        return "DeterministicCipher(AES-256-SIV)"

    def seal(self, data: Buffer) -> bytes:
        """``header(12) || SIV(16) || ciphertext``, 28 bytes longer than ``data``."""
        if type(data) is not bytes:
            data = as_bytes(data)
        return self._header + self._aead.encrypt(data, self._components)

    def open(self, message: Buffer) -> bytes:
        """The data in a message of this version. Raises :class:`DecryptionError`."""
        if type(message) is not bytes:
            message = as_bytes(message)
        if message[:NAMED_BYTES] != self._header:
            raise DecryptionError
        try:
            return self._aead.decrypt(message[NAMED_BYTES:], self._components)
        except InvalidTag:
            raise DecryptionError from None


class DeterministicKey:
    """A 64-byte key of type ``deterministic`` and its handle: makes the keys of associated data.

    Thread-safe; shows no key. Raises :class:`InvalidKeyError` where the key is not 64 bytes.
    """

    __slots__ = ("_handle", "_key")

    def __init__(self, key: Buffer, handle: bytes) -> None:
        if type(key) is not SecretBytes:  # else it is the one copy that there is
            key = SecretBytes(as_bytes(key))
        self._key = _checked(key)
        self._handle = handle

    def __repr__(self) -> str:
        return "DeterministicKey(AES-256-SIV)"

    def field_key(self, associated_data: Buffer) -> SecretBytes:
        """The 64 bytes that seal and open what has this associated data."""
        made = SecretBytes(KEY_BYTES)
        info = _LABEL + as_bytes(associated_data)
        HKDFExpand(hashes.SHA512(), KEY_BYTES, info).derive_into(self._key, made)
        return made

    def cipher(self, associated_data: Buffer) -> DeterministicCipher:
        """The key of one associated data at work."""
        return DeterministicCipher(self.field_key(associated_data), self._handle, associated_data)


def _checked(key: Buffer) -> bytes | bytearray | memoryview:
    key = as_bytes(key)
    if len(key) != KEY_BYTES:
        raise InvalidKeyError(f"a key of AES-256-SIV is exactly {KEY_BYTES} bytes")
    return key
