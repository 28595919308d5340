"""Sealing to somebody's public key: HPKE in base mode (RFC 9180).

Whoever has the public key can seal; only the holder of the private one opens. Nothing says
who sealed it: sign it too where that matters. A sealed blob is

    0   4   "MFH" 0x01
    4   6   suite: KEM 0x0020, KDF 0x0001, AEAD 0x0002, two bytes each, big-endian
    10  32  enc: the ephemeral X25519 public key (RFC 9180 section 4.1)
    42  …   ciphertext, 16 bytes longer than the plaintext

and its HPKE ``info`` is ``"mycelium-fractal-net/hpke/v1" || bytes 0 to 9 || len(info) ||
info || associated data``, the length in 8 bytes, big-endian. HPKE's own ``aad`` is empty:
for a single message RFC 9180 section 8.1 binds either alike. Sizes in bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)

from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.byte_io.pem import (
    PRIVATE_KEY,
    PUBLIC_KEY,
    pem_decode,
    pem_encode,
)
from mycelium_fractal_net.security.errors import (
    DecryptionError,
    InvalidInputError,
    InvalidKeyError,
)
from mycelium_fractal_net.security.signatures.schemes import LOAD_ERRORS

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer

KEY_BYTES: Final = 32  # X25519, RFC 7748 section 5; public and private
_P: Final = 2**255 - 19  # the field of X25519, RFC 7748 section 4.1
# RFC 9180 sections 7.1 to 7.3: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_HEADER: Final = b"MFH\x01" + bytes.fromhex("0020 0001 0002")
_LABEL: Final = b"mycelium-fractal-net/hpke/v1"
_TAG_BYTES: Final = 16  # RFC 9180 section 7.3

OVERHEAD_BYTES: Final = len(_HEADER) + KEY_BYTES + _TAG_BYTES
"""A blob is this much longer than its plaintext."""

_MAX_BYTES: Final = 2**31 - 1 - _TAG_BYTES  # what AES-GCM takes at a time in ``cryptography``


class Recipient:
    """The X25519 public key of somebody who may open. Equal and hashable by its bytes.

    Made by :meth:`from_bytes` or :meth:`from_pem`, or found as :attr:`RecipientKey.public`.
    """

    __slots__ = ("_key",)

    def __init__(self, key: X25519PublicKey) -> None:
        raw = key.public_bytes_raw()
        # RFC 7748 section 5 reads 2^255 - 19 and up, and a set top bit, as other keys.
        canonical = int.from_bytes(raw, "little") < _P
        try:
            # A key of low order gives zeros whatever the private key; then anybody opens.
            X25519PrivateKey.from_private_bytes(bytes(KEY_BYTES)).exchange(key)
        except ValueError:
            canonical = False
        if not canonical:
            raise InvalidKeyError("the X25519 public key is not a usable point")
        self._key = key

    def __repr__(self) -> str:
        return "Recipient(X25519)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipient) and self.public_bytes() == other.public_bytes()

    def __hash__(self) -> int:
        return hash(self.public_bytes())

    @classmethod
    def from_bytes(cls, raw: Buffer) -> Recipient:
        """From 32 bytes, RFC 7748 section 5.

        :raises InvalidKeyError: another size, a point of low order, or not its one encoding.
        """
        raw = bytes(as_bytes(raw))
        if len(raw) != KEY_BYTES:
            raise InvalidKeyError(f"an X25519 public key is {KEY_BYTES} bytes")
        return cls(X25519PublicKey.from_public_bytes(raw))

    @classmethod
    def from_pem(cls, pem: str | bytes) -> Recipient:
        """From one PEM block ``PUBLIC KEY`` (RFC 8410). Raises as :meth:`from_bytes`."""
        der = pem_decode(PUBLIC_KEY, pem)
        try:
            key = load_der_public_key(der)
        except LOAD_ERRORS:
            key = None
        if not isinstance(key, X25519PublicKey) or _spki(key) != der:
            raise InvalidKeyError("not an X25519 public key in its one DER encoding")
        return cls(key)

    def public_bytes(self) -> bytes:
        """The 32 bytes of the key."""
        return self._key.public_bytes_raw()

    def der(self) -> bytes:
        """Its SubjectPublicKeyInfo (RFC 8410), DER."""
        return _spki(self._key)

    def pem(self) -> bytes:
        """The PEM block ``PUBLIC KEY``."""
        return pem_encode(PUBLIC_KEY, self.der())


class RecipientKey:
    """An X25519 private key, which opens. Shows no key and cannot be pickled."""

    __slots__ = ("_key", "public")

    public: Recipient

    def __init__(self, key: X25519PrivateKey) -> None:
        self._key = key
        self.public = Recipient(key.public_key())

    def __repr__(self) -> str:
        return "RecipientKey(X25519)"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a recipient's key is not pickled; private_bytes() hands it out on purpose")

    @classmethod
    def generate(cls) -> RecipientKey:
        """A fresh key, from the operating system's randomness."""
        return cls(X25519PrivateKey.generate())

    @classmethod
    def from_private_bytes(cls, material: Buffer) -> RecipientKey:
        """From the 32 bytes of :meth:`private_bytes`. Raises :class:`InvalidKeyError`."""
        material = bytes(as_bytes(material))
        if len(material) != KEY_BYTES:
            raise InvalidKeyError(f"an X25519 private key is {KEY_BYTES} bytes")
        return cls(X25519PrivateKey.from_private_bytes(material))

    @classmethod
    def from_pem(cls, pem: str | bytes) -> RecipientKey:
        """From one PEM block ``PRIVATE KEY``, not encrypted, as :meth:`private_pem` writes it.

        :raises InvalidKeyError: it is none.
        """
        der = pem_decode(PRIVATE_KEY, pem)
        try:
            key = load_der_private_key(der, password=None)
        except LOAD_ERRORS:
            key = None
        if not isinstance(key, X25519PrivateKey) or _pkcs8(key) != der:
            raise InvalidKeyError("not an unencrypted X25519 private key in its one DER encoding")
        return cls(key)

    def private_bytes(self) -> bytes:
        """The 32 bytes of the private key."""
        return self._key.private_bytes_raw()

    def private_pem(self) -> bytes:
        """The private key as a PEM block ``PRIVATE KEY``, not encrypted."""
        return pem_encode(PRIVATE_KEY, _pkcs8(self._key))


def seal_to_recipient(
    recipient: Recipient, plaintext: Buffer, *, info: Buffer = b"", associated_data: Buffer = b""
) -> bytes:
    """Seal ``plaintext`` so that only the holder of the recipient's private key opens it.

    :param info: what it is for; the opener must say the same.
    :param associated_data: authenticated, not encrypted and not part of the blob.
    :returns: the blob, 58 bytes longer than the plaintext; no two are alike.
    :raises InvalidInputError: text was passed, or about 2 GiB or more.
    """
    plaintext = as_bytes(plaintext)
    if len(plaintext) > _MAX_BYTES:
        raise InvalidInputError("at most 2^31 - 17 bytes are sealed to a recipient at a time")
    return _HEADER + _SUITE.encrypt(plaintext, recipient._key, _bound(info, associated_data))


def open_as_recipient(
    key: RecipientKey, blob: Buffer, *, info: Buffer = b"", associated_data: Buffer = b""
) -> bytes:
    """Open what :func:`seal_to_recipient` made for ``key.public``.

    :raises DecryptionError: it does not open, for whatever reason; one error, one text.
    :raises InvalidInputError: text was passed.
    """
    blob = as_bytes(blob)
    bound = _bound(info, associated_data)
    if len(blob) < OVERHEAD_BYTES or blob[: len(_HEADER)] != _HEADER:
        raise DecryptionError
    try:
        # X25519 takes other encodings of enc for the same point (RFC 7748 section 5), so that one
        # message would have many blobs; one of low order would let anybody open.
        Recipient.from_bytes(blob[len(_HEADER) : len(_HEADER) + KEY_BYTES])
        return _SUITE.decrypt(memoryview(blob)[len(_HEADER) :], key._key, bound)
    except (InvalidTag, InvalidKeyError, ValueError):
        raise DecryptionError from None


def _spki(key: X25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _pkcs8(key: X25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def _bound(info: Buffer, associated_data: Buffer) -> bytes:
    info = as_bytes(info)
    length = len(info).to_bytes(8, "big")
    return b"".join((_LABEL, _HEADER, length, info, as_bytes(associated_data)))
