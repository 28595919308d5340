"""The signature schemes, each as one object that knows its sizes and its checks.

| name       | standard                    | material | public key    | signature        |
| ---------- | --------------------------- | -------- | ------------- | ---------------- |
| Ed25519    | RFC 8032, FIPS 186-5        | seed 32  | 32            | 64, raw          |
| ECDSA-P256 | FIPS 186-5, SHA-256         | d 32     | x, y: 32 each | DER, at most 72  |
| ECDSA-P384 | FIPS 186-5, SHA-384         | d 48     | x, y: 48 each | DER, at most 104 |
| ML-DSA-65  | FIPS 204, pure, no context  | seed 32  | 1952          | 3309, raw        |

*Material* is the private key as the key store wraps it. Sizes in bytes.

The *fixed-size form* of an ECDSA signature is ``r || s``, each as long as ``d``: IEEE P1363, which
RFC 7518 section 3.4 and RFC 9421 section 3.3.4 write. Of the others it is the signature itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final, cast

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import load_der_private_key

from mycelium_fractal_net.security.byte_io.secret_bytes import SecretBytes
from mycelium_fractal_net.security.errors import AlgorithmNotAllowedError, InvalidKeyError
from mycelium_fractal_net.security.signatures.ed25519_points import REFUSED_ENCODINGS, is_on_curve

if TYPE_CHECKING:
    from cryptography.utils import Buffer

    from mycelium_fractal_net.security.byte_io.buffers import Octets


# OBJECT IDENTIFIERs, RFC 5480 sections 2.1.1 and 2.1.1.1.
_ID_EC_PUBLIC_KEY: Final = bytes.fromhex("06072a8648ce3d0201")
_P256: Final = bytes.fromhex("06082a8648ce3d030107")
_P384: Final = bytes.fromhex("06052b81040022")


def _tlv(tag: int, *parts: bytes) -> bytes:
    """One element of DER (X.690), of at most 127 bytes."""
    content = b"".join(parts)
    return bytes((tag, len(content))) + content


class SignatureScheme(ABC):
    """One signature scheme over the key objects of ``cryptography``, whose keys and signatures have
    raw forms that the library reads and writes, unless a scheme says otherwise.

    ``verify`` raises :class:`cryptography.exceptions.InvalidSignature`; the loaders raise
    :class:`InvalidKeyError`. ``data`` is one-dimensional bytes.
    """

    name: str
    material_bytes: int = 32
    private_type: type[Any]
    public_type: type[Any]

    def generate(self) -> Any:
        """A fresh private key."""
        return self.private_type.generate()

    @abstractmethod
    def load_material(self, material: Octets) -> Any:
        """The private key of that material, which has ``material_bytes``."""

    def material(self, private: Any) -> bytes:
        """The reverse of :meth:`load_material`."""
        raw: bytes = private.private_bytes_raw()
        return raw

    def load_point(self, point: bytes) -> Any:
        """The public key of those bytes, of the size in the table above; ``x || y`` for ECDSA."""
        return self.public_type.from_public_bytes(point)

    def point(self, public: Any) -> bytes:
        """The reverse of :meth:`load_point`."""
        raw: bytes = public.public_bytes_raw()
        return raw

    def sign(self, private: Any, data: Buffer) -> bytes:
        """The signature of ``data``."""
        signature: bytes = private.sign(data)
        return signature

    def verify(self, public: Any, data: Buffer, signature: bytes) -> None:
        """Return if ``signature`` is one of ``data``."""
        public.verify(signature, data)

    def fixed_size(self, signature: bytes) -> bytes:
        """The fixed-size form of what :meth:`sign` gave. Raises InvalidSignature."""
        return signature

    def verify_fixed_size(self, public: Any, data: Buffer, signature: bytes) -> None:
        """As :meth:`verify`, of the fixed-size form."""
        self.verify(public, data, signature)

    def owns(self, key: object) -> bool:
        """Whether ``key``, private or public, is a key of this scheme."""
        return isinstance(key, (self.private_type, self.public_type))

    def check_public(self, public: Any) -> None:  # noqa: B027 - most schemes have no more to check
        """Raise :class:`InvalidKeyError` unless the public key may be used."""


class _Ed25519(SignatureScheme):
    """RFC 8032 with the points of :mod:`.ed25519_points` refused. Deterministic."""

    name = "Ed25519"
    private_type = ed25519.Ed25519PrivateKey
    public_type = ed25519.Ed25519PublicKey

    def load_material(self, material: Octets) -> ed25519.Ed25519PrivateKey:
        return ed25519.Ed25519PrivateKey.from_private_bytes(material)

    def verify(self, public: ed25519.Ed25519PublicKey, data: Buffer, signature: bytes) -> None:
        # The library checks the length and that S is reduced (RFC 8032 section 5.1.7), and
        # compares encodings of R, so a second encoding of R cannot pass there either; R of
        # low order can.
        if signature[:32] in REFUSED_ENCODINGS:
            raise InvalidSignature
        super().verify(public, data, signature)

    def check_public(self, public: ed25519.Ed25519PublicKey) -> None:
        encoded = self.point(public)
        if encoded in REFUSED_ENCODINGS or not is_on_curve(encoded):
            raise InvalidKeyError("the Ed25519 public key is not a usable point")


class _Ecdsa(SignatureScheme):
    """ECDSA with the hash of the curve's strength. Signatures are randomized.

    Both s and n - s verify, as FIPS 186-5 has it: a signature is not a unique name of itself.
    """

    private_type = ec.EllipticCurvePrivateKey
    public_type = ec.EllipticCurvePublicKey

    def __init__(
        self, name: str, curve: ec.EllipticCurve, digest: hashes.HashAlgorithm, oid: bytes
    ) -> None:
        self.name = name
        self._curve = curve
        self._order = curve.group_order
        self._algorithm = ec.ECDSA(digest)
        self.material_bytes = size = curve.key_size // 8
        # What stands before d in a PrivateKeyInfo (RFC 5958) of an ECPrivateKey (RFC 5915).
        self._pkcs8_head = _tlv(
            0x30,
            b"\x02\x01\x00",
            _tlv(0x30, _ID_EC_PUBLIC_KEY, oid),
            _tlv(0x04, _tlv(0x30, b"\x02\x01\x01", _tlv(0x04, bytes(size)))),
        )[:-size]

    def owns(self, key: object) -> bool:
        return super().owns(key) and key.curve.name == self._curve.name  # type: ignore[attr-defined]

    def generate(self) -> ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(self._curve)

    def load_material(self, material: Octets) -> ec.EllipticCurvePrivateKey:
        # As a structure, since a number of Python's is a copy that nobody can wipe.
        head = self._pkcs8_head
        pkcs8 = SecretBytes(len(head) + len(material))
        pkcs8[: len(head)] = head
        pkcs8[len(head) :] = material
        return cast("ec.EllipticCurvePrivateKey", load_der_private_key(pkcs8, password=None))

    def material(self, private: ec.EllipticCurvePrivateKey) -> bytes:
        return private.private_numbers().private_value.to_bytes(self.material_bytes, "big")

    def load_point(self, point: bytes) -> ec.EllipticCurvePublicKey:
        # SEC 1 section 2.3.3: 4 means uncompressed. The library checks the curve equation.
        return ec.EllipticCurvePublicKey.from_encoded_point(self._curve, b"\x04" + point)

    def point(self, public: ec.EllipticCurvePublicKey) -> bytes:
        numbers = public.public_numbers()
        size = self.material_bytes
        return numbers.x.to_bytes(size, "big") + numbers.y.to_bytes(size, "big")

    def sign(self, private: ec.EllipticCurvePrivateKey, data: Buffer) -> bytes:
        return private.sign(data, self._algorithm)

    def verify(self, public: ec.EllipticCurvePublicKey, data: Buffer, signature: bytes) -> None:
        self._numbers(signature)
        public.verify(signature, data, self._algorithm)

    def fixed_size(self, signature: bytes) -> bytes:
        size = self.material_bytes
        return b"".join(number.to_bytes(size, "big") for number in self._numbers(signature))

    def verify_fixed_size(
        self, public: ec.EllipticCurvePublicKey, data: Buffer, signature: bytes
    ) -> None:
        size = self.material_bytes
        r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
        if len(signature) != 2 * size or not self._in_range(r, s):
            raise InvalidSignature
        public.verify(encode_dss_signature(r, s), data, self._algorithm)

    def _numbers(self, signature: bytes) -> tuple[int, int]:
        """Both numbers of a DER signature. Raises InvalidSignature."""
        try:
            r, s = decode_dss_signature(signature)
        except ValueError:
            raise InvalidSignature from None
        # DER has one encoding per pair (X.690 section 10); a parser that grew lax shows here.
        if not self._in_range(r, s) or encode_dss_signature(r, s) != signature:
            raise InvalidSignature
        return r, s

    def _in_range(self, r: int, s: int) -> bool:
        return 0 < r < self._order and 0 < s < self._order


class _MlDsa65(SignatureScheme):
    """FIPS 204, pure ML-DSA-65 with an empty context. Signatures are hedged, so they differ."""

    name = "ML-DSA-65"
    private_type = mldsa.MLDSA65PrivateKey
    public_type = mldsa.MLDSA65PublicKey

    def load_material(self, material: Octets) -> mldsa.MLDSA65PrivateKey:
        return mldsa.MLDSA65PrivateKey.from_seed_bytes(material)


SCHEMES: Final[dict[str, SignatureScheme]] = {
    scheme.name: scheme
    for scheme in (
        _Ed25519(),
        _Ecdsa("ECDSA-P256", ec.SECP256R1(), hashes.SHA256(), _P256),
        _Ecdsa("ECDSA-P384", ec.SECP384R1(), hashes.SHA384(), _P384),
        _MlDsa65(),
    )
}
"""By algorithm name."""


def scheme_named(algorithm: str) -> SignatureScheme:
    """The scheme of that name. Raises :class:`AlgorithmNotAllowedError`."""
    try:
        return SCHEMES[algorithm]
    except (KeyError, TypeError):
        raise AlgorithmNotAllowedError(
            f"no such signature algorithm; there are {', '.join(SCHEMES)}"
        ) from None


def scheme_of(key: object) -> SignatureScheme:
    """The scheme that a key of ``cryptography`` belongs to. Raises :class:`InvalidKeyError`."""
    for scheme in SCHEMES.values():
        if scheme.owns(key):
            return scheme
    raise InvalidKeyError(f"a signing key is one of {', '.join(SCHEMES)}")


# What the loaders of ``cryptography`` raise for input that is no key. InternalError is what
# fuzzing met: a PKCS #8 of Ed448 or X448 with 32 bytes of key.
LOAD_ERRORS: Final = (ValueError, TypeError, UnsupportedAlgorithm, InternalError)
