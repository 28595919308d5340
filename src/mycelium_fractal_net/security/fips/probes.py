"""What a FIPS provider must answer, and what it must refuse, before it is believed to be one.

Imported once the provider is set up. A known answer shows that an algorithm works; it is the
refusals that tell a FIPS provider from the default one, which answers everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
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


def _oaep() -> bytes:
    """What a key of 2,048 bits opens, in 2 ms. Validating it would cost 40: it is no other's."""
    p, q = (int.from_bytes(each) for each in _RSA_PRIMES)
    d = pow(_RSA_EXPONENT, -1, (p - 1) * (q - 1))
    key = rsa.RSAPrivateNumbers(
        p,
        q,
        d,
        rsa.rsa_crt_dmp1(d, p),
        rsa.rsa_crt_dmq1(d, q),
        rsa.rsa_crt_iqmp(p, q),
        rsa.RSAPublicNumbers(_RSA_EXPONENT, p * q),
    ).private_key(unsafe_skip_rsa_key_validation=True)
    algorithm = hashes.SHA256()
    return key.decrypt(_RSA_WRAPPED, padding.OAEP(padding.MGF1(algorithm), algorithm, None))


def _hpke() -> bytes:
    key = ec.derive_private_key(_HPKE_PRIVATE, ec.SECP256R1())
    suite = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    return suite.decrypt(_HPKE_MESSAGE, key, info=_HPKE_INFO)


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
_RSA_PRIMES: Final = (
    bytes.fromhex(
        "e7e2f373592c2b9919851f238f1b1b67e9c761bbf252b334d5a12a6ea66974a1cb5f57dfa0595298f143ef958f745057"
        "1c31c682b91ea26a0349383088cbedd87e7edc6cb5287a56d7f73c31d02df6e3c58b01c27efdac951e279a3318951520"
        "c44c3903e5dc793c3cdacc40ad06551bd219bd6ecfd1c3f4f8ea513674ab286d"
    ),
    bytes.fromhex(
        "cc2279fb888ba03c22c6613bb1466c9e2cd161d99bbec2f75af82cf7f0e43eb1a8a8bc23c24fc2838bffb94e79181107"
        "3da55c53e07e1fec63cefd066dc631e25e74dae715ab3cc18b5e56ff2a786ddee92d32dc5bd4df849cb8246e3f42c127"
        "9985c5cb6909b0630424dc8a82d5604387e95fbb248720636b8e7208ca1f0639"
    ),
)
_RSA_EXPONENT: Final = 65_537
_RSA_WRAPPED: Final = bytes.fromhex(
    "6afdbc76de74458198a9c890cc5abb52580af01c2096036dca104d67f96a05de682da5c26970a808343527440aa80b9d"
    "043045d7983f442a3d376e5b039bcfb96c1b5fd0e46b5fff85646273293ced5e7272993850017f24f6133591d5c97887"
    "81a9952873ebfc45ad4d34fff2b4e9ababf49d9f9a3d7726bdce3eb2feb545db5cfef0b183bd55735a2d356b4278c558"
    "0ce0e4cfd21a0a3ad3b225de388fcfd688394710f97d5a3933e01d434fcff732542390f8915d5d291780ed63d425c0be"
    "a5bb0ad25aae3a70355e3f45a443ea111b80515b743d5bd226d339dc7516ce6c41414a0aa978198bc6762f443e957c7b"
    "e5edbd25fcdd226c5d967fa05d7c9079"
)
_HPKE_PRIVATE: Final = 0x317F915DB7BC629C48FE765587897E01E282D3E8445F79F27F65D031A88082B2
_HPKE_INFO: Final = b"Ode on a Grecian Urn"
_HPKE_MESSAGE: Final = bytes.fromhex(
    "04c06b4f6bebc7bb495cb797ab753f911aff80aefb86fd8b6fcc35525f3ab5f03e"
    "0b21bd31a86c6048af3cb2d98e0d3bf01da5cc4c39ff5370d331a4f1f7d5a4e0"
    "58c61a45059d0c5704560e9d88b564a8b63f1364b8d1fcb3c4c6ddc1d2239dd0eec64ef5940df79f1cbab9c7b7"
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
    "RSA-OAEP-256": (  # SP 800-56B; the first of cryptography's oaep-sha256-sha256.txt
        _oaep,
        bytes.fromhex("6628194e12073db03ba94cda9ef9532397d50dba79b987004afefe34"),
    ),
    "HPKE-P256": (  # RFC 9180's vector of this suite, with its key and without associated data
        _hpke,
        b"Beauty is truth, truth beauty",
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
