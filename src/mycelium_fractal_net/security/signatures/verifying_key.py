"""The public half of :mod:`~mycelium_fractal_net.security.signatures.signing_key`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from mycelium_fractal_net.security.algorithms.digests import sha256
from mycelium_fractal_net.security.byte_io.binary_io import BinaryReader, read_fully
from mycelium_fractal_net.security.byte_io.buffers import Octets, as_bytes, release, scratch
from mycelium_fractal_net.security.byte_io.pem import PUBLIC_KEY, pem_decode, pem_encode
from mycelium_fractal_net.security.errors import (
    InvalidInputError,
    InvalidKeyError,
    InvalidSignatureError,
)
from mycelium_fractal_net.security.signatures.jwk import jwk_decode, jwk_encode, jwk_members
from mycelium_fractal_net.security.signatures.prehash import is_labelled, prehash, prehashed_message
from mycelium_fractal_net.security.signatures.schemes import (
    LOAD_ERRORS,
    SignatureScheme,
    scheme_named,
    scheme_of,
)
from mycelium_fractal_net.security.signatures.signature_file import SignatureFile, SignatureMode

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer

MAX_PURE_BYTES: Final = 64 * 1024 * 1024
"""Longest data that is verified against a pure signature, since it must be held in memory."""


class VerifyingKey:
    """A public key. Equal and hashable by its encoding; safe to show and to share.

    :param public: a public key object of ``cryptography`` of one of the four schemes.
    :raises InvalidKeyError: another kind of key or curve; or an Ed25519 point that has low
        order, is not the one encoding of its point, or is not on the curve.
    """

    __slots__ = ("_der", "_public", "_scheme")

    def __init__(self, public: object) -> None:
        scheme = scheme_of(public)
        if not isinstance(public, scheme.public_type):
            raise InvalidKeyError("expected a public key, not a private one")
        scheme.check_public(public)
        self._scheme: SignatureScheme = scheme
        self._public = public
        self._der: bytes = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def __repr__(self) -> str:
        return f"VerifyingKey({self.algorithm})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VerifyingKey) and self._der == other._der

    def __hash__(self) -> int:
        return hash(self._der)

    @property
    def algorithm(self) -> str:
        """One of :data:`ALGORITHMS`."""
        return self._scheme.name

    @classmethod
    def from_der(cls, spki: Buffer) -> VerifyingKey:
        """From a DER SubjectPublicKeyInfo (RFC 5280 section 4.1), which names its algorithm.

        :raises InvalidKeyError: as the class, or the encoding is not the one :meth:`der` gives
            (compressed points, explicit curve parameters and trailing bytes are such).
        """
        spki = bytes(as_bytes(spki))
        try:
            public = load_der_public_key(spki)
        except LOAD_ERRORS:
            raise InvalidKeyError("not a DER public key of a kind we know") from None
        key = cls(public)
        if key.der() != spki:
            raise InvalidKeyError("the public key is not in its one DER encoding")
        return key

    @classmethod
    def from_pem(cls, pem: str | bytes) -> VerifyingKey:
        """From one PEM block ``PUBLIC KEY``. Raises as :meth:`from_der`."""
        return cls.from_der(pem_decode(PUBLIC_KEY, pem))

    @classmethod
    def from_jwk(cls, jwk: Mapping[str, object]) -> VerifyingKey:
        """From a public JWK. A ``kid`` is the caller's to read.

        :raises InvalidKeyError: as the class; members are missing, of another size or spelling
            or disagree; the JWK is not for verifying; or it has private members.
        """
        algorithm, point = jwk_decode(jwk)
        try:
            return cls(scheme_named(algorithm).load_point(point))
        except LOAD_ERRORS:
            raise InvalidKeyError("the public key is not a point of its curve") from None

    @classmethod
    def from_jwk_text(cls, text: str | bytes) -> VerifyingKey:
        """From a public JWK in JSON. Raises as :meth:`from_jwk`, also for what is no JSON."""
        return cls.from_jwk(jwk_members(text))

    def der(self) -> bytes:
        """The DER SubjectPublicKeyInfo: 44, 91, 120 or 1974 bytes by algorithm."""
        return self._der

    def pem(self) -> bytes:
        """The PEM block ``PUBLIC KEY``, ASCII, LF line ends."""
        return pem_encode(PUBLIC_KEY, self._der)

    def jwk(self) -> dict[str, str]:
        """The public JWK with ``kty``, ``alg``, ``use`` and ``crv``; without a ``kid``."""
        return jwk_encode(self.algorithm, self._scheme.point(self._public))

    def thumbprint(self) -> bytes:
        """The SHA-256 of :meth:`der`, 32 bytes: names the key, since it has one DER encoding."""
        return sha256(self._der)

    def verify(self, data: Buffer, signature: Buffer) -> None:
        """Return if ``signature`` is one of ``data`` under this key.

        :raises InvalidSignatureError: it is not, for whatever reason; also where ``data``
            begins with the label of signed hashes.
        :raises InvalidInputError: one of them is no buffer.
        """
        self._verify(self._scheme.verify, _unlabelled(data), signature)

    def verify_fixed_size(self, data: Buffer, signature: Buffer) -> None:
        """As :meth:`verify`, of what :meth:`SigningKey.sign_fixed_size` gave.

        :raises InvalidSignatureError: it is no such signature of ``data``.
        :raises InvalidInputError: one of them is no buffer.
        """
        self._verify(self._scheme.verify_fixed_size, _unlabelled(data), signature)

    def fixed_size(self, signature: Buffer) -> bytes:
        """The fixed-size form of what :meth:`SigningKey.sign` gave, which is not verified.

        ``r || s`` for ECDSA, 64 or 96 bytes (RFC 7518 section 3.4); else the signature itself.

        :raises InvalidSignatureError: it is no signature of this algorithm's form.
        """
        try:
            return self._scheme.fixed_size(bytes(as_bytes(signature)))
        except InvalidSignature:
            raise InvalidSignatureError from None

    def verify_prehashed(self, digest: Buffer, signature: Buffer) -> None:
        """Return if ``signature`` is one of the stream with that SHA-512 (:func:`prehash`).

        :raises InvalidSignatureError: it is not.
        :raises InvalidInputError: the digest is not 64 bytes.
        """
        self._verify(self._scheme.verify, prehashed_message(digest), signature)

    def verify_stream(self, reader: BinaryReader, signature: Buffer) -> None:
        """Return if ``signature`` is one that :meth:`SigningKey.sign_stream` made of the stream.

        :raises InvalidSignatureError: it is not; the stream was read to its end all the same.
        """
        self.verify_prehashed(prehash(reader), signature)

    def verify_file(self, reader: BinaryReader, signed: SignatureFile) -> None:
        """Return if a ``.sig`` file's signature is one of all that ``reader`` gives.

        That this key is the version that the file names is the caller's to see to.

        :raises InvalidSignatureError: it is not.
        :raises InvalidInputError: the mode is pure and there are over 64 MiB of data.
        """
        if signed.mode is SignatureMode.PREHASH:
            self.verify_stream(reader, signed.signature)
        else:
            self.verify(_read_bounded(reader), signed.signature)

    def _verify(
        self, verify: Callable[[Any, Octets, bytes], None], data: Octets, signature: Buffer
    ) -> None:
        if type(signature) is not bytes:
            signature = bytes(as_bytes(signature))
        try:
            verify(self._public, data, signature)
        except InvalidSignature:
            raise InvalidSignatureError from None


def _unlabelled(data: Buffer) -> Octets:
    """``data`` as bytes, which must not begin with the label of signed hashes."""
    if type(data) is not bytes:
        data = as_bytes(data)
    if is_labelled(data):
        raise InvalidSignatureError
    return data


def _read_bounded(reader: BinaryReader) -> bytearray:
    data = bytearray()
    block = scratch()
    with memoryview(block) as view:
        while count := read_fully(reader, view):
            data += view[:count]
            if len(data) > MAX_PURE_BYTES:
                raise InvalidInputError("over 64 MiB of data under a signature without pre-hash")
    release(block)
    return data
