"""The routes of what old versions of keys are still for."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from mycelium_fractal_net.api.schemas.base import (
    KEY_NAME_PATTERN,
    Model,
    Moment,
    Reason,
    VersionId,
    examples,
)
from mycelium_fractal_net.api.schemas.keys import State

_USAGE: Final[dict[str, Any]] = {
    "version_id": "orders:v1",
    "version": 1,
    "state": "active",
    "opens": True,
    "created_at": "2026-03-01T12:00:00Z",
    "last_opened": "2026-11-20",
    "last_protected": "2026-05-30",
    "last_refused": None,
    "last_kept": None,
    "leased_until": None,
    "opened": 1204,
    "protected": 88120,
    "refused": 0,
    "rewrapped_at": None,
    "destroy_at": None,
    "backed_up": True,
}
_PROPOSAL: Final[dict[str, Any]] = {
    **_USAGE,
    "ground": None,
    "why": "nothing says that its data was moved: rewrap it, or give a reason",
}

_Day = Annotated[
    str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="A day of UTC, RFC 3339.")
]
_Count = Annotated[int, Field(ge=0, description="The least that there were.")]


class VersionUsage(Model):
    """What is known of the use of one version; bytes of keys that were exported lie outside."""

    version_id: VersionId
    version: Annotated[int, Field(ge=1)]
    state: State
    opens: Annotated[bool, Field(description="Whether its state lets it open what it protected.")]
    created_at: Moment
    last_opened: _Day | None
    last_protected: _Day | None
    last_refused: Annotated[
        _Day | None, Field(description="When it was last used while its destruction was pending.")
    ]
    last_kept: Annotated[_Day | None, Field(description="When its destruction was last cancelled.")]
    leased_until: Annotated[
        _Day | None, Field(description="The last day on which a data key under it may be in use.")
    ]
    opened: _Count
    protected: _Count
    refused: _Count
    rewrapped_at: Annotated[
        Moment | None, Field(description="When a finished rewrap of its data was recorded.")
    ]
    destroy_at: Moment | None
    backed_up: Annotated[bool, Field(description="Whether at least one backup holds it.")]


class UsageAnswer(Model):
    """What is known of the use of each version of a key, oldest first."""

    model_config = examples({"key_id": "orders", "versions": [_USAGE]})

    key_id: Annotated[str, Field(pattern=KEY_NAME_PATTERN)]
    versions: list[VersionUsage]


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


class ProposalAnswer(VersionUsage):
    """A version past the retained count."""

    ground: Annotated[
        Literal["rewrapped", "unused"] | None,
        Field(description="Why a scheduler may move it; null where only a reason does."),
    ]
    why: str


class CleanupAnswer(Model):
    """What is proposed, oldest first, and what of it was moved and is erased at `destroy_at`."""

    model_config = examples(
        {
            "key_id": "orders",
            "retain_count": 3,
            "proposals": [_PROPOSAL],
            "moved": ["orders:v1"],
            "destroy_at": "2026-12-24T12:00:00Z",
        }
    )

    key_id: Annotated[str, Field(pattern=KEY_NAME_PATTERN)]
    retain_count: Annotated[int, Field(ge=1)]
    proposals: list[ProposalAnswer]
    moved: list[VersionId]
    destroy_at: Moment | None
