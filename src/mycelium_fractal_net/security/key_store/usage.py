"""How much each key version was used: per day, and raw messages against their limit.

A row of kind ``lease`` stands on the day on which a data key may last be used, and one of kind
``rewrap`` on the day for which a finished rewrap was recorded; all others on the day of the use.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select, update

from mycelium_fractal_net.security.errors import UsageLimitError
from mycelium_fractal_net.security.key_store.backup_table import held_versions
from mycelium_fractal_net.security.key_store.schema import backed_up_versions, raw_usage, usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import ColumnElement
    from sqlalchemy.engine import Connection

    from mycelium_fractal_net.security.key_store.database import Database


PROTECT: Final = "protect"
OPEN: Final = "open"
LEASE: Final = "lease"  # data keys that are used where nobody counts, until the end of that day
REFUSED: Final = "refused"  # uses of a version whose destruction is pending
KEPT: Final = "kept"  # its destruction was cancelled
_REWRAP: Final = "rewrap"

RAW_MESSAGES_LIMIT: Final = 2**32  # SP 800-38D section 8.3: random 96-bit nonces under one key
RAW_MESSAGES_ROTATE: Final = 2**31  # half of it, so that a rotation comes long before a refusal


@dataclass(frozen=True, slots=True)
class UsageDay:
    """The uses of one version on one day (days since 1970-01-01, UTC)."""

    handle: bytes
    day: int
    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class UsageSummary:
    """All uses of one kind of one version: the last day (since 1970-01-01, UTC), and how many."""

    handle: bytes
    kind: str
    last_day: int
    count: int


class UsageStore:
    """Counts, over a database that :class:`KeyStore` shares."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin_day(self, handle: bytes, day: int, kind: str) -> None:
        """See that the first use of a day is durable before its answer leaves.

        A crash after it can lose counts and never the fact of use. Costs one read where the
        day was begun before, by whichever process.
        """
        where = (usage.c.handle == handle, usage.c.day == day, usage.c.kind == kind)
        with self._database.read() as connection:
            begun = connection.execute(select(usage.c.count).where(*where)).first() is not None
        if not begun:
            self.add({(handle, day, kind): 0})

    def add(self, counts: Mapping[tuple[bytes, int, str], int]) -> None:
        """Add to the counts of (handle, day, kind)."""
        if not counts:
            return
        with self._database.write() as connection:
            # Sorted, so that two processes never wait for each other's rows in turn.
            for (handle, day, kind), count in sorted(counts.items()):
                self._put(connection, UsageDay(handle, day, kind, count), usage.c.count + count)

    def days(self, handles: list[bytes]) -> list[UsageDay]:
        """Every day on which one of these versions was used, oldest first."""
        with self._database.read() as connection:
            return [
                UsageDay(bytes(row.handle), row.day, row.kind, row._mapping["count"])
                for row in connection.execute(
                    select(usage).where(usage.c.handle.in_(handles)).order_by(usage.c.day)
                )
            ]

    def summaries(self, handles: Iterable[bytes]) -> list[UsageSummary]:
        """What :meth:`days` says, summed up by version and kind.

        Where a process ended before it wrote its counts, more happened than is counted; the last
        day is right all the same.
        """
        with self._database.read() as connection:
            rows = connection.execute(
                select(usage.c.handle, usage.c.kind, func.max(usage.c.day), func.sum(usage.c.count))
                .where(usage.c.handle.in_(list(handles)), usage.c.kind != _REWRAP)
                .group_by(usage.c.handle, usage.c.kind)
            ).all()
        return [
            UsageSummary(bytes(handle), kind, day, int(count)) for handle, kind, day, count in rows
        ]

    def mark_rewrapped(self, handles: Iterable[bytes], day: int) -> None:
        """Note how much these versions were used by now on the day of a finished rewrap.

        The uses of the rewrap itself are among them: only what is counted beyond is later.
        """
        with self._database.write() as connection:
            for handle in sorted(handles):
                reached = _uses_of(connection, handle, day)
                self._put(connection, UsageDay(handle, day, _REWRAP, reached), reached)

    def _put(
        self, connection: Connection, row: UsageDay, otherwise: int | ColumnElement[int]
    ) -> None:
        """Insert a row, or give the one that is there the count ``otherwise``."""
        connection.execute(
            self._database.insert(usage)
            .values(asdict(row))
            .on_conflict_do_update(
                index_elements=["handle", "day", "kind"], set_={"count": otherwise}
            )
        )

    def was_used_after_rewrap(self, handle: bytes, day: int) -> bool:
        """Whether the version was used after :meth:`mark_rewrapped` noted its uses of that day."""
        with self._database.read() as connection:
            where = (usage.c.handle == handle, usage.c.kind != _REWRAP)
            later = select(usage.c.day).where(*where, usage.c.day > day).limit(1)
            if connection.execute(later).first() is not None:
                return True
            marked = connection.execute(
                select(usage.c.count).where(
                    usage.c.handle == handle, usage.c.kind == _REWRAP, usage.c.day == day
                )
            ).scalar()
            return _uses_of(connection, handle, day) > (marked or 0)

    def backed_up(self, handles: Iterable[bytes]) -> frozenset[bytes]:
        """Those of these versions that a backup holds which the store's master key opens."""
        with self._database.read() as connection:
            found = connection.execute(
                held_versions().where(backed_up_versions.c.handle.in_(list(handles)))
            ).scalars()
            return frozenset(bytes(handle) for handle in found)

    def reserve_raw(self, handle: bytes, count: int) -> int:
        """Reserve ``count`` raw messages, durably; returns the number reserved in all.

        What is left of a block when its process ends counts as used.
        Raises :class:`UsageLimitError` past :data:`RAW_MESSAGES_LIMIT`.
        """
        with self._database.write() as connection:
            connection.execute(
                self._database.insert(raw_usage)
                .values(handle=handle, reserved=0)
                .on_conflict_do_nothing()
            )
            moved = connection.execute(
                update(raw_usage)
                .where(
                    raw_usage.c.handle == handle,
                    raw_usage.c.reserved <= RAW_MESSAGES_LIMIT - count,
                )
                .values(reserved=raw_usage.c.reserved + count)
            )
            if moved.rowcount != 1:
                raise UsageLimitError(
                    "this key version has encrypted 2^32 raw messages, which is all it may"
                )
            return int(
                connection.execute(
                    select(raw_usage.c.reserved).where(raw_usage.c.handle == handle)
                ).scalar_one()
            )

    def raw_reserved(self, handle: bytes) -> int:
        """How many raw messages are reserved or used under that version."""
        with self._database.read() as connection:
            found = connection.execute(
                select(raw_usage.c.reserved).where(raw_usage.c.handle == handle)
            ).scalar()
        return 0 if found is None else int(found)

    def raw_reserved_from(self, count: int) -> frozenset[bytes]:
        """The handles under which at least ``count`` raw messages are reserved or used."""
        with self._database.read() as connection:
            found = connection.execute(
                select(raw_usage.c.handle).where(raw_usage.c.reserved >= count)
            ).scalars()
            return frozenset(bytes(handle) for handle in found)


def _uses_of(connection: Connection, handle: bytes, day: int) -> int:
    """The uses of one day, and one more for each kind: a day is begun before it is counted."""
    # A lease that ends that day was granted before it, or is counted as a use of its own.
    kinds = usage.c.kind.in_((PROTECT, OPEN, REFUSED))
    found = connection.execute(
        select(func.sum(usage.c.count + 1)).where(
            usage.c.handle == handle, usage.c.day == day, kinds
        )
    ).scalar()
    return 0 if found is None else int(found)
