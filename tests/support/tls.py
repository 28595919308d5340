"""Certificates for tests: an authority, and what it signs for this machine."""

from __future__ import annotations

import ipaddress
import json
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path


# As RFC 5280 section 4.2.1.3 has it for an authority; Python 3.13 and newer look for it.
_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass
class Pair:
    """A certificate and its private key, in PEM."""

    certificate: bytes
    private_key: bytes

    def write(self, folder: Path) -> None:
        """Have it served from ``folder``."""
        (folder / "server.key").write_bytes(self.private_key)
        (folder / "server.key").chmod(0o600)
        (folder / "server.pem").write_bytes(self.certificate)


class Authority:
    """Signs certificates that only those who are told of it trust."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        now = datetime.now(UTC)
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(_name("test authority"))
            .issuer_name(_name("test authority"))
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_SIGNS_CERTIFICATES, critical=True)
            .add_extension(self._identifier, critical=False)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        """Its certificate."""
        return self._certificate.public_bytes(Encoding.PEM)

    def issue(
        self,
        name: str = "first",
        *,
        begins: timedelta = timedelta(hours=-1),
        after: timedelta = timedelta(hours=1),
        key: Any = None,
        hosts: tuple[str, ...] = (),
    ) -> Pair:
        """A certificate of that name for 127.0.0.1 and hosts, valid until ``after`` from now."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        served = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), *map(x509.DNSName, hosts)]
        made = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + after)
            .add_extension(x509.SubjectAlternativeName(served), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._identifier),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Pair(made.public_bytes(Encoding.PEM), private)

    def trusted(self, **bounds: Any) -> ssl.SSLContext:
        """What a client needs who trusts this authority alone; ``bounds`` are of versions."""
        context = ssl.create_default_context(cadata=self.pem.decode())
        for name, value in bounds.items():
            setattr(context, name, value)
        return context


def configured(folder: Path, *, server: dict[str, Any] | None = None, **tls: Any) -> Path:
    """A configuration that serves TLS from ``folder``."""
    path = folder / "tls.json"
    settings = {
        "security": {
            "tls": {
                "certificate": str(folder / "server.pem"),
                "private_key": str(folder / "server.key"),
                **tls,
            }
        },
        "server": {"request_signing": "off", **(server or {})},
    }
    path.write_text(json.dumps(settings))
    return path
