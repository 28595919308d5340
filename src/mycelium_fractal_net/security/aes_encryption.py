"""AES-256-GCM in the plan's form: ``nonce(12) || ciphertext || tag(16)``.

This is plain AES-256-GCM (NIST SP 800-38D) for callers who must interoperate with it. The
nonce is drawn from the operating system for every message and there is no way to pass one.
Two limits follow, which :mod:`~mycelium_fractal_net.security.sealed.sealer` does not have: at most
2^32 messages under one key (SP 800-38D section 8.3; whoever holds the key must count), and a
ciphertext does not commit to its key. New data is better sealed.

Sizes in bytes: keys 32, a message is 28 longer than its plaintext, at most 2^31 - 1 at a time.
"""

from __future__ import annotations

from io import BytesIO
from os import urandom
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mycelium_fractal_net.security.byte_io.buffers import Octets, as_bytes
from mycelium_fractal_net.security.errors import (
    DecryptionError,
    InvalidInputError,
    InvalidKeyError,
)

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer

__all__ = [
    "KEY_BYTES",
    "NONCE_BYTES",
    "TAG_BYTES",
    "RawCipher",
    "decrypt_aes_gcm",
    "encrypt_aes_gcm",
]

KEY_BYTES: Final = 32  # AES-256, FIPS 197
NONCE_BYTES: Final = 12  # SP 800-38D section 5.2.1.1
TAG_BYTES: Final = 16  # SP 800-38D section 5.2.1.2
_OVERHEAD_BYTES: Final = NONCE_BYTES + TAG_BYTES

# Above this, memory costs more than the cipher: allocators hand out and take back blocks of
# 128 KiB and more page by page, so that one copy of 1 MiB takes ten times its encryption.
# Below it, the simple way is faster. Bytes; benchmarks/ has the curve.
_NO_COPY_FROM: Final = 64 * 1024
# Slicing bytes beats making a view of them up to about here. Bytes.
_VIEW_FROM: Final = 32 * 1024

_TOO_LONG = "AES-GCM takes at most 2^31 - 1 bytes at a time; seal larger data as a stream"


def _aead(key: Buffer) -> AESGCM:
    try:
        if len(key) == KEY_BYTES:  # type: ignore[arg-type]  # others raise
            return AESGCM(key)  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError):
        pass  # no buffer of plain bytes
    raise InvalidKeyError(f"an AES-256 key is exactly {KEY_BYTES} bytes")


def _encrypt(aead: AESGCM, plaintext: Octets, associated_data: Octets | None) -> bytes:
    nonce = urandom(NONCE_BYTES)
    try:
        if len(plaintext) <= _NO_COPY_FROM:
            return nonce + aead.encrypt(nonce, plaintext, associated_data)
        # Written where it will stay: BytesIO gives up its own block as bytes, uncopied.
        message = BytesIO(bytes(len(plaintext) + _OVERHEAD_BYTES))
        with message.getbuffer() as block:
            block[:NONCE_BYTES] = nonce
            aead.encrypt_into(nonce, plaintext, associated_data, block[NONCE_BYTES:])
        return message.getvalue()
    except OverflowError:
        raise InvalidInputError(_TOO_LONG) from None


def _encrypt_any(aead: AESGCM, plaintext: Buffer, associated_data: Buffer | None) -> bytes:
    try:
        return _encrypt(aead, plaintext, associated_data)  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError):
        # Not one-dimensional bytes. Asked only now, since asking first costs 0.1 us.
        data = None if associated_data is None else as_bytes(associated_data)
        return _encrypt(aead, as_bytes(plaintext), data)


def _decrypt(aead: AESGCM, ciphertext: Buffer, associated_data: Buffer | None) -> bytes:
    if type(ciphertext) is not bytes:
        ciphertext = as_bytes(ciphertext)
    elif len(ciphertext) >= _VIEW_FROM:
        ciphertext = memoryview(ciphertext)
    if len(ciphertext) < _OVERHEAD_BYTES:
        raise DecryptionError
    if not (associated_data is None or type(associated_data) is bytes):
        associated_data = as_bytes(associated_data)
    try:
        return aead.decrypt(ciphertext[:NONCE_BYTES], ciphertext[NONCE_BYTES:], associated_data)
    except (InvalidTag, OverflowError):
        raise DecryptionError from None


def encrypt_aes_gcm(plaintext: Buffer, key: Buffer, associated_data: Buffer | None = None) -> bytes:
    """Encrypt ``plaintext`` with AES-256-GCM under a fresh random nonce.

    :param plaintext: any contiguous buffer, empty too; it is not copied.
    :param key: exactly 32 bytes.
    :param associated_data: authenticated, not encrypted and not part of the result; None and
        empty are the same.
    :returns: ``nonce(12) || ciphertext(len(plaintext)) || tag(16)``.
    :raises InvalidKeyError: the key is not 32 bytes.
    :raises InvalidInputError: text or a strided array was passed, or over 2^31 - 1 bytes.

    The caller keeps the count: at most 2^32 messages under one key (SP 800-38D section 8.3).
    """
    return _encrypt_any(_aead(key), plaintext, associated_data)


def decrypt_aes_gcm(
    ciphertext: Buffer, key: Buffer, associated_data: Buffer | None = None
) -> bytes:
    """Verify and decrypt what :func:`encrypt_aes_gcm` returned.

    :param ciphertext: ``nonce(12) || ciphertext || tag(16)``; its length is checked first.
    :param key: exactly 32 bytes.
    :param associated_data: what was passed when it was encrypted.
    :raises DecryptionError: it does not open, for whatever reason: too short, another key,
        other associated data, any changed bit. One error, one text, no cause attached.
    :raises InvalidKeyError: the key is not 32 bytes.
    :raises InvalidInputError: text or a strided array was passed.
    """
    return _decrypt(_aead(key), ciphertext, associated_data)


class RawCipher:
    """AES-256-GCM in the plan's form under one key that is set up once. Thread-safe.

    :raises InvalidKeyError: the key is not 32 bytes.
    """

    __slots__ = ("_aead",)

    def __init__(self, key: Buffer) -> None:
        self._aead = _aead(key)

    def __repr__(self) -> str:
        return "RawCipher(AES-256-GCM)"

    def encrypt(self, plaintext: Buffer, associated_data: Buffer | None = None) -> bytes:
        """As :func:`encrypt_aes_gcm`."""
        return _encrypt_any(self._aead, plaintext, associated_data)

    def decrypt(self, ciphertext: Buffer, associated_data: Buffer | None = None) -> bytes:
        """As :func:`decrypt_aes_gcm`."""
        return _decrypt(self._aead, ciphertext, associated_data)
