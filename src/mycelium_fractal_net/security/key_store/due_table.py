"""Who is due: the index by which a scheduler finds keys and credentials without reading all.

The due time of a key is a hint, written with each record and not under its MAC: a key that it names
is verified before anything is done. Whoever edits it delays a key until the slow pass over
all keys, a page at each look, comes by and mends it; ``mfn doctor`` tells of it too.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import bindparam, func, or_, select, update

from mycelium_fractal_net.security.key_store.rows import micros
from mycelium_fractal_net.security.key_store.schema import (
    credentials,
    key_versions,
    keys,
    raw_usage,
    scheduler_clock,
)
from mycelium_fractal_net.security.key_store.usage import RAW_MESSAGES_ROTATE
from mycelium_fractal_net.security.records.credentials import CredentialState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mycelium_fractal_net.security.key_store.database import Database

PASS_KEYS: Final = 100  # of the slow pass, at each look: at one a minute, 144,000 a day


class DueTime(NamedTuple):
    """When a scheduler is to look at the key, in microseconds, None for never; by its revision."""

    key_id: str
    revision: int
    due_at: int | None


def is_late(stored: int | None, due: int | None) -> bool:
    """Whether a scheduler that goes by what is stored would come after a key is due."""
    return due is not None and (stored is None or stored > due)


class DueTable:
    """What of the tables says when something is due, over a :class:`Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def keys(self, now: datetime) -> set[str]:
        """The names of keys for which something may be due, or that are used up."""
        used_up = select(raw_usage.c.handle).where(raw_usage.c.reserved >= RAW_MESSAGES_ROTATE)
        with self._database.read() as connection:
            due = connection.execute(select(keys.c.key_id).where(keys.c.due_at <= micros(now)))
            used = connection.execute(
                select(key_versions.c.key_id).where(key_versions.c.handle.in_(used_up))
            )
            return {*due.scalars(), *used.scalars()}

    def credentials(self, now: datetime, rotation_days: int) -> list[str]:
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

    def put(self, times: Sequence[DueTime]) -> None:
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
