"""What old versions are still used for, and which of them may go, as it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typing_extensions import TypedDict

from mycelium_fractal_net.shapes.json_values import shape
from mycelium_fractal_net.shapes.members import (
    Day,
    KeyName,
    Number,
    Schema,
    State,
    Time,
    VersionId,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mycelium_fractal_net.security.records.retention import CleanupReport, VersionUse

_Count = Annotated[int, Schema(minimum=0, description="The least that there were.")]


class VersionUsage(TypedDict):
    """What is known of the use of one version; bytes of keys that were exported lie outside."""

    version_id: VersionId
    version: Number
    state: State
    decrypts: Annotated[
        bool, Schema(description="Whether its state lets it decrypt, or verify, what it protected.")
    ]
    created_at: Time
    last_decrypted: Day | None
    last_protected: Day | None
    last_refused: Annotated[
        Day | None, Schema(description="When it was last used while its destruction was pending.")
    ]
    last_kept: Annotated[Day | None, Schema(description="When its destruction was last cancelled.")]
    leased_until: Annotated[
        Day | None, Schema(description="The last day on which a data key under it may be in use.")
    ]
    decrypted: _Count
    protected: _Count
    refused: _Count
    rewrapped_at: Annotated[
        Time | None, Schema(description="When a finished rewrap of its data was recorded.")
    ]
    destroy_at: Time | None
    backed_up: Annotated[bool, Schema(description="Whether at least one backup holds it.")]


class UsageAnswer(TypedDict):
    """What is known of the use of each version of a key, oldest first."""

    key_id: KeyName
    versions: list[VersionUsage]


class ProposalAnswer(VersionUsage):
    """A version past the retained count."""

    reason: Annotated[
        Annotated[str, Schema(enum=["rewrapped", "unused"])] | None,
        Schema(description="Why a scheduler may move it; null where only a reason does."),
    ]
    why: str


class CleanupAnswer(TypedDict):
    """What is proposed, oldest first, and what of it was moved and is erased at `destroy_at`."""

    key_id: KeyName
    retain_count: Number
    proposals: list[ProposalAnswer]
    moved: list[VersionId]
    destroy_at: Time | None


def usage_shape(key_id: str, uses: Iterable[VersionUse]) -> UsageAnswer:
    """The shape of what is known of the use of a key's versions."""
    return {"key_id": key_id, "versions": [shape(VersionUsage, use) for use in uses]}


def cleanup_shape(report: CleanupReport) -> CleanupAnswer:
    """The versions past the retained count, and which of them are pending destruction now."""
    proposals = [shape(ProposalAnswer, each) for each in report.proposals]
    return shape(CleanupAnswer, report, proposals=proposals)
