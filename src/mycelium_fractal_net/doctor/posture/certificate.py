"""The certificate of the service: until when it is valid, and how strong its key is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.doctor.findings import Finding, critical, warning
from mycelium_fractal_net.security.tls import DAMAGED_CERTIFICATE, certificates_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SOON: Final = timedelta(days=14)  # a certificate of 90 days is renewed 30 days before its end
_RSA_BITS: Final = 3072  # 128 bits of security: SP 800-57 part 1 revision 5, table 2
_CURVE_BITS: Final = 256  # the same


def certificate_findings(path: Path) -> Iterator[Finding]:
    """What is wrong with the first certificate of a PEM file. One that does not load the service
    tells of when it starts."""
    try:
        certificate = certificates_in(path.read_bytes())[0]
        key = certificate.public_key()
        until = certificate.not_valid_after_utc
    except (OSError, *DAMAGED_CERTIFICATE):
        return
    left = until - datetime.now(UTC)
    if left <= _SOON:
        found, ends = (critical, "ended") if left <= timedelta(0) else (warning, "ends")
        yield found(
            "certificate-ends",
            str(path),
            f"the certificate {ends} on {until:%Y-%m-%d}: renew it; SIGHUP has the service read it",
        )
    bits = getattr(key, "key_size", None)  # Ed25519 and Ed448 have none, and are strong enough
    least = _CURVE_BITS if hasattr(key, "curve") else _RSA_BITS
    if bits is not None and bits < least:
        yield warning(
            "certificate-strength",
            str(path),
            f"the key of the certificate has {bits} bits, which is less than 128 bits of security:"
            f" have one made for an RSA key of {_RSA_BITS} bits, or for ECDSA with P-256",
        )
