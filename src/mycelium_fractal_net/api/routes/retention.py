"""`/keys/{key_id}/usage` and `/keys/{key_id}/cleanup`: what old versions are still for."""

from __future__ import annotations

from mycelium_fractal_net.api.endpoints.context import Authenticated
from mycelium_fractal_net.api.endpoints.spec import Routes
from mycelium_fractal_net.api.routes.common import key_in_path
from mycelium_fractal_net.api.schemas.retention import CleanupRequest
from mycelium_fractal_net.security.errors import KeyNotFoundError
from mycelium_fractal_net.security.lifecycle.retention import (
    cleanup_old_versions,
    propose,
    usage_of,
)
from mycelium_fractal_net.security.records.keys import DESTRUCTION_WINDOW_DAYS
from mycelium_fractal_net.security.records.retention import CleanupReport
from mycelium_fractal_net.shapes.retention import (
    CleanupAnswer,
    UsageAnswer,
    cleanup_shape,
    usage_shape,
)

routes = Routes("keys")


@routes.add(
    "GET", "/keys/{key_id}/usage", "key.usage", UsageAnswer, scope="keys:read", in_thread=True,
    problems=("not-found",),
)  # fmt: skip
def key_usage(context: Authenticated, key_id: str) -> UsageAnswer:
    """Show which versions still open data, and when they last did. Scope: `keys:read`."""
    key_in_path(context, key_id)
    key = context.provider.keys.get(key_id)
    return usage_shape(key.key_id, usage_of(context.provider, context.keyring.usage, key))


@routes.change(
    "/keys/{key_id}/cleanup", "key.cleanup", CleanupAnswer, scope="keys:admin", recorded=True,
    problems=("not-found", "key-state"),
)  # fmt: skip
def cleanup_key(
    context: Authenticated, key_id: str, body: CleanupRequest | None = None
) -> CleanupAnswer:
    """List the versions past the retained count and, with a reason, begin their destruction.

    Each that is moved is in the audit log with the reason. Scope: `keys:admin`.
    """
    if key_in_path(context, key_id) != key_id:
        raise KeyNotFoundError("old versions are told by the name of their key")
    asked = body or CleanupRequest()
    provider, usage = context.provider, context.keyring.usage
    retain = asked.retain_count or provider.keys.get(key_id).rotation.retain_count
    if asked.reason is None:
        proposals = propose(provider, usage, key_id, retain)
        return cleanup_shape(CleanupReport(key_id, retain, tuple(proposals)))
    report = cleanup_old_versions(
        provider,
        usage,
        key_id,
        retain,
        reason=asked.reason,
        versions=asked.versions,
        window_days=asked.window_days or DESTRUCTION_WINDOW_DAYS,
    )
    return cleanup_shape(report)
