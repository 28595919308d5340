"""Fuzz what reads certificates of TLS: what is served, what is listed, until when it may be.

    python -m fuzz certificates -max_total_time=60 fuzz/corpus/certificates

The first byte of an input chooses the reader. A finding is an error that is not one of ours.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from fuzz.running import Reader, Scratch, chosen, seeds_of
from mycelium_fractal_net.api.transport.tls import _valid_until
from mycelium_fractal_net.inventory.certificates import _of_file
from mycelium_fractal_net.security.errors import MfnError

FILE = Scratch("certificate.pem")


def _pem(der: bytes) -> bytes:
    lines = base64.encodebytes(der).replace(b"\n", b"")
    wrapped = b"\n".join(lines[at : at + 64] for at in range(0, len(lines), 64))
    return b"-----BEGIN CERTIFICATE-----\n%b\n-----END CERTIFICATE-----\n" % wrapped


def text(data: bytes) -> None:
    """A file as it is."""
    _of_file("fuzz", FILE.holding(data))


def der(data: bytes) -> None:
    """The certificate in PEM, so that mutations need not keep to an alphabet."""
    _of_file("fuzz", FILE.holding(_pem(data)))


def until(data: bytes) -> None:
    """Until when a server may serve with it."""
    _valid_until(FILE.holding(_pem(data)))


READERS: tuple[Reader, ...] = (text, der, until)

one_input = chosen(READERS, MfnError)


def seeds() -> dict[str, bytes]:
    """A certificate for each reader, valid for a century."""
    key = ec.derive_private_key(7, ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 7)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2126, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )
    return seeds_of(READERS, {text: _pem(made), der: made, until: made})
