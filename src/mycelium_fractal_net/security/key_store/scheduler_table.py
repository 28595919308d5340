"""What schedulers go by, together: who is due, whose rotation failed, when one of them last looked.

Nothing here grants authority, and nothing is authenticated. The due time of a key is a hint,
written with each record and not under its MAC: a key that it names is verified before anything is
done. Whoever edits it delays a key until the slow pass over all keys, a page at each look, comes by
and mends it; ``mfn doctor`` tells of it too. Whoever edits the rest delays a rotation by the
longest pause at most, and an erasure by a day.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import bindparam, delete, func, or_, select, update

from mycelium_fractal_net.security.key_store.rows import (
    from_micros,
    from_micros_or_none,
    micros,
    micros_or_none,
)
from mycelium_fractal_net.security.key_store.schema import (
    credentials,
    key_versions,
    keys,
    raw_usage,
    rotation_failures,
    scheduler_clock,
)
from mycelium_fractal_net.security.key_store.usage import RAW_MESSAGES_ROTATE
from mycelium_fractal_net.security.records.credentials import CredentialState

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from sqlalchemy.engine import Row

    from mycelium_fractal_net.security.key_store.database import Database

PASS_KEYS: Final = 100  # of the slow pass, at each look: at one a minute, 144,000 a day
REASON_CHARACTERS: Final = 200
_GAP: Final = timedelta(days=2)  # between two looks; a longer one may be a clock that jumped
_HOLD: Final = timedelta(days=1)
_BACK: Final = timedelta(hours=1)  # further back than two machines that look at once
_CREDIBLE: Final = timedelta(days=7)  # for which a clock that went back has to run on


class DueTime(NamedTuple):
    """When a scheduler is to look at the key, in microseconds, None for never; by its revision."""

    key_id: str
    revision: int
    due_at: int | None


def is_late(stored: int | None, due: int | None) -> bool:
    """Whether a scheduler that goes by what is stored would come after a key is due."""
    return due is not None and (stored is None or stored > due)


@dataclass(frozen=True, slots=True)
class RotationFailure:
    """A key whose rotation failed, how often in a row and since when; when it is tried again."""

    key_id: str
    failures: int
    since: datetime
    retry_at: datetime
    reason: str


class Look(NamedTuple):
    """When a scheduler last looked, until when nothing is erased, and up to when the store's
    clock was seen; all by that clock.
    """

    looked_at: datetime
    held_until: datetime | None
    seen_until: datetime


class SchedulerTable:
    """The tables ``rotation_failures`` and ``scheduler_clock``, and the due times of the others."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Who is due -----------------------------------------------------------------------------

    def due_keys(self, now: datetime) -> set[str]:
        """The names of keys for which something may be due, or that are used up."""
        used_up = select(raw_usage.c.handle).where(raw_usage.c.reserved >= RAW_MESSAGES_ROTATE)
        with self._database.read() as connection:
            due = connection.execute(select(keys.c.key_id).where(keys.c.due_at <= micros(now)))
            used = connection.execute(
                select(key_versions.c.key_id).where(key_versions.c.handle.in_(used_up))
            )
            return {*due.scalars(), *used.scalars()}

    def due_credentials(self, now: datetime, rotation_days: int) -> list[str]:
        """The ids of active credentials whose secret is older than so many days."""
        before = micros(now - timedelta(days=rotation_days))
        table = credentials.c
        with self._database.read() as connection:
            found = connection.execute(
                select(table.credential_id).where(
                    func.coalesce(table.rotated_at, table.created_at) <= before,  # as the index
                    table.state == CredentialState.ACTIVE.value,
                    or_(table.expires_at.is_(None), table.expires_at > micros(now)),
                )
            )
            return list(found.scalars())

    def next_keys(self) -> list[str]:
        """The next :data:`PASS_KEYS` names of the slow pass, which all schedulers share."""
        with self._database.read() as connection:
            after = connection.execute(select(scheduler_clock.c.passed_to)).scalar() or ""
            found = connection.execute(
                select(keys.c.key_id)
                .where(keys.c.key_id > after)
                .order_by(keys.c.key_id)
                .limit(PASS_KEYS)
            )
            names = list(found.scalars())
        to = names[-1] if len(names) == PASS_KEYS else ""
        if to != after:
            with self._database.write() as connection:
                connection.execute(update(scheduler_clock).values(passed_to=to))
        return names

    def due_times(self, names: Sequence[str]) -> dict[str, DueTime]:
        """What is stored for those of these keys that are there, by their names."""
        with self._database.read() as connection:
            found = connection.execute(
                select(keys.c.key_id, keys.c.revision, keys.c.due_at).where(
                    keys.c.key_id.in_(names)
                )
            )
            return {row.key_id: DueTime(*row) for row in found}

    def put_due_times(self, times: Sequence[DueTime]) -> None:
        """Store due times, of keys that nobody has changed since."""
        if not times:
            return
        statement = (
            update(keys)
            .where(keys.c.key_id == bindparam("name"), keys.c.revision == bindparam("seen"))
            .values(due_at=bindparam("at"))
        )
        rows = [{"name": name, "seen": seen, "at": at} for name, seen, at in times]
        with self._database.write() as connection:
            connection.execute(statement, rows)

    # Failures, and looks --------------------------------------------------------------------

    def failures(self) -> dict[str, RotationFailure]:
        """Every key whose rotation failed and has not worked since, by its name."""
        with self._database.read() as connection:
            rows = connection.execute(select(rotation_failures)).all()
        return {
            row.key_id: RotationFailure(
                row.key_id,
                row.failures,
                from_micros(row.since),
                from_micros(row.retry_at),
                row.reason,
            )
            for row in rows
        }

    def record_failure(self, failure: RotationFailure) -> None:
        """Note a failure in place of the one before."""
        row = {
            "key_id": failure.key_id,
            "failures": failure.failures,
            "since": micros(failure.since),
            "retry_at": micros(failure.retry_at),
            "reason": failure.reason[:REASON_CHARACTERS],
        }
        statement = self._database.insert(rotation_failures).values(row)
        with self._database.write() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=["key_id"], set_=row))

    def forget_failures(self, key_ids: Collection[str]) -> None:
        """Forget the failures of keys that were rotated, or need not be any more."""
        if not key_ids:
            return
        with self._database.write() as connection:
            for key_id in sorted(key_ids):
                connection.execute(
                    delete(rotation_failures).where(rotation_failures.c.key_id == key_id)
                )

    def last_look(self) -> Look | None:
        """When a scheduler last looked; None where none ever did."""
        with self._database.read() as connection:
            row = connection.execute(select(scheduler_clock)).first()
        if row is None:
            return None
        return _look(row)

    def note_look(self, now: datetime) -> Look:
        """Note that a scheduler looks now. A look long after the last one holds erasures for a day.

        The clock may have jumped ahead, and an erasure cannot be taken back. Where it has
        jumped back since, the hold is over, and so is one that no clock of now can have set.

        The highest time that was seen is kept, whatever the clock does: one that went back may
        come home. Once it has run on for a week without a jump, it is taken at its word.
        """
        with self._database.write() as connection:
            connection.execute(
                self._database.insert(scheduler_clock)
                .values(id=1, looked_at=micros(now), held_until=micros(now + _HOLD))
                .on_conflict_do_nothing()
            )
            # Of two that look at once the second sees what the first has noted.
            row = connection.execute(select(scheduler_clock).with_for_update()).one()
            last, held, seen = _look(row)
            behind = from_micros_or_none(row.behind_since)
            # A machine that is a moment behind does not set the time of the last look back.
            jumped_back, jumped_ahead = last - now > _BACK, now - last > _GAP
            looked = now if jumped_back else max(last, now)
            if jumped_ahead:
                held = now + _HOLD
            elif jumped_back or (held is not None and not now < held <= looked + _HOLD):
                held = None
            if seen - now <= _BACK:
                seen, behind = max(seen, now), None
            elif behind is None or jumped_back or jumped_ahead:
                behind = now
            elif now - behind >= _CREDIBLE:
                seen, behind = now, None
            connection.execute(
                scheduler_clock.update().values(
                    looked_at=micros(looked),
                    held_until=micros_or_none(held),
                    seen_until=micros(seen),
                    behind_since=micros_or_none(behind),
                )
            )
        return Look(looked, held, seen)


def _look(row: Row[Any]) -> Look:
    seen = row.looked_at if row.seen_until is None else row.seen_until
    return Look(from_micros(row.looked_at), from_micros_or_none(row.held_until), from_micros(seen))
