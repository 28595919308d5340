"""What schedulers know together: whose rotation failed, and when one of them last looked.

Nothing here grants authority, and nothing is authenticated: whoever edits it delays a rotation by
the longest pause at most, and an erasure by a day.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import delete, select

from mycelium_fractal_net.security.key_store.rows import from_micros, micros
from mycelium_fractal_net.security.key_store.schema import rotation_failures, scheduler_clock

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from mycelium_fractal_net.security.key_store.database import Database


REASON_CHARACTERS: Final = 200
_GAP: Final = timedelta(days=2)  # between two looks; a longer one may be a clock that jumped
_HOLD: Final = timedelta(days=1)
_BACK: Final = timedelta(hours=1)  # further back than two machines that look at once


@dataclass(frozen=True, slots=True)
class RotationFailure:
    """A key whose rotation failed, how often in a row and since when; when it is tried again."""

    key_id: str
    failures: int
    since: datetime
    retry_at: datetime
    reason: str


class Look(NamedTuple):
    """When a scheduler last looked, and until when nothing is erased; the store's clock."""

    looked_at: datetime
    held_until: datetime | None


class RotationTable:
    """The tables ``rotation_failures`` and ``scheduler_clock``, over a :class:`Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._dialect = importlib.import_module(f"sqlalchemy.dialects.{database.dialect}")

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
        statement = self._dialect.insert(rotation_failures).values(row)
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
        held = None if row.held_until is None else from_micros(row.held_until)
        return Look(from_micros(row.looked_at), held)

    def note_look(self, now: datetime) -> Look:
        """Note that a scheduler looks now. A look long after the last one holds erasures for a day.

        The clock may have jumped ahead, and an erasure cannot be taken back. Where it has
        jumped back since, the hold is over, and so is one that no clock of now can have set.
        """
        with self._database.write() as connection:
            connection.execute(
                self._dialect.insert(scheduler_clock)
                .values(id=1, looked_at=micros(now), held_until=micros(now + _HOLD))
                .on_conflict_do_nothing()
            )
            # Of two that look at once the second sees what the first has noted.
            row = connection.execute(select(scheduler_clock).with_for_update()).one()
            last = from_micros(row.looked_at)
            held = None if row.held_until is None else from_micros(row.held_until)
            # A machine that is a moment behind does not set the time of the last look back.
            looked = now if last - now > _BACK else max(last, now)
            if now - last > _GAP:
                held = now + _HOLD
            elif last - now > _BACK or (held is not None and not now < held <= looked + _HOLD):
                held = None
            connection.execute(
                scheduler_clock.update().values(
                    looked_at=micros(looked), held_until=None if held is None else micros(held)
                )
            )
        return Look(looked, held)
