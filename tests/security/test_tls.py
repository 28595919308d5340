"""TLS contexts are made in one place."""

from __future__ import annotations

import ast
import ssl
from pathlib import Path

import pytest
from cryptography import x509

import mycelium_fractal_net
from fuzz import fuzz_certificates
from mycelium_fractal_net.security.tls import (
    certificates_in,
    client_context,
    server_context,
    unusual_certificates,
)

PACKAGE = Path(mycelium_fractal_net.__file__).parent
MAKERS = {"SSLContext", "create_default_context", "wrap_socket", "_create_unverified_context"}


CORPUS = Path(__file__).parents[2] / "fuzz" / "corpus" / "certificates"


def test_contexts_are_made_in_one_place() -> None:
    """And one that is thrown away, where Python's OpenSSL is asked what it offers in FIPS mode."""
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "ssl"
        and node.func.attr in MAKERS
    }
    assert found == {"security/tls.py", "security/fips/python_openssl.py"}


def test_they_are_of_tls_1_2_and_newer() -> None:
    """A server has suites with forward secrecy alone; a client verifies, and trusts nobody yet."""
    server, client = server_context(), client_context()
    assert server.minimum_version == client.minimum_version == ssl.TLSVersion.TLSv1_2
    assert all(
        each["name"].startswith(("TLS_", "ECDHE-")) and each["aead"]
        for each in server.get_ciphers()
    )
    assert client.verify_mode is ssl.CERT_REQUIRED
    assert client.check_hostname
    assert client.get_ca_certs() == []


def test_a_certificate_of_an_unknown_version_is_refused_as_any_other_damage() -> None:
    """Found by fuzzing: `cryptography` has an error of its own for it, which is no ValueError."""
    pem = fuzz_certificates._pem((CORPUS / "finding-version").read_bytes()[1:])
    with pytest.raises(ValueError, match="version"):
        certificates_in(pem)


def test_what_authorities_write_against_the_standard_is_read_without_a_warning() -> None:
    """A serial number below one, and a country of nine letters: nobody would read the warning.

    Found by a seed of the fuzzer with a byte changed. Warnings are errors here.
    """
    serial, country = (
        fuzz_certificates._pem((CORPUS / f"finding-{name}").read_bytes()[1:])
        for name in ("serial", "country")
    )
    assert len(certificates_in(serial)) == 1
    with unusual_certificates():
        (named,) = certificates_in(country)[0].issuer
    assert (named.oid, named.value) == (x509.NameOID.COUNTRY_NAME, "localhost")
