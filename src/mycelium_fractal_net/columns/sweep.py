"""One pass over a column: its rows in spans, put through workers, added up."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.columns.coding import beginning
from mycelium_fractal_net.columns.moving import Convert, Mover, WriteRow
from mycelium_fractal_net.columns.place import Span
from mycelium_fractal_net.columns.report import ColumnReport, Failure
from mycelium_fractal_net.columns.running import run, worker_count
from mycelium_fractal_net.security.errors import StoreError

if TYPE_CHECKING:
    from mycelium_fractal_net.columns.column import MessageColumn
    from mycelium_fractal_net.columns.database import ColumnDatabase
    from mycelium_fractal_net.columns.place import Place
    from mycelium_fractal_net.security.keyring.keyring import Keyring

Progress = Callable[[int], None]
"""Called with how many values were looked at since its last call."""
Report = Callable[[Failure], None]
"""Called with each value that had to stay as it was."""
_UNFOUND: Final = "a part of its primary key is NULL, so that it cannot be found again"
_MOST_UNFOUND: Final = 1000
_MOST_BEGINNINGS: Final = 10_000  # far more than a store has versions


def spans(database: ColumnDatabase, place: Place, rows: int) -> Iterator[Span]:
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


@dataclass(frozen=True, slots=True)
class Sweep:
    """What is done with a column, and by how many processes."""

    keyring: Keyring
    database: ColumnDatabase
    place: Place
    workers: int | None
    progress: Progress | None
    report: Report | None

    def run(
        self, convert: Convert, write_row: WriteRow | None = None, *, rows: int
    ) -> ColumnReport:
        """Move every value of the column, ``rows`` rows in a span."""
        found = ColumnReport()
        tell = self.report or found.failures.append

        def failed(failure: Failure) -> None:
            found.failed += 1
            tell(failure)

        here = os.getpid()

        def mover() -> Mover:
            return Mover(
                self.database, self.place, convert, write_row, finish=lambda: self._finish(here)
            )

        looked = 0
        parts = run(spans(self.database, self.place, rows), mover, worker_count(self.workers))
        with contextlib.closing(parts):
            for part in parts:
                looked += part.looked
                found.done += part.done
                for failure in part.failures:
                    failed(failure)
                if self.progress is not None:
                    self.progress(part.looked)
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
    where = column.located()
    found: Counter[bytes] = Counter()
    with where.database.connection() as connection, where.database.reading(connection):
        for start, count in connection.execute(where.place.beginnings(_MOST_BEGINNINGS)):
            found[beginning(start)] += count
        total = connection.execute(where.place.total()).scalar_one()
    found[b""] += max(0, total - found.total())
    return +found


def count_values(column: MessageColumn) -> int:
    """How many rows of a table have a value in that column."""
    where = column.located()
    with where.database.connection() as connection, where.database.reading(connection):
        return int(connection.execute(where.place.total()).scalar_one())
