"""Keys that nobody rotates in time: overdue, failing, or with a version that waits for too long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from mycelium_fractal_net.doctor.findings import Examined, Finding, warning
from mycelium_fractal_net.security.key_store.rows import micros_or_none
from mycelium_fractal_net.security.key_store.scheduler_table import (
    DueTime,
    Look,
    SchedulerTable,
    is_late,
)
from mycelium_fractal_net.security.lifecycle.due import OVERDUE
from mycelium_fractal_net.security.records.keys import Key, KeyState, version_id
from mycelium_fractal_net.security.records.retention import due_at

_SLACK: Final = timedelta(days=1)  # by which clocks may differ
_LATE: Final = timedelta(hours=1)  # with which a scheduler may activate a version: it looks daily


def failure_findings(store: Examined) -> Iterator[Finding]:
    """Keys whose rotation fails, as schedulers have noted it."""
    for name, failure in sorted(SchedulerTable(store.provider.store.database).failures().items()):
        yield warning(
            "rotation-failing",
            f"key {name}",
            f"could not be rotated {failure.failures} times since {failure.since:%Y-%m-%d}"
            f" ({failure.reason}): mfn rotation list",
        )


def rotation_findings(store: Examined, key: Key) -> Iterator[Finding]:
    """What is overdue of one key."""
    now, subject = store.provider.clock(), f"key {key.key_id}"
    due = key.rotation_due
    if not key.rotation.automatic and due <= now:
        yield warning(
            "rotation-due",
            subject,
            f"was to be rotated by {due:%Y-%m-%d}, by hand: mfn key rotate {key.key_id}",
        )
    elif key.rotation.automatic and key.primary_or_none is not None and now - due > OVERDUE:
        yield warning(
            "rotation-due",
            subject,
            f"was to be rotated by {due:%Y-%m-%d} and {_why(store, now)}; at once:"
            f" mfn key rotate {key.key_id}",
        )
    for version in key.versions:
        at = version.activate_at
        # Where a backup is to hold it first, what it waits for may be that.
        waits = version.state is KeyState.PRE_ACTIVATION and not store.provider.keys.require_backup
        if waits and at is not None and now - at > _LATE:
            named = version_id(key.key_id, version.version)
            yield warning(
                "activation-due",
                f"key {named}",
                f"was to protect from {at:%Y-%m-%dT%H:%M:%SZ} on and {_why(store, now)}; at once:"
                f" mfn key activate {named}",
            )


def due_time_findings(store: Examined, key: Key, stored: DueTime) -> Iterator[Finding]:
    """A due time in the store by which a scheduler would come too late for the key."""
    due = micros_or_none(due_at(key, processed=store.provider.clock() + _SLACK))
    if stored.revision == key.revision and is_late(stored.due_at, due):
        yield warning(
            "due-time",
            f"key {key.key_id}",
            "has a due time in the store that is not its record's: schedulers would come too late,"
            " until their pass over all keys has come by: mfn rotation run",
        )


def _why(store: Examined, now: datetime) -> str:
    look: Look | None = SchedulerTable(store.provider.store.database).last_look()
    if look is None:
        return "no scheduler has ever run: mfn rotation run"
    if now - look.looked_at > OVERDUE:
        return f"no scheduler has run since {look.looked_at:%Y-%m-%d}: mfn rotation run"
    return "no scheduler did so: mfn rotation list says why"
