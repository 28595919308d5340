"""TLS as the settings ask for it, from files that are right: a context, or why there is none."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mycelium_fractal_net.security.errors import ConfigurationError
from mycelium_fractal_net.security.fips.process import proven
from mycelium_fractal_net.security.tls import (
    DAMAGED_CERTIFICATE,
    UNKNOWN_KIND,
    certificates_in,
    server_context,
)

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509

    from mycelium_fractal_net.config.settings import Tls

_RSA: Final = "1.2.840.113549.1.1.1"  # RFC 3279 section 2.3.1
_EC: Final = "1.2.840.10045.2.1"  # section 2.3.5
_APPROVED_CURVES: Final = ("secp256r1", "secp384r1")
_APPROVED_RSA_BITS: Final = 2048  # SP 800-52r2 section 3.2.1
_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_CLIENTS: Final = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}


class Served(NamedTuple):
    """What handshakes are made with, and until when its certificate is valid."""

    context: ssl.SSLContext
    until: datetime


def serves_tls(tls: Tls) -> bool:
    """Whether the settings name a certificate. Raises :class:`ConfigurationError`."""
    if (tls.certificate is None) != (tls.private_key is None):
        raise ConfigurationError(
            "security.tls.certificate and security.tls.private_key: name both, or neither"
        )
    if tls.client_certificates != "none" and (tls.certificate is None or tls.client_ca is None):
        raise ConfigurationError(
            "security.tls.client_certificates: needs security.tls.client_ca, and a certificate"
        )
    return tls.certificate is not None


def load(tls: Tls) -> Served:
    """Read the files. Raises :class:`ConfigurationError` where they do not serve at this moment.

    A context is made anew each time: one that is in use breaks with the first pair of files that
    does not fit.
    """
    context = server_context()
    context.minimum_version = _VERSIONS[tls.min_version]
    context.set_alpn_protocols(["http/1.1"])
    if tls.certificate is None or tls.private_key is None:
        raise ConfigurationError("security.tls.certificate: none is named")
    until = _valid_until(tls.certificate)
    try:
        context.load_cert_chain(tls.certificate, tls.private_key, password=_no_passphrase)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            "security.tls.private_key: cannot be read, or is not that of the certificate:"
            f" {_reason(error)}"
        ) from None
    if tls.client_ca is not None:
        try:
            context.load_verify_locations(tls.client_ca)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"security.tls.client_ca: cannot be read: {_reason(error)}"
            ) from None
    context.verify_mode = _CLIENTS[tls.client_certificates]
    return Served(context, until)


def _valid_until(path: Path) -> datetime:
    """Until when a file's first certificate is valid, which it must be now."""
    try:
        certificate = certificates_in(path.read_bytes())[0]
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        serves = proven() is None or _is_approved(certificate)
    except (OSError, *DAMAGED_CERTIFICATE) as error:
        raise ConfigurationError(
            f"security.tls.certificate: cannot be read: {_reason(error)}"
        ) from None
    now = datetime.now(UTC)
    if now >= ends:
        raise ConfigurationError("security.tls.certificate: has expired")
    if now < begins:
        raise ConfigurationError("security.tls.certificate: is not valid yet")
    if not serves:
        raise ConfigurationError(
            "security.tls.certificate: FIPS mode does not serve with a key of its kind; take ECDSA"
            " with P-256 or P-384, or RSA of 2,048 bits or more"
        )
    return ends


def _is_approved(certificate: x509.Certificate) -> bool:
    kind = certificate.public_key_algorithm_oid.dotted_string
    if kind not in (_RSA, _EC):
        return False  # the module may not even read it
    try:
        key: Any = certificate.public_key()
    except UNKNOWN_KIND:
        return False  # a curve that nobody here knows
    if kind == _RSA:
        return bool(key.key_size >= _APPROVED_RSA_BITS)
    return bool(key.curve.name in _APPROVED_CURVES)


def _no_passphrase() -> bytes:
    # OpenSSL would ask for one on the terminal.
    raise ValueError("it is encrypted")


def _reason(error: Exception) -> str:
    """Why, without what the file held."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not PEM").lower().replace("_", " ")
    if isinstance(error, OSError):
        return error.strerror or "it cannot be opened"
    return str(error) if str(error) == "it is encrypted" else "damaged, or not PEM"
