"""What a FIPS provider must answer, and what it must refuse, before it is believed to be one.

Imported once the provider is set up. A known answer shows that an algorithm works; it is the
refusals that tell a FIPS provider from the default one, which answers everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding

from mycelium_fractal_net.security.errors import FipsModeError

if TYPE_CHECKING:
    from collections.abc import Callable

_REFUSED: Final = (UnsupportedAlgorithm, InternalError)


def known_answers() -> tuple[str, ...]:
    """Ask for each known answer; returns what was asked. Raises :class:`FipsModeError`."""
    for name, (ask, answer) in _KNOWN.items():
        try:
            found = ask()
        except Exception:
            raise FipsModeError(f"the FIPS module does not do {name}") from None
        if found != answer:
            raise FipsModeError(f"the FIPS module gives a wrong answer of {name}")
    return tuple(f"known answer of {name}" for name in _KNOWN)


def refusals() -> tuple[str, ...]:
    """See that what is not approved is refused; returns what. Raises :class:`FipsModeError`."""
    for name, ask in _NOT_APPROVED.items():
        try:
            ask()
        except _REFUSED:
            continue
        raise FipsModeError(
            f"{name} works: the default provider of OpenSSL answers, and not the FIPS module"
        )
    return tuple(f"{name} is refused" for name in _NOT_APPROVED)


def _hash(algorithm: hashes.HashAlgorithm) -> bytes:
    running = hashes.Hash(algorithm)
    running.update(b"abc")
    return running.finalize()


def _hmac(algorithm: hashes.HashAlgorithm) -> bytes:
    running = hmac.HMAC(b"\x0b" * 20, algorithm)
    running.update(b"Hi There")
    return running.finalize()


def _hkdf() -> bytes:
    info, salt = bytes.fromhex("f0f1f2f3f4f5f6f7f8f9"), bytes(range(13))
    return HKDF(hashes.SHA256(), 42, salt, info).derive(b"\x0b" * 22)


def _pbkdf2() -> bytes:
    salt = b"saltSALT" * 4 + b"salt"
    return PBKDF2HMAC(hashes.SHA256(), 40, salt, 4096).derive(b"passwordPASSWORDpassword")


def _ecdsa(key: bytes, algorithm: hashes.HashAlgorithm, signature: bytes) -> list[bool]:
    """Whether that verifies, of the message that was signed and of another."""
    public = cast("ec.EllipticCurvePublicKey", serialization.load_der_public_key(key))
    found = []
    for message in (b"sample", b"another"):
        try:
            public.verify(signature, message, ec.ECDSA(algorithm))
            found.append(True)
        except InvalidSignature:
            found.append(False)
    return found


_SPKI_P256: Final = bytes.fromhex(
    "3059301306072a8648ce3d020106082a8648ce3d030107034200"
    "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
    "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
)
_SIGNATURE_P256: Final = bytes.fromhex(
    "3046022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
    "022100f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"
)
_SPKI_P384: Final = bytes.fromhex(
    "3076301006072a8648ce3d020106052b81040022036200"
    "04ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64"
    "def8f0ea9055866064a254515480bc138015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1"
    "288b231c3ae0d4fe7344fd2533264720"
)
_SIGNATURE_P384: Final = bytes.fromhex(
    "306602310094edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd"
    "1e80fabe4602310099ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e"
    "7b82c71a38628ac8"
)

_KNOWN: Final[dict[str, tuple[Callable[[], object], object]]] = {
    "AES-256-GCM": (  # SP 800-38D; McGrew and Viega, test case 14
        lambda: AESGCM(bytes(32)).encrypt(bytes(12), bytes(16), None),
        bytes.fromhex("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"),
    ),
    "SHA-256": (  # FIPS 180-4
        lambda: _hash(hashes.SHA256()),
        bytes.fromhex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ),
    "SHA-384": (
        lambda: _hash(hashes.SHA384()),
        bytes.fromhex(
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
            "8086072ba1e7cc2358baeca134c825a7"
        ),
    ),
    "SHA-512": (
        lambda: _hash(hashes.SHA512()),
        bytes.fromhex(
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        ),
    ),
    "HMAC-SHA-256": (  # FIPS 198-1; RFC 4231 section 4.2
        lambda: _hmac(hashes.SHA256()),
        bytes.fromhex("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    ),
    "HMAC-SHA-512": (
        lambda: _hmac(hashes.SHA512()),
        bytes.fromhex(
            "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
            "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"
        ),
    ),
    "HKDF-SHA256": (  # SP 800-56C; RFC 5869 section A.1
        _hkdf,
        bytes.fromhex(
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
        ),
    ),
    "PBKDF2-SHA256": (  # SP 800-132
        _pbkdf2,
        bytes.fromhex(
            "348c89dbcbd32b2f32d814b8116e84cf2b17347ebc1800181c4e2a1fb8dd53e1c635518c7dac47e9"
        ),
    ),
    "HKDF-SHA512": (  # Wycheproof, hkdf_sha512_test.json, case 1
        lambda: HKDF(
            hashes.SHA512(), 20, None, None
        ).derive(bytes.fromhex("24aeff2645e3e0f5494a9a102778c43a")),
        bytes.fromhex("dd2599840b09699c6200b5cba79002b3aa75c61b"),
    ),
    "AES-256-KWP": (  # SP 800-38F; CAVP, KWP_AD_256.txt, its first
        lambda: aes_key_wrap_with_padding(
            bytes.fromhex("20e4ff6a88ffa9a2818b81702793d8a016722c2fa1ff445f24b9db293cb12069"),
            b"\xd2",
        ),
        bytes.fromhex("85011dc927b167f411b0b8e21b11d819"),
    ),
    "ECDSA-P256": (  # FIPS 186-5; RFC 6979 section A.2.5
        lambda: _ecdsa(_SPKI_P256, hashes.SHA256(), _SIGNATURE_P256), [True, False],
    ),
    "ECDSA-P384": (  # section A.2.6
        lambda: _ecdsa(_SPKI_P384, hashes.SHA384(), _SIGNATURE_P384), [True, False],
    ),
}  # fmt: skip

_NOT_APPROVED: Final[dict[str, Callable[[], object]]] = {
    "MD5": lambda: hashes.Hash(hashes.MD5()),  # noqa: S303 - it is to be refused
    "ChaCha20-Poly1305": lambda: ChaCha20Poly1305(bytes(32)),
}
