"""Which old versions of a key may go by themselves, and when a scheduler has something to do.

Records and rules, without a clock and without I/O. :mod:`mycelium_fractal_net.security.lifecycle`
tells the reasons and applies them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.errors import InvalidInputError
from mycelium_fractal_net.security.records.keys import KeyState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.records.keys import Key, KeyVersion, RotationPolicy


ALWAYS: Final = datetime(1970, 1, 1, tzinfo=UTC)  # for what no clock tells
ASKED_AGAIN: Final = timedelta(days=1)

# Not yet in use, or on the way out already: neither old nor among those that are kept.
_NOT_COUNTED: Final = (
    KeyState.PRE_ACTIVATION,
    KeyState.PENDING_DESTRUCTION,
    KeyState.DESTROYED,
)
# Of other states uses are refused uncounted, so that nothing is known of who needs them.
_JUDGED_BY_REWRAP: Final = (KeyState.ACTIVE, KeyState.DEACTIVATED, KeyState.COMPROMISED)
_JUDGED_BY_USE: Final = (KeyState.ACTIVE, KeyState.DEACTIVATED)


class DestructionReason(StrEnum):
    """Why a version may go without an operator's word."""

    REWRAPPED = "rewrapped"
    UNUSED = "unused"


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionUse:
    """What is known of the use of one version. Days are UTC; a count is the least there were.

    ``leased_until`` is the last day on which a data key under it may be used where nobody
    counts, ``last_kept`` when its destruction was last cancelled.
    """

    version_id: str
    version: int
    state: KeyState
    created_at: datetime
    rewrapped_at: datetime | None
    destroy_at: datetime | None
    last_decrypted: date | None
    last_protected: date | None
    last_refused: date | None
    last_kept: date | None
    leased_until: date | None
    decrypted: int
    protected: int
    refused: int
    backed_up: bool

    @property
    def decrypts(self) -> bool:
        """Whether its state lets it decrypt, or verify, what it protected."""
        return self.state in (KeyState.ACTIVE, KeyState.DEACTIVATED)

    @property
    def last_used(self) -> date:
        """The last day that speaks for it: of any use, or of its making where there was none."""
        days = (
            self.last_decrypted,
            self.last_protected,
            self.last_refused,
            self.last_kept,
            self.leased_until,
        )
        return max((day for day in days if day is not None), default=self.created_at.date())


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal(VersionUse):
    """A version past the retained count. ``why`` is a sentence's end: why it may go, or not."""

    reason: DestructionReason | None
    why: str

    @property
    def may_go(self) -> bool:
        """Whether it may go without an operator's word."""
        return self.reason is not None


@dataclass(frozen=True, slots=True)
class CleanupReport:
    """What was proposed, and which of it is pending destruction now, until ``destroy_at``."""

    key_id: str
    retain_count: int
    proposals: tuple[Proposal, ...]
    moved: tuple[str, ...] = ()
    destroy_at: datetime | None = None


def past_retained(key: Key, retain_count: int) -> list[KeyVersion]:
    """The versions that are older than the newest ``retain_count``, oldest first.

    Those that wait for their activation, and those that are gone or going, are not counted.
    Raises :class:`InvalidInputError` for less than 1.
    """
    if retain_count < 1:
        raise InvalidInputError("retain_count must be 1 at least: the newest version always stays")
    counted = [each for each in key.versions if each.state not in _NOT_COUNTED]
    return counted[:-retain_count]


def judged(use: VersionUse, policy: RotationPolicy, today: date, *, is_moved: bool) -> Proposal:
    """What may become of an old version. ``is_moved``: by a rewrap, and it was not used since."""
    reason, why = _judge(use, policy, today, is_moved)
    known = {each.name: getattr(use, each.name) for each in fields(use)}
    return Proposal(**known, reason=reason, why=why)


def _judge(
    use: VersionUse, policy: RotationPolicy, today: date, is_moved: bool
) -> tuple[DestructionReason | None, str]:
    why = "nothing says that its data was moved: rewrap it, or give a reason"
    if use.state is KeyState.SUSPENDED:
        return None, "it is suspended, so that nobody could use it: give a reason"
    if use.rewrapped_at is not None and use.state in _JUDGED_BY_REWRAP:
        day = f"{use.rewrapped_at:%Y-%m-%d}"
        if is_moved:
            return (
                DestructionReason.REWRAPPED,
                f"its data was moved by {day}, and nothing has used it since",
            )
        why = f"it was used after the rewrap that is recorded for {day}"
    if policy.auto_destroy and use.state in _JUDGED_BY_USE:
        unused = (today - use.last_used).days
        if unused >= policy.unused_for_days:
            return (
                DestructionReason.UNUSED,
                f"nothing has used it since {use.last_used}, for {unused} days",
            )
        why = (
            f"it was in use on {use.last_used}, and the policy waits {policy.unused_for_days} days"
        )
    return None, why


def due_at(key: Key, *, processed: datetime | None = None) -> datetime | None:
    """The earliest time at which something may be due; None where nothing ever is.

    That is a rotation, an activation, the end of a recovery window, and when old versions may go
    by themselves. What was due when the key was ``processed`` and still is, such as a version that
    waits for a backup, is asked about again a day later.
    """
    times = _due_times(key)
    if processed is not None:
        times = (each if each > processed else processed + ASKED_AGAIN for each in times)
    return min(times, default=None)


def _due_times(key: Key) -> Iterator[datetime]:
    if key.rotation.automatic and key.primary_or_none is not None:
        yield key.rotation_due
    for version in key.versions:
        if version.state is KeyState.PRE_ACTIVATION:
            if not key.waits_for_sweep(version):
                yield version.activate_at or ALWAYS
        elif version.state is KeyState.PENDING_DESTRUCTION and version.destroy_at is not None:
            yield version.destroy_at
        elif version.lingers:
            yield ALWAYS
    for version in past_retained(key, key.rotation.retain_count):
        if version.rewrapped_at is not None:
            yield ALWAYS  # its use decides
        elif key.rotation.auto_destroy:
            # It was in use on the day of its making at least; and of days the last one counts.
            yield version.created_at + timedelta(days=key.rotation.unused_for_days - 1)
