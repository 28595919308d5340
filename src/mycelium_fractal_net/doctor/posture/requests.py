"""How callers of the service prove who they are, and how often they may try."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.doctor.findings import Finding, notice, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.config import Settings

_SCRAPED: Final = "GET /metrics"  # by programs that cannot sign


def request_findings(settings: Settings) -> Iterator[Finding]:
    """Ways in that are weaker than they could be."""
    server = settings.server
    if server.request_signing != "required":
        yield warning(
            "unsigned-requests",
            "server.request_signing",
            f"is {server.request_signing}: an API key that leaks is enough to use the service; set"
            " it to required, and register a signer for each (docs/signing.md)",
        )
    more = [route for route in server.unsigned_routes if route != _SCRAPED]
    if more:
        yield notice(
            "unsigned-routes",
            "server.unsigned_routes",
            f"takes requests that nobody signed on {', '.join(more)}: leave out those that need"
            " not be there",
        )
    if server.body_only_signatures:
        yield warning(
            "body-only-signatures",
            "server.body_only_signatures",
            "is true: a signature over a body alone is taken again, on every path: set it to false",
        )
    if server.requests_per_address is None and server.requests_per_credential is None:
        yield notice(
            "no-rate-limit",
            "server.requests_per_address",
            "there is no limit on how often somebody may try: set it, and"
            " server.requests_per_credential (docs/service.md)",
        )
