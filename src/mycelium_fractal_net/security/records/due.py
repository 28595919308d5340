"""When a scheduler has something to do for a key: of its record alone, without a clock. No I/O."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.records.keys import KeyState
from mycelium_fractal_net.security.records.retention import past_retained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.records.keys import Key

ALWAYS: Final = datetime(1970, 1, 1, tzinfo=UTC)  # for what no clock tells
ASKED_AGAIN: Final = timedelta(days=1)


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
            yield version.activate_at or ALWAYS
        elif version.state is KeyState.PENDING_DESTRUCTION and version.destroy_at is not None:
            yield version.destroy_at
    for version in past_retained(key, key.rotation.retain_count):
        if version.rewrapped_at is not None:
            yield ALWAYS  # its use decides
        elif key.rotation.auto_destroy:
            # It was in use on the day of its making at least; and of days the last one counts.
            yield version.created_at + timedelta(days=key.rotation.unused_for_days - 1)
