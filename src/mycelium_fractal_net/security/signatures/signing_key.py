"""Signing and verifying: Ed25519, ECDSA on P-256 and P-384, and ML-DSA-65.

Signatures are bare: raw for Ed25519 (64 bytes) and ML-DSA-65 (3309), DER for ECDSA (at most
72 and 104). Keys travel as DER (RFC 5280 SubjectPublicKeyInfo, RFC 5958) and PEM (RFC 7468),
and each has one encoding: what would be encoded otherwise is refused.

A stream is signed through its hash: the signature is one of ``PREHASH_LABEL || SHA-512(data)``.
``sign`` and ``verify`` refuse messages that begin with that label, so no signature of one kind
is ever one of the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from mycelium_fractal_net.security.byte_io.binary_io import BinaryReader
from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.byte_io.pem import PRIVATE_KEY, pem_decode, pem_encode
from mycelium_fractal_net.security.errors import InvalidInputError, InvalidKeyError
from mycelium_fractal_net.security.signatures.prehash import (
    is_labelled,
    prehash,
    prehashed_message,
)
from mycelium_fractal_net.security.signatures.schemes import (
    LOAD_ERRORS,
    SCHEMES,
    scheme_named,
    scheme_of,
)
from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer

ALGORITHMS: Final = tuple(SCHEMES)
"""The names of the signature algorithms; the first is the default."""


class SigningKey:
    """A private key with its public one. Shows no key and cannot be pickled.

    Made by :meth:`generate` or one of the ``from_`` methods, which raise
    :class:`AlgorithmNotAllowedError` for an unknown algorithm and :class:`InvalidKeyError` for
    material that is no key of it.
    """

    __slots__ = ("_private", "_scheme", "public")

    public: VerifyingKey

    def __init__(self, private: object) -> None:
        scheme = scheme_of(private)
        if not isinstance(private, scheme.private_type):
            raise InvalidKeyError("expected a private key, not a public one")
        self._scheme = scheme
        self._private = private
        self.public = VerifyingKey(private.public_key())

    def __repr__(self) -> str:
        return f"SigningKey({self.algorithm})"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a signing key is not pickled; private_bytes() hands it out on purpose")

    @property
    def algorithm(self) -> str:
        """One of :data:`ALGORITHMS`."""
        return self._scheme.name

    @classmethod
    def generate(cls, algorithm: str = ALGORITHMS[0]) -> SigningKey:
        """A fresh key of ``algorithm``, from the operating system's randomness."""
        return cls(scheme_named(algorithm).generate())

    @classmethod
    def from_private_bytes(cls, algorithm: str, material: Buffer) -> SigningKey:
        """From what :meth:`private_bytes` gave: 32 bytes, 48 for ECDSA-P384."""
        scheme = scheme_named(algorithm)
        try:
            material = as_bytes(material)
            if len(material) == scheme.material_bytes:
                return cls(scheme.load_material(material))
        except (*LOAD_ERRORS, InvalidInputError):
            pass
        raise InvalidKeyError(
            f"a private key of {algorithm} is {scheme.material_bytes} bytes in its range"
        )

    @classmethod
    def from_der(cls, pkcs8: Buffer) -> SigningKey:
        """From a DER PKCS #8 PrivateKeyInfo (RFC 5958), not encrypted.

        :raises InvalidKeyError: it is none of our four kinds, or not in the one encoding that
            :meth:`private_der` gives.
        """
        pkcs8 = bytes(as_bytes(pkcs8))
        try:
            private = load_der_private_key(pkcs8, password=None)
            scheme = scheme_of(private)
            # Through the bare material, so that a public key inside cannot say otherwise.
            key = cls.from_private_bytes(scheme.name, scheme.material(private))
        except LOAD_ERRORS:
            raise InvalidKeyError("not an unencrypted DER private key of a kind we know") from None
        if key.private_der() != pkcs8:
            raise InvalidKeyError("the private key is not in its one DER encoding")
        return key

    @classmethod
    def from_any_pkcs8(cls, algorithm: str, pkcs8: Buffer) -> SigningKey:
        """From a DER PKCS #8 of another's making, not encrypted, with or without its public key.

        What is kept is the private key alone, so how it was written no longer matters. Version 2
        of the structure (RFC 5958, with a public key outside of the private one) is not read.

        :raises InvalidKeyError: it is no key of exactly that algorithm, or has another's public key
            in it.
        """
        scheme = scheme_named(algorithm)
        try:
            private = load_der_private_key(bytes(as_bytes(pkcs8)), password=None)
            if scheme.owns(private):  # and the library refuses a public key that is not its own
                return cls.from_private_bytes(algorithm, scheme.material(private))
        except LOAD_ERRORS:
            pass
        raise InvalidKeyError(f"not an unencrypted DER private key of {algorithm}")

    @classmethod
    def from_pem(cls, pem: str | bytes) -> SigningKey:
        """From one PEM block ``PRIVATE KEY``. Raises as :meth:`from_der`."""
        return cls.from_der(pem_decode(PRIVATE_KEY, pem))

    def private_bytes(self) -> bytes:
        """The bare private key: an Ed25519 or ML-DSA seed (32 bytes), or the ECDSA scalar."""
        return self._scheme.material(self._private)

    def private_der(self) -> bytes:
        """The private key as DER PKCS #8, not encrypted."""
        der: bytes = self._private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return der

    def private_pem(self) -> bytes:
        """The private key as a PEM block ``PRIVATE KEY``, not encrypted."""
        return pem_encode(PRIVATE_KEY, self.private_der())

    def sign(self, data: Buffer) -> bytes:
        """The signature of ``data``.

        :raises InvalidInputError: it begins with :data:`PREHASH_LABEL`, or is no buffer.
        """
        if type(data) is not bytes:
            data = as_bytes(data)
        if is_labelled(data):
            raise InvalidInputError("the data begins with the label that marks signed hashes")
        return self._scheme.sign(self._private, data)

    def sign_fixed_size(self, data: Buffer) -> bytes:
        """As :meth:`sign`, in a form of one size: ``r || s`` for ECDSA (RFC 7518 section 3.4)."""
        return self._scheme.fixed_size(self.sign(data))

    def sign_prehashed(self, digest: Buffer) -> bytes:
        """The signature of the stream with that SHA-512 (:func:`prehash`).

        :raises InvalidInputError: the digest is not 64 bytes.
        """
        return self._scheme.sign(self._private, prehashed_message(digest))

    def sign_stream(self, reader: BinaryReader) -> bytes:
        """The signature of ``PREHASH_LABEL || SHA-512(stream)``; reads to the end."""
        return self.sign_prehashed(prehash(reader))
