"""The protocols that are spoken, and the formats that are written: what each may be made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.api.transport import tls
from mycelium_fractal_net.bootstrap.custody import of_each
from mycelium_fractal_net.inventory import transport
from mycelium_fractal_net.inventory.records import CertificateFacts, Protocol
from mycelium_fractal_net.security.algorithms.names import SEALING
from mycelium_fractal_net.security.http_signatures.message_signature import ALGORITHMS
from mycelium_fractal_net.security.sealed.key_transport import METHODS, RSA_AES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mycelium_fractal_net.config import Settings
    from mycelium_fractal_net.config.settings import CustodianSettings
    from mycelium_fractal_net.security.policy import Policy

_VERSIONS: Final = ("1.2", "1.3")
_ADDRESSES: Final[dict[str, Callable[[CustodianSettings], str | None]]] = {
    "vault": lambda managed: managed.vault_addr,
    "aws-kms": lambda managed: managed.aws_endpoint_url,
}
_OF_A_BODY: Final = ("SHA-256", "SHA-512")  # RFC 9530


def protocols(
    settings: Settings, policy: Policy, certificates: tuple[CertificateFacts, ...]
) -> Iterator[Protocol]:
    """What the settings have this deployment speak, of what the policy allows.

    Raises :class:`ConfigurationError` where the service's TLS does not serve.
    """
    yield from _served(settings, certificates)
    yield from _asked(settings)
    if all(map(policy.allows, SEALING)):
        named = "sealed messages, Cobblestone-256"
        yield Protocol("protocol:sealed", named, "other", "C2SP chunked-encryption", SEALING)
    yield Protocol(
        "protocol:http-signatures",
        "HTTP message signatures",
        "other",
        "RFC 9421",
        tuple(filter(policy.allows, (*ALGORITHMS, *_OF_A_BODY))),
        properties={"requests": settings.server.request_signing},
    )
    for method, algorithms in METHODS.items():
        if all(map(policy.allows, algorithms)):
            standard = "HPKE, RFC 9180" if method != RSA_AES else "CKM_RSA_AES_KEY_WRAP"
            ref = f"protocol:key-transport-{method}"
            yield Protocol(ref, "keys on their way", "other", standard, algorithms)


def _served(settings: Settings, certificates: tuple[CertificateFacts, ...]) -> Iterator[Protocol]:
    """TLS of the service, where it has a certificate. Raises :class:`ConfigurationError`."""
    chosen = settings.security.tls
    if not tls.serves_tls(chosen):
        return
    context = tls.load(chosen).context
    for version in _VERSIONS:
        if version >= chosen.min_version:
            yield Protocol(
                f"protocol:tls-{version}",
                "TLS of the service",
                "tls",
                version,
                transport.groups(),
                transport.suites(context, version),
                tuple(each.ref for each in certificates),
                {"clients": chosen.client_certificates},
            )


def _asked(settings: Settings) -> Iterator[Protocol]:
    """TLS to custodians and to the database, which choose among what is offered.

    That to a database is libpq's, which has an OpenSSL of its own.
    """
    offered = transport.groups()
    for each in of_each(settings):
        provider = each.security.key_management.provider
        if provider in _ADDRESSES and not _is_plain(each):
            yield Protocol(
                f"protocol:tls-to-{provider}", f"TLS to {provider}", "tls", "1.2 or newer", offered
            )
    if isinstance(settings.store, str) and settings.store.startswith("postgresql"):
        yield Protocol(
            "protocol:tls-to-postgresql", "TLS to postgresql", "tls", "as sslmode says", ()
        )


def _is_plain(settings: Settings) -> bool:
    managed = settings.security.key_management
    address = _ADDRESSES[managed.provider](managed)
    return address is not None and address.startswith("http:")
