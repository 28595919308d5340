"""TLS of the service: where there is none, and certificates that end or are weak."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mycelium_fractal_net.doctor.findings import Finding, critical, warning
from mycelium_fractal_net.doctor.posture.certificate import certificate_findings
from mycelium_fractal_net.security.addresses import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.config import Settings


def transport_findings(settings: Settings) -> Iterator[Finding]:
    """What others may read on the way to the service.

    Nothing where TLS is required, and neither a certificate nor a proxy is named: such a service
    does not start.
    """
    tls, server = settings.security.tls, settings.server
    yield from _rate_storage(server.rate_limit_storage)
    if tls.certificate is not None:
        yield from certificate_findings(tls.certificate)
    elif server.trusted_proxies:
        if not is_loopback(server.host):
            yield warning(
                "plain-behind-proxy",
                "server.host",
                f"is {server.host}, without TLS of its own: what the proxy sends is read on the way"
                " to here; listen on 127.0.0.1 beside the proxy, or name security.tls.certificate",
            )
    elif not tls.required:
        here = is_loopback(server.host)
        found = warning if here else critical
        then = "whoever changes server.host" if here else "it"
        yield found(
            "plain-http",
            "security.tls.required",
            f"is false, and there is no certificate: {then} serves API keys and plaintexts to"
            " whoever listens; set it to true, and name security.tls.certificate",
        )


def _rate_storage(url: str | None) -> Iterator[Finding]:
    """A Redis elsewhere that is spoken to without TLS."""
    if url is None:
        return
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return  # the service says so
    if parts.scheme == "redis" and host is not None and not is_loopback(host):
        yield warning(
            "rate-storage-tls",
            "server.rate_limit_storage",
            "is reached without TLS: its password, and who calls how often, are read on the way;"
            " begin it with rediss://",
        )
