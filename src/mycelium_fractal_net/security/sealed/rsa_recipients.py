"""A key wrapped for the holder of an RSA key: CKM_RSA_AES_KEY_WRAP of PKCS #11.

What AWS KMS calls ``RSA_AES_KEY_WRAP_SHA_256`` and Vault's import takes. A wrapped key is

    0   k   a fresh AES-256 key, by RSAES-OAEP (RFC 8017 section 7.1), k bytes as the modulus;
            SHA-256, MGF1 with SHA-256, no label
    k   …   the key, by AES key wrap with padding (RFC 5649) under that, in blocks of 8 bytes;
            8 to 15 bytes longer than the key

Nothing says who wrapped it. Sizes in bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap_with_padding,
    aes_key_wrap_with_padding,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import DecryptionError, InvalidKeyError
from mycelium_fractal_net.security.signatures.schemes import LOAD_ERRORS

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer

MODULUS_BITS: Final = 4096  # of keys that are made here
MIN_MODULUS_BITS: Final = 3072  # 128 bits of strength, SP 800-57 part 1 table 2
MAX_MODULUS_BITS: Final = 8192
_MIN_EXPONENT: Final = 65_537  # SP 800-56B section 6.2.1
_EPHEMERAL_BYTES: Final = 32  # AES-256
_OAEP: Final = OAEP(mgf=MGF1(SHA256()), algorithm=SHA256(), label=None)


class RsaRecipient:
    """The RSA public key of somebody for whom a key may be wrapped."""

    __slots__ = ("_key",)

    def __init__(self, key: RSAPublicKey) -> None:
        """Raises :class:`InvalidKeyError` for a key that is too small, or larger than is sane."""
        if not MIN_MODULUS_BITS <= key.key_size <= MAX_MODULUS_BITS:
            raise InvalidKeyError(
                f"an RSA key to wrap for has {MIN_MODULUS_BITS} to {MAX_MODULUS_BITS} bits"
            )
        if key.public_numbers().e < _MIN_EXPONENT:
            raise InvalidKeyError("an RSA key to wrap for has an exponent of 65537 or more")
        self._key = key

    def __repr__(self) -> str:
        return "RsaRecipient"

    def der(self) -> bytes:
        """Its SubjectPublicKeyInfo, DER."""
        return self._key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def wrap(self, material: Buffer) -> bytes:
        """``material`` wrapped for the holder of the private key."""
        ephemeral = AESGCM.generate_key(8 * _EPHEMERAL_BYTES)  # in FIPS mode the module's generator
        wrapped = aes_key_wrap_with_padding(ephemeral, bytes(as_bytes(material)))
        return self._key.encrypt(ephemeral, _OAEP) + wrapped


class RsaRecipientKey:
    """An RSA private key, for which keys are wrapped. Shows no key and cannot be pickled."""

    __slots__ = ("_key", "public")

    public: RsaRecipient

    def __init__(self, key: RSAPrivateKey) -> None:
        self._key = key
        self.public = RsaRecipient(key.public_key())

    def __repr__(self) -> str:
        return "RsaRecipientKey"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a recipient's key is not pickled; private_bytes() hands it out on purpose")

    @classmethod
    def generate(cls) -> RsaRecipientKey:
        """A fresh key of 4,096 bits, from the operating system's randomness. Takes up to 2 s."""
        return cls(generate_private_key(_MIN_EXPONENT, MODULUS_BITS))

    @classmethod
    def from_private_bytes(cls, material: Buffer) -> RsaRecipientKey:
        """From what :meth:`private_bytes` gave. Raises :class:`InvalidKeyError`.

        It is not checked to be made of primes: that takes as long as making it, and what was
        wrapped by a master key is what was put there.
        """
        try:
            key = load_der_private_key(
                bytes(as_bytes(material)), password=None, unsafe_skip_rsa_key_validation=True
            )
        except LOAD_ERRORS:
            key = None
        if not isinstance(key, RSAPrivateKey):
            raise InvalidKeyError("not an unencrypted RSA private key in DER")
        return cls(key)

    def private_bytes(self) -> bytes:
        """The private key as DER PKCS #8, not encrypted: some 2,400 bytes."""
        return self._key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    def unwrap(self, wrapped: Buffer) -> bytes:
        """What was wrapped. Raises :class:`DecryptionError`, whatever is wrong with it."""
        blob = bytes(as_bytes(wrapped))
        modulus_bytes = self._key.key_size // 8
        try:
            ephemeral = self._key.decrypt(blob[:modulus_bytes], _OAEP)
            if len(ephemeral) == _EPHEMERAL_BYTES:
                return aes_key_unwrap_with_padding(ephemeral, blob[modulus_bytes:])
        except (ValueError, InvalidUnwrap):
            pass
        raise DecryptionError
