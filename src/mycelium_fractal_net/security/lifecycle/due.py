"""When a key is due: by its schedule, by its use, and what clocks that jump do to it. No I/O.

A key has one due time, which is part of its record. Rotating it sets the next one, counted from
the time of the rotation: however many intervals were missed, one rotation makes up for them. All
times are the store's, so that machines whose clocks differ agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.records.keys import KeyState

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from mycelium_fractal_net.security.key_store.scheduler_table import RotationFailure
    from mycelium_fractal_net.security.records.keys import Key

_FIRST_PAUSE: Final = timedelta(minutes=1)
LONGEST_PAUSE: Final = timedelta(hours=1)
_SLACK: Final = timedelta(days=1)  # by which clocks may differ without a schedule being wrong
OVERDUE: Final = timedelta(days=1)  # what is due for longer, nobody rotates


class Reason(StrEnum):
    """Why a key is rotated: its schedule says so, or it has encrypted enough raw messages."""

    DUE = "due"
    USE = "use"


@dataclass(frozen=True, slots=True)
class ScheduledKey:
    """A key as a scheduler sees it now. ``failure`` is that of its rotation, since it last worked.

    ``reason`` is why it is due, None where it is not; ``protects`` is false where its newest
    version is out of use, and then no scheduler touches it.
    """

    key: Key
    reason: Reason | None
    protects: bool
    failure: RotationFailure | None

    @property
    def waits_for_backup(self) -> bool:
        """Whether its newest version protects once a backup holds it."""
        return waits_for_backup(self.key)

    @property
    def due_at(self) -> datetime | None:
        """When a scheduler rotates it next; None where none does."""
        return self.key.rotation_due if self.key.rotation.automatic and self.protects else None


def reason_to_rotate(key: Key, now: datetime, used_up: Collection[bytes]) -> Reason | None:
    """Why the key is to be rotated now; None where it is not.

    ``used_up`` are the handles under which half of all raw messages are used: then it is due
    whatever its schedule says. A key whose newest version somebody has suspended, deactivated
    or marked compromised is left alone: a rotation would put it back into use. Nor does one that
    waits for a backup get a further version, which would wait as well.
    """
    newest = key.primary_or_none
    if newest is None or waits_for_backup(key):
        return None
    if newest.handle in used_up:
        return Reason.USE
    return Reason.DUE if key.rotation.automatic and key.rotation_due <= now else None


def waits_for_backup(key: Key) -> bool:
    """Whether its newest version is there, and protects once a backup holds it."""
    latest = key.latest
    waits = latest.state is KeyState.PRE_ACTIVATION and latest.activate_at is None
    return waits and not key.waits_for_sweep(latest)


def too_far(key: Key, now: datetime, seen_until: datetime) -> datetime | None:
    """What the due time is to be where it can only come from a clock that ran ahead.

    Without this a key that was rotated under a clock of next year would rest until then. None
    where it is good. A version that waits for its activation counts from then. It is never moved
    into what the store has already seen, ``seen_until``: where it is the clock of now that is
    wrong, the key would be rotated again once that comes home.
    """
    waits = key.latest.activate_at if key.latest.state is KeyState.PRE_ACTIVATION else None
    next_due = max(now, waits or now) + timedelta(days=key.rotation.interval_days)
    if not key.rotation.automatic or key.rotation_due <= next_due + _SLACK:
        return None
    if next_due <= seen_until:
        return None
    return next_due


def to_activate(key: Key, now: datetime) -> bool:
    """Whether a version of the key was to be active by now, or as soon as a backup holds it."""
    return any(key.is_to_activate(each, now) for each in key.versions)


def to_erase(key: Key, now: datetime) -> bool:
    """Whether the recovery window of a version has passed, or its external key lingers."""
    if any(each.lingers for each in key.versions):
        return True
    going = (each for each in key.versions if each.state is KeyState.PENDING_DESTRUCTION)
    return any(each.destroy_at is not None and each.destroy_at <= now for each in going)


def pause_after(failures: int) -> timedelta:
    """How long a key whose rotation failed so many times in a row is left alone."""
    doubled: timedelta = _FIRST_PAUSE * 2 ** min(failures - 1, 10)
    return min(doubled, LONGEST_PAUSE)


def may_retry(failure: RotationFailure | None, now: datetime) -> bool:
    """Whether the pause is over. One that is longer than any there is comes from a clock ahead."""
    return failure is None or failure.retry_at <= now or failure.retry_at - now > LONGEST_PAUSE
