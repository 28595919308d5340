"""The suites of HPKE (RFC 9180) that are sealed with, each with what it knows of its keys.

| name        | KEM                               | KDF                | public keys | private |
| ----------- | --------------------------------- | ------------------ | ----------- | ------- |
| HPKE-X25519 | 0x0020 DHKEM(X25519, HKDF-SHA256) | 0x0001 HKDF-SHA256 | 32          | 32      |
| HPKE-P256   | 0x0010 DHKEM(P-256, HKDF-SHA256)  | 0x0001 HKDF-SHA256 | 65: 4, x, y | 32      |
| HPKE-P384   | 0x0011 DHKEM(P-384, HKDF-SHA384)  | 0x0002 HKDF-SHA384 | 97: 4, x, y | 48      |

and HPKE-MLKEM768-X25519, the hybrid KEM 0x647a with 0x0001 HKDF-SHA256, whose public keys have
1,216 bytes and whose private ones are a seed of 32: :mod:`.hybrid_keys`.

The AEAD is 0x0002, AES-256-GCM, in each. Keys are serialized by RFC 9180 sections 7.1.1 and 7.1.2:
points of SEC 1 without compression, private keys as big-endian numbers; of X25519 the bytes of RFC
7748. ``enc``, an ephemeral public key, is as long as a public key; of the hybrid it is a ciphertext
of ML-KEM-768 (FIPS 203) and an ephemeral key of X25519, 1,120 in all. Sizes in bytes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from mycelium_fractal_net.security.errors import AlgorithmNotAllowedError, InvalidKeyError
from mycelium_fractal_net.security.sealed.hybrid_keys import (
    CIPHERTEXT_BYTES,
    PUBLIC_BYTES,
    SEED_BYTES,
    X25519_BYTES,
    HybridPrivateKey,
    HybridPublicKey,
)

if TYPE_CHECKING:
    from cryptography.utils import Buffer

_AES_256_GCM: Final = 0x0002  # RFC 9180 section 7.3
_NO_PEM: Final = "a hybrid key has no PEM, and is written as a line of text"


class HpkeSuite(ABC):
    """One suite over the key objects of ``cryptography``. The loaders raise InvalidKeyError."""

    private_type: type[Any]
    public_type: type[Any]
    quantum_safe = False
    """Whether it holds, by what is known, against a quantum computer."""

    def __init__(
        self, name: str, key_bytes: tuple[int, int], ids: tuple[int, int], kem: KEM, kdf: KDF
    ) -> None:
        self.name = name
        self.kind = name.removeprefix("HPKE-")
        self.public_bytes, self.private_bytes = key_bytes
        self.enc_bytes = self.public_bytes
        self.identifier = b"".join(number.to_bytes(2, "big") for number in (*ids, _AES_256_GCM))
        """KEM, KDF and AEAD, two bytes each, big-endian."""
        self._kem, self._kdf = kem, kdf

    def owns(self, key: object) -> bool:
        """Whether ``key``, private or public, is a key of this suite."""
        return isinstance(key, (self.private_type, self.public_type))

    @cached_property
    def _suite(self) -> Suite:
        return Suite(self._kem, self._kdf, AEAD.AES_256_GCM)

    def encrypt(self, plaintext: Buffer, public: Any, info: bytes) -> bytes:
        """``enc || ciphertext``, in base mode."""
        return self._suite.encrypt(plaintext, public, info)

    def decrypt(self, message: Buffer, private: Any, info: bytes) -> bytes:
        """The reverse. Raises InvalidTag or ValueError, or InvalidKeyError of its ``enc``."""
        self.check_enc(bytes(memoryview(message)[: self.enc_bytes]))
        return self._suite.decrypt(message, private, info)

    def check_enc(self, enc: bytes) -> None:
        """Raise :class:`InvalidKeyError` unless that is the one encoding of a usable ``enc``."""
        self.load_public(enc)

    def load_public(self, raw: bytes) -> Any:
        """The public key of those bytes, which are its only encoding."""
        if len(raw) != self.public_bytes:
            raise InvalidKeyError(f"{self._an} public key is {self.public_bytes} bytes")
        try:
            key = self._public_of(raw)
        except ValueError:
            raise InvalidKeyError(f"the {self.kind} public key is not a usable point") from None
        self.check_public(key)
        return key

    def load_private(self, raw: bytes) -> Any:
        """The private key of those bytes."""
        if len(raw) != self.private_bytes:
            raise InvalidKeyError(f"{self._an} private key is {self.private_bytes} bytes")
        try:
            return self._private_of(raw)
        except ValueError:
            raise InvalidKeyError(f"not a private key of {self.kind}") from None

    def public_der(self, key: Any) -> bytes:
        """Its SubjectPublicKeyInfo, DER. Raises :class:`InvalidKeyError` where there is none."""
        der: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return der

    def private_der(self, key: Any) -> bytes:
        """Its PKCS #8, DER, not encrypted. Raises :class:`InvalidKeyError` where there is none."""
        der: bytes = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return der

    @property
    def _an(self) -> str:
        return f"an {self.kind}" if self.kind.startswith("X") else f"a {self.kind}"

    @abstractmethod
    def generate(self) -> Any:
        """A fresh private key."""

    @abstractmethod
    def public(self, key: Any) -> bytes:
        """The reverse of :meth:`load_public`."""

    @abstractmethod
    def private(self, key: Any) -> bytes:
        """The reverse of :meth:`load_private`."""

    @abstractmethod
    def check_public(self, key: Any) -> None:
        """Raise :class:`InvalidKeyError` unless the public key may be sealed to."""

    @abstractmethod
    def _public_of(self, raw: bytes) -> Any: ...

    @abstractmethod
    def _private_of(self, raw: bytes) -> Any: ...


class _X25519(HpkeSuite):
    private_type = X25519PrivateKey
    public_type = X25519PublicKey
    _P = 2**255 - 19  # the field of X25519, RFC 7748 section 4.1

    def generate(self) -> X25519PrivateKey:
        return X25519PrivateKey.generate()

    def public(self, key: X25519PublicKey) -> bytes:
        return key.public_bytes_raw()

    def private(self, key: X25519PrivateKey) -> bytes:
        return key.private_bytes_raw()

    def check_public(self, key: X25519PublicKey) -> None:
        # RFC 7748 section 5 reads 2^255 - 19 and up, and a set top bit, as other keys: one message
        # would have many blobs.
        usable = int.from_bytes(key.public_bytes_raw(), "little") < self._P
        try:
            # A key of low order gives zeros whatever the private key; then anybody opens.
            X25519PrivateKey.from_private_bytes(bytes(self.private_bytes)).exchange(key)
        except ValueError:
            usable = False
        if not usable:
            raise InvalidKeyError("the X25519 public key is not a usable point")

    def _public_of(self, raw: bytes) -> X25519PublicKey:
        return X25519PublicKey.from_public_bytes(raw)

    def _private_of(self, raw: bytes) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(raw)


class _Curve(HpkeSuite):
    """A curve of SP 800-186 whose order is prime: every point on it may be sealed to."""

    private_type = ec.EllipticCurvePrivateKey
    public_type = ec.EllipticCurvePublicKey

    def __init__(self, curve: ec.EllipticCurve, *suite: Any) -> None:
        super().__init__(*suite)
        self._curve = curve

    def owns(self, key: object) -> bool:
        return super().owns(key) and key.curve.name == self._curve.name  # type: ignore[attr-defined]

    def generate(self) -> ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(self._curve)

    def public(self, key: ec.EllipticCurvePublicKey) -> bytes:
        return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def private(self, key: ec.EllipticCurvePrivateKey) -> bytes:
        return key.private_numbers().private_value.to_bytes(self.private_bytes, "big")

    def check_public(self, key: ec.EllipticCurvePublicKey) -> None:
        """Nothing: the library makes a key of no point that is not on the curve, or at infinity."""

    def _public_of(self, raw: bytes) -> ec.EllipticCurvePublicKey:
        # Of that length none is compressed; the library refuses the hybrid form of SEC 1.
        return ec.EllipticCurvePublicKey.from_encoded_point(self._curve, raw)

    def _private_of(self, raw: bytes) -> ec.EllipticCurvePrivateKey:
        return ec.derive_private_key(int.from_bytes(raw, "big"), self._curve)


class _Hybrid(HpkeSuite):
    """ML-KEM-768 and X25519: whoever opens without the key has broken both."""

    private_type = HybridPrivateKey
    public_type = HybridPublicKey
    quantum_safe = True

    def __init__(self, *suite: Any) -> None:
        super().__init__(*suite)
        self.enc_bytes = CIPHERTEXT_BYTES + X25519_BYTES

    def encrypt(self, plaintext: Buffer, public: HybridPublicKey, info: bytes) -> bytes:
        return self._suite.encrypt(plaintext, public.key, info)

    def decrypt(self, message: Buffer, private: HybridPrivateKey, info: bytes) -> bytes:
        self.check_enc(bytes(memoryview(message)[: self.enc_bytes]))
        return self._suite.decrypt(message, private.key, info)

    def check_enc(self, enc: bytes) -> None:
        # Any 1,088 bytes are a ciphertext of ML-KEM-768, each its own: FIPS 203 section 7.3.
        SUITES["HPKE-X25519"].load_public(enc[CIPHERTEXT_BYTES:])

    def generate(self) -> HybridPrivateKey:
        return HybridPrivateKey.generate()

    def public(self, key: HybridPublicKey) -> bytes:
        return key.raw

    def private(self, key: HybridPrivateKey) -> bytes:
        return key.seed

    def check_public(self, key: HybridPublicKey) -> None:
        SUITES["HPKE-X25519"].load_public(key.raw[-X25519_BYTES:])

    def public_der(self, key: HybridPublicKey) -> bytes:
        del key
        raise InvalidKeyError(_NO_PEM)

    def private_der(self, key: HybridPrivateKey) -> bytes:
        del key
        raise InvalidKeyError(_NO_PEM)

    def _public_of(self, raw: bytes) -> HybridPublicKey:
        return HybridPublicKey(raw)

    def _private_of(self, raw: bytes) -> HybridPrivateKey:
        return HybridPrivateKey(raw)


SUITES: Final[dict[str, HpkeSuite]] = {
    suite.name: suite
    for suite in (
        _X25519("HPKE-X25519", (32, 32), (0x0020, 0x0001), KEM.X25519, KDF.HKDF_SHA256),
        _Curve(ec.SECP256R1(), "HPKE-P256", (65, 32), (0x0010, 0x0001), KEM.P256, KDF.HKDF_SHA256),
        _Curve(ec.SECP384R1(), "HPKE-P384", (97, 48), (0x0011, 0x0002), KEM.P384, KDF.HKDF_SHA384),
        _Hybrid(
            "HPKE-MLKEM768-X25519", (PUBLIC_BYTES, SEED_BYTES), (0x647A, 0x0001),
            KEM.MLKEM768_X25519, KDF.HKDF_SHA256,
        ),
    )
}  # fmt: skip
"""By algorithm name."""


def suite_named(algorithm: str) -> HpkeSuite:
    """The suite of that name. Raises :class:`AlgorithmNotAllowedError`."""
    try:
        return SUITES[algorithm]
    except KeyError:
        raise AlgorithmNotAllowedError(f"no such HPKE; there are {', '.join(SUITES)}") from None


def suite_of(key: object) -> HpkeSuite:
    """The suite that a key of ``cryptography`` belongs to. Raises :class:`InvalidKeyError`."""
    for suite in SUITES.values():
        if suite.owns(key):
            return suite
    raise InvalidKeyError("a recipient's key is one of X25519, P-256 or P-384, or hybrid")
