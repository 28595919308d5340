"""The OpenSSL that ``cryptography`` brings, which does all of this package's own cryptography."""

from __future__ import annotations

from cryptography.hazmat.backends.openssl.backend import backend


def openssl_version() -> str:
    """What it says of itself, ``OpenSSL 4.0.0 14 Apr 2026``. FIPS mode is set up before."""
    return backend.openssl_version_text()
