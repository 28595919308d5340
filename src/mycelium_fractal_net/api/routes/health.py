"""`/health/*` and `/metrics`: whether the service serves, and how."""

from __future__ import annotations

from typing import Any, Final

from mycelium_fractal_net.api.endpoints.context import Authenticated, Public
from mycelium_fractal_net.api.endpoints.spec import Routes
from mycelium_fractal_net.api.schemas.health import Live, Ready
from mycelium_fractal_net.security.fips.process import proven

# A certificate that could not be renewed still serves, the counts of rates go on in memory, and so
# do keys that could not be rotated, and those in use while their custodian is out. That refuses
# what any caller may ask it for: an old master key.
_SERVES: Final = ("ok", "renewal-refused", "in-memory", "failing", "riding-out", "refuses")

routes = Routes("health")


@routes.add("GET", "/health/live", "health.live", Live, public=True, recorded=False)
def live(context: Public) -> dict[str, Any]:  # noqa: ARG001
    """The process answers. For anybody."""
    return {"status": "ok"}


@routes.add(
    "GET", "/health/ready", "health.ready", Ready, public=True, knows_callers=True, recorded=False
)
def ready(context: Public) -> dict[str, Any]:
    """Whether requests are served. For anybody, the status alone; 503 where it is not ready.

    With an `X-API-Key` of the scope `metrics:read` also each backend and its state.
    """
    backends = context.service.backends()
    served = all(state in _SERVES for state in backends.values())
    context.status = 200 if served else 503
    answer: dict[str, Any] = {"status": "ready" if served else "unavailable"}
    if context.is_allowed("metrics:read"):
        answer["backends"] = backends
        if (proof := proven()) is not None:
            answer["fips"] = proof.shape()
    return answer


@routes.add(
    "GET", "/metrics", "metrics", None, scope="metrics:read", recorded=False, in_thread=True,
    media_type="text/plain; version=0.0.4; charset=utf-8", takes_bearer=True,
)  # fmt: skip
def metrics(context: Authenticated) -> bytes:
    """Counts, times and states for Prometheus. Scope: `metrics:read`.

    The API key may come as `Authorization: Bearer`, too.
    """
    return context.service.metrics.render()
