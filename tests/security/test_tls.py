"""TLS contexts are made in one place."""

from __future__ import annotations

import ast
import ssl
from pathlib import Path

import mycelium_fractal_net
from mycelium_fractal_net.security.tls import client_context, server_context

PACKAGE = Path(mycelium_fractal_net.__file__).parent
MAKERS = {"SSLContext", "create_default_context", "wrap_socket", "_create_unverified_context"}


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
