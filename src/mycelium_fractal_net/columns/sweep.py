"""One pass over a column: its rows in spans, put through workers, added up."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypedDict

from mycelium_fractal_net.columns.coding import beginning
from mycelium_fractal_net.columns.column import MessageColumn
from mycelium_fractal_net.columns.column_database import ColumnDatabase
from mycelium_fractal_net.columns.column_report import ColumnReport, Failure
from mycelium_fractal_net.columns.located_column import LocatedColumn, Span
from mycelium_fractal_net.columns.moving import Convert, Mover, WriteRow
from mycelium_fractal_net.columns.processes import Worker, run
from mycelium_fractal_net.security.errors import StoreError
from mycelium_fractal_net.security.keyring.keyring import Keyring

_UNFOUND: Final = "a part of its primary key is NULL, so that it cannot be found again"
_MOST_UNFOUND: Final = 1000
_MOST_BEGINNINGS: Final = 10_000  # far more than a store has versions


def spans(database: ColumnDatabase, place: LocatedColumn, rows: int) -> Iterator[Span]:
    """The whole table. The last span has no end, so that it has what was added meanwhile."""
    after = None
    with database.connection() as connection:
        while True:
            with database.reading(connection):
                found = connection.execute(*place.border(after, rows)).first()
            upto = None if found is None else tuple(found)
            # Of some types the database and the driver disagree on what is equal.
            if upto is None or upto == after:
                break
            yield Span(after, upto)
            after = upto
    yield Span(after, None)


class RunOptions(TypedDict, total=False):
    """How a run on a column is done, and who hears of it.

    ``workers`` is the number of processes, one for each processor by default, forked from this
    one; with 1 all is done here, as it must be where another thread of this program has a
    transaction open on the same SQLite file. ``progress`` gets how many values were looked at
    since its last call, ``report`` each that had to stay; without it they are in the result.
    """

    workers: int | None
    progress: Callable[[int], None] | None
    report: Callable[[Failure], None]


@dataclass(frozen=True, slots=True)
class Sweep:
    """What is done with a column, and how."""

    keyring: Keyring
    database: ColumnDatabase
    place: LocatedColumn
    options: RunOptions

    def run(
        self, convert: Convert, write_row: WriteRow | None = None, *, rows: int
    ) -> ColumnReport:
        """Move every value of the column, ``rows`` rows in a span."""

        def mover(finish: Callable[[], None]) -> Mover:
            return Mover(self.database, self.place, convert, write_row, finish=finish)

        return self.through(mover, rows=rows)

    def through(self, make: Callable[[Callable[[], None]], Worker], *, rows: int) -> ColumnReport:
        """Put every row through workers; ``make`` takes what each has to call at its end."""
        found = ColumnReport()
        tell = self.options.get("report") or found.failures.append
        progress = self.options.get("progress")
        workers = self.options.get("workers") or len(os.sched_getaffinity(0))

        def failed(failure: Failure) -> None:
            found.failed += 1
            tell(failure)

        here = os.getpid()

        def worker() -> Worker:
            return make(lambda: self._finish(here))

        looked = 0
        parts = run(spans(self.database, self.place, rows), worker, workers)
        with contextlib.closing(parts):
            for part in parts:
                looked += part.looked
                found.done += part.done
                for failure in part.failures:
                    failed(failure)
                if progress is not None:
                    progress(part.looked)
        self.database.make_durable()
        with self.database.connection() as connection, self.database.reading(connection):
            found.empty = connection.execute(self.place.empty()).scalar_one()
        found.skipped = max(0, looked - found.done - found.failed)
        for failure in self._unfound():
            failed(failure)
        return found

    def _unfound(self) -> list[Failure]:
        asked = self.place.without_key(_MOST_UNFOUND)
        if asked is None:
            return []
        with self.database.connection() as connection, self.database.reading(connection):
            keys = [tuple(found) for found in connection.execute(asked)]
        return [Failure(self.place.shown(key), _UNFOUND) for key in keys]

    def _finish(self, parent: int) -> None:
        """Leave the keyring as a process should that ends."""
        # Of each version the first use of a day is durable; what is lost here is a count.
        with contextlib.suppress(StoreError):
            self.keyring.flush()
        audit = self.keyring.provider.audit
        if audit is not None and os.getpid() != parent:  # a chain of this process's own
            audit.close()


def beginnings(column: MessageColumn) -> Counter[bytes]:
    """The first 12 bytes of the messages in a column, and how many values begin so.

    Of both forms they are those of a sealed message, which tell the key version. What is no
    message stands under no bytes. The database counts; no value is read.
    """
    database, place = column.located()
    found: Counter[bytes] = Counter()
    with database.connection() as connection, database.reading(connection):
        for start, count in connection.execute(place.beginnings(_MOST_BEGINNINGS)):
            found[beginning(start, place.message_offset)] += count
        total = connection.execute(place.total()).scalar_one()
    found[b""] += max(0, total - found.total())
    return +found


def count_values(column: MessageColumn) -> int:
    """How many rows of a table have a value in that column."""
    database, place = column.located()
    with database.connection() as connection, database.reading(connection):
        return int(connection.execute(place.total()).scalar_one())
