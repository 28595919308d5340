"""One pass over a column: its rows in spans, put through workers, added up."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.columns.database import ColumnDatabase
from mycelium_fractal_net.columns.moving import Convert, Mover, WriteRow
from mycelium_fractal_net.columns.place import Place, Span
from mycelium_fractal_net.columns.report import ColumnReport, Failure
from mycelium_fractal_net.columns.running import run, worker_count
from mycelium_fractal_net.security.errors import StoreError

if TYPE_CHECKING:
    from mycelium_fractal_net.security.keyring import Keyring

__all__ = ["Progress", "Report", "Sweep", "located"]

Progress = Callable[[int], None]
"""Called with how many values were looked at since its last call."""
Report = Callable[[Failure], None]
"""Called with each value that had to stay as it was."""
_UNFOUND: Final = "a part of its primary key is NULL, so that it cannot be found again"
_MOST_UNFOUND: Final = 1000


def located(url: str, table: str, column: str, associated: str | None = None) -> _Located:
    """The column in its database. Raises as :meth:`Place.find` does."""
    database = ColumnDatabase(url)
    with database.connection() as connection, database.reading(connection):
        return _Located(database, Place.find(connection, table, column, associated))


@dataclass(frozen=True, slots=True)
class _Located:
    database: ColumnDatabase
    place: Place


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

        def mover() -> Mover:
            return Mover(self.database, self.place, convert, write_row, finish=self._flush)

        looked = 0
        parts = run(self._spans(rows), mover, worker_count(self.workers))
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

    def _spans(self, rows: int) -> Iterator[Span]:
        """The whole table. The last span has no end, so that it has what was added meanwhile."""
        after = None
        with self.database.connection() as connection:
            while True:
                with self.database.reading(connection):
                    found = connection.execute(*self.place.border(after, rows)).first()
                upto = None if found is None else tuple(found)
                # Of some types the database and the driver disagree on what is equal.
                if upto is None or upto == after:
                    break
                yield Span(after, upto)
                after = upto
        yield Span(after, None)

    def _unfound(self) -> list[Failure]:
        asked = self.place.without_key(_MOST_UNFOUND)
        if asked is None:
            return []
        with self.database.connection() as connection, self.database.reading(connection):
            keys = [tuple(found) for found in connection.execute(asked)]
        return [Failure(self.place.shown(key), _UNFOUND) for key in keys]

    def _flush(self) -> None:
        # Of each version the first use of a day is durable; what is lost here is a count.
        with contextlib.suppress(StoreError):
            self.keyring.flush()
