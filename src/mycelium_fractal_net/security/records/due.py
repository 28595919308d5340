"""When a scheduler has something to do for a key: of its record alone, without a clock. No I/O."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.records.keys import KeyState
from mycelium_fractal_net.security.records.retention import past_retained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.records.keys import Key

ALWAYS: Final = datetime(1970, 1, 1, tzinfo=UTC)  # what no clock tells is due at every time


def due_at(key: Key, *, retention_at: datetime = ALWAYS) -> datetime | None:
    """The earliest time at which something may be due; None where nothing ever is.

    That is a rotation, an activation, the end of a recovery window. A version that waits for a
    backup is due always. ``retention_at`` is when to ask next whether old versions may go by
    themselves, which their use decides.
    """
    return min(_due_times(key, retention_at), default=None)


def _due_times(key: Key, retention_at: datetime) -> Iterator[datetime]:
    if key.rotation.automatic and key.primary_or_none is not None:
        yield key.rotation_due
    for version in key.versions:
        if version.state is KeyState.PRE_ACTIVATION:
            yield version.activate_at or ALWAYS
        elif version.state is KeyState.PENDING_DESTRUCTION and version.destroy_at is not None:
            yield version.destroy_at
    for version in past_retained(key, key.rotation.retain_count):
        if version.rewrapped_at is not None:
            yield retention_at
        elif key.rotation.auto_destroy:
            # It was in use on the day of its making at least; and of days the last one counts.
            unused = timedelta(days=key.rotation.unused_for_days - 1)
            yield max(retention_at, version.created_at + unused)
