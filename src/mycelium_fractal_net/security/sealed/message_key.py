"""What c2sp.org/chunked-encryption derives for one message, and small messages that hold a key.

``cryptography.cobblestone`` gives a plaintext out as ``bytes``, which nobody can overwrite, and
keeps a copy of the last chunk while it works. A key that was wrapped is therefore opened here, from
the standard's text, with HKDF-Expand-SHA-512 and AES-256-GCM of ``cryptography``, straight into
memory that is wiped. The tests hold it byte for byte against ``cobblestone``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import constant_time, hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from mycelium_fractal_net.security.byte_io.secret_bytes import SecretBytes
from mycelium_fractal_net.security.errors import DecryptionError
from mycelium_fractal_net.security.sealed.layout import (
    CHUNK_BYTES,
    COMMITMENT_BYTES,
    HEAD_BYTES,
    KEY_BYTES,
    NONCE_BYTES,
    SALT_BYTES,
    TAG_BYTES,
)

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Octets

_INFO_LABEL: Final = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00"
_NONCE_END: Final = KEY_BYTES + NONCE_BYTES


class MessageKey(NamedTuple):
    """The cipher of one message, and the number that each chunk's is added to for its nonce."""

    cipher: AESGCM
    base_nonce: int

    def nonce(self, chunk: int) -> bytes:
        """The nonce of a chunk, 12 bytes."""
        return (self.base_nonce ^ chunk).to_bytes(NONCE_BYTES, "big")


def message_key(key: Octets, context: bytes, head: Octets) -> MessageKey:
    """What a message's head, its salt and commitment, gives under a key and a context.

    Raises :class:`DecryptionError` unless the commitment is one to both.
    """
    derived = SecretBytes(_NONCE_END + COMMITMENT_BYTES)
    HKDFExpand(
        algorithm=hashes.SHA512(),
        length=len(derived),
        info=b"".join((_INFO_LABEL, head[:SALT_BYTES], context)),
    ).derive_into(key, derived)
    view = memoryview(derived)
    if not constant_time.bytes_eq(bytes(view[_NONCE_END:]), bytes(head[SALT_BYTES:])):
        raise DecryptionError
    base_nonce = int.from_bytes(view[KEY_BYTES:_NONCE_END], "big")
    return MessageKey(AESGCM(view[:KEY_BYTES]), base_nonce)


def open_secret(key: Octets, context: bytes, body: Octets) -> SecretBytes:
    """The plaintext of a message of one chunk, from its salt on.

    Raises :class:`DecryptionError`.
    """
    size = len(body) - HEAD_BYTES - TAG_BYTES
    if not 0 <= size < CHUNK_BYTES:
        raise DecryptionError
    found = message_key(key, context, body[:HEAD_BYTES])
    plaintext = SecretBytes(size)
    try:
        found.cipher.decrypt_into(found.nonce(0), body[HEAD_BYTES:], None, plaintext)
    except InvalidTag:
        raise DecryptionError from None
    return plaintext
