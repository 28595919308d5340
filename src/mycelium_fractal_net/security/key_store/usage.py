"""How much each key version was used: per day, and raw messages against their limit."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import select, update

from mycelium_fractal_net.security.errors import UsageLimitError
from mycelium_fractal_net.security.key_store.schema import raw_usage, usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mycelium_fractal_net.security.key_store.database import Database

__all__ = ["OPEN", "PROTECT", "RAW_MESSAGES_LIMIT", "RAW_MESSAGES_ROTATE", "UsageDay", "UsageStore"]

PROTECT: Final = "protect"
OPEN: Final = "open"

RAW_MESSAGES_LIMIT: Final = 2**32  # SP 800-38D section 8.3: random 96-bit nonces under one key
RAW_MESSAGES_ROTATE: Final = 2**31  # half of it, so that a rotation comes long before a refusal


@dataclass(frozen=True, slots=True)
class UsageDay:
    """The uses of one version on one day (days since 1970-01-01, UTC)."""

    handle: bytes
    day: int
    kind: str
    count: int


class UsageStore:
    """Counts, over a database that :class:`KeyStore` shares."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Each dialect has its own upsert, and importing both would show in every start.
        self._dialect = importlib.import_module(f"sqlalchemy.dialects.{database.dialect}")

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
                statement = self._dialect.insert(usage).values(
                    handle=handle, day=day, kind=kind, count=count
                )
                connection.execute(
                    statement.on_conflict_do_update(
                        index_elements=["handle", "day", "kind"],
                        set_={"count": usage.c.count + statement.excluded.count},
                    )
                )

    def days(self, handles: list[bytes]) -> list[UsageDay]:
        """Every day on which one of these versions was used, oldest first."""
        with self._database.read() as connection:
            return [
                UsageDay(bytes(row.handle), row.day, row.kind, row._mapping["count"])
                for row in connection.execute(
                    select(usage).where(usage.c.handle.in_(handles)).order_by(usage.c.day)
                )
            ]

    def reserve_raw(self, handle: bytes, count: int) -> int:
        """Reserve ``count`` raw messages, durably; returns the number reserved in all.

        What is left of a block when its process ends counts as used.
        Raises :class:`UsageLimitError` past :data:`RAW_MESSAGES_LIMIT`.
        """
        with self._database.write() as connection:
            connection.execute(
                self._dialect.insert(raw_usage)
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
                    "this key version has encrypted 2^32 raw messages, which is all it may;"
                    " rotate the key"
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
