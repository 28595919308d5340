"""The routes of what old versions of keys are still for."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from mycelium_fractal_net.api.schemas.base import Model, Reason, VersionId, examples, published
from mycelium_fractal_net.shapes.retention import (
    CleanupAnswer,
    ProposalAnswer,
    UsageAnswer,
    VersionUsage,
)

_USAGE: Final[dict[str, Any]] = {
    "version_id": "orders:v1",
    "version": 1,
    "state": "active",
    "decrypts": True,
    "created_at": "2026-03-01T12:00:00Z",
    "last_decrypted": "2026-11-20",
    "last_protected": "2026-05-30",
    "last_refused": None,
    "last_kept": None,
    "leased_until": None,
    "decrypted": 1204,
    "protected": 88120,
    "refused": 0,
    "rewrapped_at": None,
    "destroy_at": None,
    "backed_up": True,
}
_PROPOSAL: Final[dict[str, Any]] = {
    **_USAGE,
    "reason": None,
    "why": "nothing says that its data was moved: rewrap it, or give a reason",
}


class CleanupRequest(Model):
    """Which old versions are looked at and, with a reason, moved to pending destruction."""

    model_config = examples(
        {"retain_count": 3},
        {"versions": ["orders:v1"], "reason": "the archive of 2026 was deleted", "window_days": 30},
    )

    retain_count: Annotated[
        int | None,
        Field(ge=1, le=10_000, description="How many stay; by default as many as the policy says."),
    ] = None
    versions: Annotated[
        list[VersionId] | None,
        Field(min_length=1, max_length=1000, description="Of those proposed; by default all."),
    ] = None
    reason: Annotated[
        Reason,
        Field(description="Why they may go, for the audit log; without it nothing is moved."),
    ] = None
    window_days: Annotated[
        int | None,
        Field(ge=7, le=365, description="Days in which it can be cancelled, 30 by default."),
    ] = None


published(VersionUsage)
published(UsageAnswer, {"key_id": "orders", "versions": [_USAGE]})
published(ProposalAnswer)
published(
    CleanupAnswer,
    {
        "key_id": "orders",
        "retain_count": 3,
        "proposals": [_PROPOSAL],
        "moved": ["orders:v1"],
        "destroy_at": "2026-12-24T12:00:00Z",
    },
)
