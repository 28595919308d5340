"""TLS contexts: those that this package serves and asks with. TLS 1.2 and 1.3.

In FIPS mode they have the suites of AES-GCM with ECDHE alone. Its curves and signature algorithms
are those of the configuration that Python's OpenSSL was given (:mod:`.fips.installed`): that holds
for every context of the process, botocore's too, and Python before 3.15 has no call for them.
"""

from __future__ import annotations

import contextlib
import ssl
import warnings
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from mycelium_fractal_net.security.fips.process import proven

if TYPE_CHECKING:
    from collections.abc import Iterator

# AEAD with forward secrecy (RFC 9325 section 4.2); those of TLS 1.3 are all of that kind.
_SERVED: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
DAMAGED_CERTIFICATE: Final = (ValueError, TypeError, UnsupportedAlgorithm)
"""What is raised for a part of a certificate that is read when it is asked for, and is damaged."""
UNKNOWN_KIND: Final = UnsupportedAlgorithm
"""Of these, what is raised for a key of a kind, or on a curve, that nobody here knows."""
_APPROVED: Final = "@SECLEVEL=2:ECDHE+AESGCM"  # SP 800-52r2 section 3.3.1; 112 bits at least


def server_context() -> ssl.SSLContext:
    """A server's, without a certificate yet."""
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    if proven() is None:
        context.set_ciphers(_SERVED)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    return context


def client_context() -> ssl.SSLContext:
    """A client's, which requires a certificate and checks its name, and trusts nobody yet.

    No variable of the environment is looked at: one would have all keys written into a file.
    """
    return _context(ssl.PROTOCOL_TLS_CLIENT)


def certificates_in(pem: bytes) -> list[x509.Certificate]:
    """The certificates in PEM, in order, at least one.

    Raises :class:`ValueError` for anything else, also for one of a version that there is not. What
    is in a certificate may be damaged as well: :data:`DAMAGED_CERTIFICATE`.
    """
    try:
        with unusual_certificates():
            return x509.load_pem_x509_certificates(pem)
    except x509.InvalidVersion:
        raise ValueError("a certificate of an unknown version") from None


@contextlib.contextmanager
def unusual_certificates() -> Iterator[None]:
    """Within it, what some authorities write and RFC 5280 forbids is read without a warning.

    Such are serial numbers that are negative or zero, which its section 4.1.2.2 asks readers to
    take, and countries of three letters. :func:`certificates_in` needs it of no caller; it is for
    what is read of a certificate afterwards.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # as those of ``cryptography`` are
        yield


def suites_of_others() -> str | None:
    """What a package that makes its contexts by itself has to offer; None where it may choose."""
    return None if proven() is None else _APPROVED


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if proven() is not None:
        context.set_ciphers(_APPROVED)
    return context
