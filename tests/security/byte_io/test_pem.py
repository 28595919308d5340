"""PEM files as other programs write them: taken, or refused by the name of what was found."""

from __future__ import annotations

import datetime
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from mycelium_fractal_net.security.byte_io.pem import pem_decode, pem_encode
from mycelium_fractal_net.security.errors import InvalidKeyError
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.signatures.signing_key import SigningKey
from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey
from tests.support.presence import need

if TYPE_CHECKING:
    from pathlib import Path

KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
DER = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
LOCKED = BestAvailableEncryption(b"pw")


def private(
    format: PrivateFormat, lock: KeySerializationEncryption | None = None, key: object = KEY
) -> bytes:
    return key.private_bytes(Encoding.PEM, format, lock or NoEncryption())  # type: ignore[attr-defined, no-any-return]


def _certificate() -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    made = x509.CertificateBuilder(
        name, name, KEY.public_key(), 7, begin, begin + datetime.timedelta(days=9)
    )
    return made.sign(KEY, hashes.SHA256()).public_bytes(Encoding.PEM)


CERTIFICATE = _certificate()
PKCS8 = private(PrivateFormat.PKCS8)
SEC1 = private(PrivateFormat.TraditionalOpenSSL)
OPENSSH = private(PrivateFormat.OpenSSH)
ENCRYPTED = private(PrivateFormat.PKCS8, LOCKED)
ENCRYPTED_SEC1 = SEC1.replace(  # a FIPS module writes none
    b"KEY-----\n", b"KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n", 1
)
SSH_PUBLIC = KEY.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
REQUEST = (
    x509.CertificateSigningRequestBuilder(x509.Name([]))
    .sign(KEY, hashes.SHA256())
    .public_bytes(Encoding.PEM)
)
PARAMETERS = pem_encode("EC PARAMETERS", bytes.fromhex("06082a8648ce3d030107"))


@pytest.mark.parametrize(
    "text",
    [
        PUBLIC,
        PUBLIC.decode(),
        PUBLIC.rstrip(),
        b"\xef\xbb\xbf" + PUBLIC,
        "\ufeff" + PUBLIC.decode(),
        PUBLIC.replace(b"\n", b"\r\n"),
        b"the key of the release\n" + PUBLIC,
        "für Änderungen: Müller\n".encode("latin-1") + PUBLIC + b"\nend of file\n",
        b"Bag Attributes\n    friendlyName: x\nKey Attributes: <No Attributes>\n" + PUBLIC,
    ],
)
def test_text_around_a_block_and_a_byte_order_mark_say_nothing(text: str | bytes) -> None:
    """RFC 7468 section 2: programs write what the file is above it, and editors a mark."""
    assert pem_decode("PUBLIC KEY", text) == DER
    assert VerifyingKey.from_pem(text).der() == DER
    content = text.encode() if isinstance(text, str) else text
    assert Policy().read_verifying_key(content).der() == DER


@pytest.mark.parametrize(
    ("content", "found", "how"),
    [
        (SEC1, "a private key in the form of SEC 1", "openssl pkcs8 -topk8 -nocrypt"),
        (PARAMETERS + SEC1, "parameters of a curve and a private key in the", "-topk8 -nocrypt"),
        (OPENSSH, "a private key of OpenSSH", "ssh-keygen -p -m PKCS8"),
        (ENCRYPTED, "an encrypted private key", "openssl pkcs8 -in FILE"),
        (ENCRYPTED_SEC1, "a private key in the form of SEC 1", "openssl pkcs8 -topk8"),
        (PUBLIC, "a public key", "the private key is another file"),
        (CERTIFICATE, "a certificate", "the private key is another file"),
        (PKCS8 + CERTIFICATE, "a private key and a certificate", "leave one in the file"),
        (PKCS8 + PKCS8, "a private key and a private key", "leave one in the file"),
        (b"", "none", ""),
        (b"-----BEGIN HUNTER2-----\n", "another kind", ""),
        (PKCS8.decode().encode("utf-16"), "UTF-16", "save it as UTF-8"),
        (PKCS8.replace(b"KEY-----\n", b"KEY-----\nProc-Type: 4,ENCRYPTED\n\n", 1),
         "an encrypted private key", "openssl pkcs8"),
        (PKCS8.replace(b"\nM", b"\n", 1), "one that is damaged", ""),
        (PKCS8.replace(b"-----END", b"----END"), "one that is damaged", ""),
    ],
)  # fmt: skip
def test_what_is_no_private_key_for_us_is_named(content: bytes, found: str, how: str) -> None:
    """And what makes one of it; an unknown label is not repeated, since it may be anything."""
    with pytest.raises(InvalidKeyError) as caught:
        SigningKey.from_pem(content)
    assert f"kind 'PRIVATE KEY', and found {found}" in str(caught.value)
    assert how in str(caught.value)
    assert "HUNTER2" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "found", "how"),
    [
        (CERTIFICATE, "a certificate", "openssl x509 -pubkey -noout"),
        (REQUEST, "a certificate request", "openssl req -pubkey -noout"),
        (CERTIFICATE + CERTIFICATE, "a certificate and a certificate", "openssl x509 -pubkey"),
        (PKCS8, "a private key", "openssl pkey -pubout"),
        (SEC1, "a private key in the form of SEC 1", "openssl pkey -pubout"),
        (ENCRYPTED, "an encrypted private key", "openssl pkey -pubout"),
        (SSH_PUBLIC, "a public key of OpenSSH", "ssh-keygen -e -m PKCS8"),
        (PUBLIC + PUBLIC, "a public key and a public key", "leave one in the file"),
        (b"some words", "none", ""),
    ],
)
def test_what_is_no_public_key_for_us_is_named(content: bytes, found: str, how: str) -> None:
    """In the library, and in a file whose form is to be seen first."""
    for load in (VerifyingKey.from_pem, Policy().read_verifying_key):
        with pytest.raises(InvalidKeyError) as caught:
            load(content)
        assert f"kind 'PUBLIC KEY', and found {found}" in str(caught.value)
        assert how in str(caught.value)


@pytest.mark.parametrize("wrong", [None, 7, "\ud800"])
def test_what_is_no_text_is_no_pem(wrong: object) -> None:
    """A lone surrogate is none either."""
    with pytest.raises(InvalidKeyError, match="no text"):
        pem_decode("PUBLIC KEY", wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "command", "wanted"),
    [
        (SEC1, "openssl pkcs8 -topk8 -nocrypt -in FILE", "private"),
        (PARAMETERS + SEC1, "openssl pkcs8 -topk8 -nocrypt -in FILE", "private"),
        (ENCRYPTED, "openssl pkcs8 -in FILE -passin pass:pw", "private"),
        (CERTIFICATE, "openssl x509 -pubkey -noout -in FILE", "public"),
        (REQUEST, "openssl req -pubkey -noout -in FILE", "public"),
        (PKCS8, "openssl pkey -pubout -in FILE", "public"),
        (SSH_PUBLIC, "ssh-keygen -e -m PKCS8 -f FILE", "public"),
        (OPENSSH, "ssh-keygen -q -p -P '' -N '' -m PKCS8 -f FILE && cat FILE", "private"),
    ],
)
def test_what_the_error_advises_makes_what_is_taken(
    tmp_path: Path, content: bytes, command: str, wanted: str
) -> None:
    """By the program that it names."""
    if shutil.which(command.split()[0]) is None:
        need(command.split()[0])
    file = tmp_path / "key"
    file.write_bytes(content)
    file.chmod(0o600)
    made = subprocess.run(
        command.replace("FILE", str(file)), shell=True, capture_output=True, check=True
    ).stdout
    key = SigningKey.from_pem(made).public if wanted == "private" else VerifyingKey.from_pem(made)
    assert key.der() == DER


def test_ed25519_of_openssl_is_taken_as_it_is() -> None:
    """What ``openssl genpkey`` writes is PKCS #8 already."""
    key = ed25519.Ed25519PrivateKey.generate()
    assert SigningKey.from_pem(private(PrivateFormat.PKCS8, key=key)).algorithm == "Ed25519"
    assert serialization.load_pem_private_key(private(PrivateFormat.PKCS8, key=key), None)
