"""The certificates of the service's TLS: who they are for, until when, and with which keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.serialization import Encoding

from mycelium_fractal_net.inventory.records import CertificateFacts, Material
from mycelium_fractal_net.security.algorithms.digests import sha256
from mycelium_fractal_net.security.errors import ConfigurationError
from mycelium_fractal_net.security.tls import (
    DAMAGED_CERTIFICATE,
    certificates_in,
    unusual_certificates,
)

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509

    from mycelium_fractal_net.config.settings import Tls

_RSA: Final = "1.2.840.113549.1.1.1"
_EC: Final = "1.2.840.10045.2.1"
_ED25519: Final = "1.3.101.112"
_CURVES: Final = {"secp256r1": "ECDSA-P256", "secp384r1": "ECDSA-P384", "secp521r1": "ECDSA-P521"}
_SIGNED: Final = {  # RFC 5758 section 3.2, RFC 8410 section 3, RFC 9881 section 3
    "1.2.840.10045.4.3.2": "ECDSA-P256",
    "1.2.840.10045.4.3.3": "ECDSA-P384",
    "1.2.840.10045.4.3.4": "ECDSA-P521",
    _ED25519: "Ed25519",
    "2.16.840.1.101.3.4.3.18": "ML-DSA-65",
}
_SIGNED_WITH_RSA: Final = "1.2.840.113549.1.1."  # RFC 8017 appendix C


def certificates(tls: Tls) -> tuple[CertificateFacts, ...]:
    """Those that are served, and those of the authorities whose clients are taken, each once.

    Raises :class:`ConfigurationError` where a file cannot be read.
    """
    found: dict[str, CertificateFacts] = {}
    for setting, path in (("certificate", tls.certificate), ("client_ca", tls.client_ca)):
        if path is not None:
            for each in _of_file(f"security.tls.{setting}", path):
                found.setdefault(each.ref, each)
    return tuple(found.values())


def _of_file(setting: str, path: Path) -> list[CertificateFacts]:
    try:
        with unusual_certificates():
            found = [_facts(setting, each) for each in certificates_in(path.read_bytes())]
    except (OSError, *DAMAGED_CERTIFICATE):
        raise ConfigurationError(
            f"{setting}: cannot be read, or holds no certificate in PEM"
        ) from None
    return found


def _facts(setting: str, found: x509.Certificate) -> CertificateFacts:
    digest = sha256(found.public_bytes(Encoding.DER)).hex()
    subject = found.subject.rfc4514_string()
    algorithm, bits = _public_key(found)
    signed = found.signature_algorithm_oid.dotted_string
    ref = f"certificate:{digest[:32]}"
    return CertificateFacts(
        ref,
        subject,
        found.issuer.rfc4514_string(),
        found.not_valid_before_utc,
        found.not_valid_after_utc,
        Material(f"{ref}:key", f"public key of {subject}", "public-key", algorithm, bits=bits),
        _SIGNED.get(signed, "RSA" if signed.startswith(_SIGNED_WITH_RSA) else "OTHER"),
        digest,
        setting,
    )


def _public_key(found: x509.Certificate) -> tuple[str, int | None]:
    """The algorithm of its key, and the size of that in bits."""
    kind = found.public_key_algorithm_oid.dotted_string
    if kind == _ED25519:
        return "Ed25519", 256
    if kind not in (_RSA, _EC):
        return _SIGNED.get(kind, "OTHER"), None
    key: Any = found.public_key()
    if kind == _EC:
        return _CURVES.get(key.curve.name, "OTHER"), key.key_size
    exact = f"RSA-{key.key_size}"
    return exact if key.key_size in (2048, 3072, 4096) else "RSA", key.key_size
