"""Settings of the service that are not those of production."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mycelium_fractal_net.doctor.findings import Finding, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.config import Settings


def configuration_findings(settings: Settings) -> Iterator[Finding]:
    """What a service in production does not have."""
    if not settings.server.production:
        yield warning(
            "not-production",
            "server.production",
            "is false: the service shows its documentation pages to everybody, and starts without"
            " the guards that production asks for; set it to true, or take --config prod",
        )
    if settings.log.level == "debug":
        yield warning(
            "debug-log",
            "log.level",
            "is debug, and tells more than is needed to run the service: set it to warning",
        )
