"""A key on its way to or from another software: wrapped for a public key.

| method    | the key to wrap for | a wrapped key is                                      |
| --------- | ------------------- | ----------------------------------------------------- |
| rsa-aes   | RSA, 3072 bits up   | CKM_RSA_AES_KEY_WRAP with SHA-256: `.rsa_recipients`  |
| hpke      | X25519              | HPKE with the info ``key/v1``: `.recipients`          |
| hpke-p256 | P-256               | the same                                              |
| hpke-p384 | P-384               | the same                                              |

What is wrapped is the key itself: 32 bytes of a symmetric one, DER PKCS #8 of a signing key. What
one store exports for the key of another's import, that one imports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.byte_io.pem import PUBLIC_KEY, pem_decode, pem_encode
from mycelium_fractal_net.security.errors import InvalidInputError, InvalidKeyError
from mycelium_fractal_net.security.sealed.hpke_suites import SUITES
from mycelium_fractal_net.security.sealed.recipients import (
    Recipient,
    RecipientKey,
    open_as_recipient,
    seal_to_recipient,
)
from mycelium_fractal_net.security.sealed.rsa_recipients import RsaRecipient, RsaRecipientKey
from mycelium_fractal_net.security.signatures.schemes import LOAD_ERRORS

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer

RSA_AES: Final = "rsa-aes"
_OF_SUITES: Final = {"HPKE-X25519": "hpke", "HPKE-P256": "hpke-p256", "HPKE-P384": "hpke-p384"}
METHODS: Final = {
    RSA_AES: ("RSA-OAEP-256", "AES-256-KWP"),
    **{method: (suite,) for suite, method in _OF_SUITES.items()},
}
"""Each method with the algorithms that it is made of; the first of WRAP_METHODS first."""

HPKE_INFO: Final = b"mycelium-fractal-net/key/v1"
_X25519_SPKI: Final = bytes.fromhex("302a300506032b656e032100")  # RFC 8410 section 4


class WrappingKey:
    """A public key for whose holder keys are wrapped, by its ``method``."""

    __slots__ = ("_recipient", "method")

    def __init__(self, recipient: RsaRecipient | Recipient) -> None:
        self._recipient = recipient
        self.method = (
            RSA_AES if isinstance(recipient, RsaRecipient) else _OF_SUITES[recipient.algorithm]
        )

    def __repr__(self) -> str:
        return f"WrappingKey({self.method})"

    @classmethod
    def from_file(cls, content: Buffer) -> WrappingKey:
        """From the one PEM block ``PUBLIC KEY`` in a file, or its DER.

        :raises InvalidKeyError: it is none, of another kind, or too weak to wrap for.
        """
        der = der_of_file(content)
        try:
            key: object = load_der_public_key(der)
        except LOAD_ERRORS:
            key = None
        if isinstance(key, RSAPublicKey):
            return cls(RsaRecipient(key))
        if any(suite.owns(key) for suite in SUITES.values()):
            return cls(Recipient(key))
        raise InvalidKeyError(
            "a key is wrapped for an RSA, X25519, P-256 or P-384 public key, in PEM or DER"
        )

    def der(self) -> bytes:
        """Its SubjectPublicKeyInfo, DER."""
        return self._recipient.der()

    def pem(self) -> bytes:
        """The PEM block ``PUBLIC KEY``."""
        return pem_encode(PUBLIC_KEY, self.der())

    def wrap(self, material: Buffer) -> bytes:
        """``material``, which only the holder of the private key gets out again."""
        if isinstance(self._recipient, RsaRecipient):
            return self._recipient.wrap(material)
        return seal_to_recipient(self._recipient, material, info=HPKE_INFO)


class UnwrappingKey:
    """The private half of a :class:`WrappingKey`. Shows no key and cannot be pickled."""

    __slots__ = ("_key", "public")

    public: WrappingKey

    def __init__(self, key: RsaRecipientKey | RecipientKey) -> None:
        self._key = key
        self.public = WrappingKey(key.public)

    def __repr__(self) -> str:
        return f"UnwrappingKey({self.public.method})"

    @classmethod
    def generate(cls, method: str) -> UnwrappingKey:
        """A fresh one. RSA has 4,096 bits and takes up to 2 s, the others a millisecond."""
        suite = _suite(method)
        return cls(RsaRecipientKey.generate() if suite is None else RecipientKey.generate(suite))

    @classmethod
    def from_private_bytes(cls, method: str, material: Buffer) -> UnwrappingKey:
        """From what :meth:`private_bytes` gave. Raises :class:`InvalidKeyError`."""
        suite = _suite(method)
        if suite is None:
            return cls(RsaRecipientKey.from_private_bytes(material))
        return cls(RecipientKey.from_private_bytes(suite, material))

    def private_bytes(self) -> bytes:
        """The private key: DER PKCS #8 of RSA, of the others 32 bytes, or 48 (RFC 9180 7.1.2)."""
        return self._key.private_bytes()

    def unwrap(self, wrapped: Buffer) -> bytes:
        """What was wrapped. Raises :class:`DecryptionError`, whatever is wrong with it."""
        if isinstance(self._key, RsaRecipientKey):
            return self._key.unwrap(wrapped)
        return open_as_recipient(self._key, wrapped, info=HPKE_INFO)


def der_of_file(content: Buffer) -> bytes:
    """The DER in a file, or in its one PEM block ``PUBLIC KEY``. Raises InvalidKeyError."""
    content = bytes(as_bytes(content))
    # Of DER, a SEQUENCE.
    return content if content[:1] == b"0" else pem_decode(PUBLIC_KEY, content)


def is_x25519(der: bytes) -> bool:
    """Whether a SubjectPublicKeyInfo says that it is X25519: some FIPS modules load none."""
    return der.startswith(_X25519_SPKI)


def _suite(method: str) -> str | None:
    """The suite of HPKE of a method, None of RSA. Raises :class:`InvalidInputError`."""
    if method not in METHODS:
        raise InvalidInputError(f"a key is wrapped by {', '.join(METHODS)}")
    return None if method == RSA_AES else METHODS[method][0]
