"""Keys wrapped for a public key: by this software, by ``cryptography`` alone, by openssl."""

from __future__ import annotations

import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.keywrap import aes_key_wrap, aes_key_wrap_with_padding
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from mycelium_fractal_net.security.errors import (
    DecryptionError,
    InvalidInputError,
    InvalidKeyError,
)
from mycelium_fractal_net.security.records.imports import WRAP_METHODS
from mycelium_fractal_net.security.sealed.key_transport import (
    UnwrappingKey,
    WrappingKey,
)
from mycelium_fractal_net.security.sealed.rsa_recipients import RsaRecipientKey
from tests.support.algorithms import WRAPPING
from tests.support.key_transport import key_to_wrap_for, openssl_unwrap, openssl_wrap

KEY = bytes(range(32))
MODULUS_BYTES = 512
METHODS = pytest.mark.parametrize("method", WRAP_METHODS)
SUITES = {
    "hpke": ("0020 0001 0002", Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)),
    "hpke-p256": ("0010 0001 0002", Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_256_GCM)),
    "hpke-p384": ("0011 0002 0002", Suite(KEM.P384, KDF.HKDF_SHA384, AEAD.AES_256_GCM)),
}


@pytest.fixture
def own(method: str) -> UnwrappingKey:
    """A key of that method."""
    return key_to_wrap_for(method)


def spki(public: object) -> bytes:
    """The DER of a public key of ``cryptography``."""
    der: bytes = public.public_bytes(  # type: ignore[attr-defined]
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    return der


def rsa_public(exponent: int, bits: int) -> rsa.RSAPublicKey:
    """What has the form of a public key; nobody has the private one."""
    return rsa.RSAPublicNumbers(exponent, (1 << bits) - 1).public_key()


def rsa_wrap(
    material: bytes,
    *,
    digest: HashAlgorithm | None = None,
    label: bytes | None = None,
    size: int = 32,
) -> bytes:
    """As an outsider wraps, with ``cryptography`` alone."""
    public = load_der_public_key(key_to_wrap_for("rsa-aes").public.der())
    assert isinstance(public, rsa.RSAPublicKey)
    chosen = digest or SHA256()
    oaep = OAEP(mgf=MGF1(chosen), algorithm=chosen, label=label)
    ephemeral = b"e" * size
    return public.encrypt(ephemeral, oaep) + aes_key_wrap_with_padding(ephemeral, material)


@METHODS
@pytest.mark.parametrize("size", [1, 8, 32, 138, 241])
def test_what_was_wrapped_for_a_key_is_unwrapped_by_it(own: UnwrappingKey, size: int) -> None:
    """By it and by what was kept of it; no two wrappings are alike."""
    material = bytes(range(size))
    wrapped = own.public.wrap(material)
    again = UnwrappingKey.from_private_bytes(own.public.method, own.private_bytes())
    assert own.unwrap(wrapped) == again.unwrap(wrapped) == material
    assert own.public.wrap(material) != wrapped
    assert WrappingKey.from_file(own.public.pem()).der() == own.public.der()
    assert WrappingKey.from_file(own.public.der()).method == own.public.method


def test_an_rsa_wrapping_has_the_sizes_that_are_written_down() -> None:
    """The modulus, then blocks of 8 bytes and one more."""
    assert len(key_to_wrap_for("rsa-aes").public.wrap(KEY)) == MODULUS_BYTES + 40
    assert len(key_to_wrap_for("rsa-aes").public.wrap(bytes(138))) == MODULUS_BYTES + 152


def test_what_an_outsider_wraps_by_rsa_is_unwrapped() -> None:
    """PKCS #11's mechanism with nothing of ours."""
    assert key_to_wrap_for("rsa-aes").unwrap(rsa_wrap(KEY)) == KEY


@pytest.mark.parametrize("method", SUITES)
def test_what_an_outsider_wraps_by_hpke_is_unwrapped(method: str) -> None:
    """RFC 9180 with nothing of ours."""
    public: Any = load_pem_public_key(key_to_wrap_for(method).public.pem())
    numbers, suite = SUITES[method]
    header = b"MFH\x01" + bytes.fromhex(numbers)
    info = b"mycelium-fractal-net/key/v1"
    bound = b"mycelium-fractal-net/hpke/v1" + header + len(info).to_bytes(8, "big") + info
    assert key_to_wrap_for(method).unwrap(header + suite.encrypt(KEY, public, bound)) == KEY


def test_openssl_wraps_for_us_and_unwraps_what_we_wrap(tmp_path: Path) -> None:
    """Its command line, as those do it who have nothing else."""
    assert (
        key_to_wrap_for("rsa-aes").unwrap(
            openssl_wrap(tmp_path, key_to_wrap_for("rsa-aes").public.pem(), KEY)
        )
        == KEY
    )
    private = tmp_path / "own.pem"
    subprocess.run(
        ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072",
         "-out", private],
        check=True, capture_output=True,
    )  # fmt: skip
    public = subprocess.run(
        ["openssl", "pkey", "-pubout", "-in", private], check=True, capture_output=True
    ).stdout
    wrapped = WrappingKey.from_file(public).wrap(KEY)
    assert openssl_unwrap(private, wrapped) == KEY


WRONG: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "zeros": lambda: bytes(MODULUS_BYTES),
    "zeros of its length": lambda: bytes(MODULUS_BYTES + 40),
    "more than the modulus": lambda: b"\xff" * (MODULUS_BYTES + 40),
    "cut": lambda: rsa_wrap(KEY)[:-1],
    "longer": lambda: rsa_wrap(KEY) + b"x",
    "no key": lambda: rsa_wrap(KEY)[:MODULUS_BYTES],
    "changed key": lambda: rsa_wrap(KEY)[:-1] + b"x",
    "changed RSA": lambda: b"x" + rsa_wrap(KEY)[1:],
    "SHA-1": lambda: rsa_wrap(KEY, digest=SHA1()),
    "a label": lambda: rsa_wrap(KEY, label=b"label"),
    "AES-128": lambda: rsa_wrap(KEY, size=16),
    "no padding": lambda: rsa_wrap(KEY)[:MODULUS_BYTES] + aes_key_wrap(b"e" * 32, KEY),
    "HPKE": lambda: key_to_wrap_for(WRAPPING).public.wrap(KEY),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_with_an_rsa_wrapping_is_one_error(wrong: str) -> None:
    """So nobody learns from it what the private key makes of something."""
    with pytest.raises(DecryptionError) as caught:
        key_to_wrap_for("rsa-aes").unwrap(WRONG[wrong]())
    assert str(caught.value) == DecryptionError.TEXT
    assert caught.value.__cause__ is None


def test_what_is_wrong_with_an_hpke_wrapping_is_the_same_error() -> None:
    """Whatever the method is."""
    own = key_to_wrap_for(WRAPPING)
    for wrapped in (b"", own.public.wrap(KEY)[:-1], rsa_wrap(KEY), b"MFH\x01" + bytes(90)):
        with pytest.raises(DecryptionError):
            own.unwrap(wrapped)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: spki(rsa_public(65537, 2048)), "3072 to 8192 bits"),
        (lambda: spki(rsa_public(3, 3072)), "65537 or more"),
        (lambda: spki(ec.generate_private_key(ec.SECP521R1()).public_key()), "P-256 or P-384"),
        (lambda: spki(x25519.X25519PublicKey.from_public_bytes(bytes(32))), "usable point"),
        (lambda: b"0", "RSA, X25519, P-256 or P-384"),
        (lambda: b"", "PEM block"),
        (lambda: b"ssh-rsa AAAA", "OpenSSH"),
    ],
    ids=["2048 bits", "exponent 3", "EC", "low order", "no DER", "empty", "OpenSSH"],
)
def test_a_key_that_is_none_to_wrap_for_is_refused(make: Callable[[], bytes], what: str) -> None:
    """Too weak, of another kind, or nothing at all."""
    with pytest.raises(InvalidKeyError, match=what):
        WrappingKey.from_file(make())


@METHODS
def test_what_is_no_private_key_of_a_method_is_refused(method: str) -> None:
    """Neither something else nor the key of the other method."""
    other = key_to_wrap_for(WRAPPING if method == "rsa-aes" else "rsa-aes")
    for material in (b"", b"x" * 33, other.private_bytes()):
        with pytest.raises(InvalidKeyError):
            UnwrappingKey.from_private_bytes(method, material)


def test_an_unknown_method_is_refused() -> None:
    """There are four."""
    with pytest.raises(InvalidInputError, match="rsa-aes, hpke, hpke-p256, hpke-p384"):
        UnwrappingKey.generate("rsa")


@METHODS
def test_a_key_to_unwrap_with_shows_nothing(own: UnwrappingKey) -> None:
    """Neither printed nor pickled; and a public one says what it is for."""
    assert repr(own) == f"UnwrappingKey({own.public.method})"
    assert repr(own.public) == f"WrappingKey({own.public.method})"
    with pytest.raises(TypeError):
        pickle.dumps(own)
    rsa_key = RsaRecipientKey.from_private_bytes(key_to_wrap_for("rsa-aes").private_bytes())
    assert (repr(rsa_key), repr(rsa_key.public)) == ("RsaRecipientKey", "RsaRecipient")
    with pytest.raises(TypeError, match="on purpose"):
        pickle.dumps(rsa_key)
