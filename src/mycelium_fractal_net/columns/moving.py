"""Moves values from what they are to what they should be, and loses to every other writer.

A row is written only where the column, and that of its associated data, still hold what was
read. Whatever was not written is read again. There is no state but the data itself, so a run that
was killed is run again, and any number of runs may work on one column.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy.engine import Connection

from mycelium_fractal_net.columns.coding import Value
from mycelium_fractal_net.columns.column_database import ColumnDatabase, NotWrittenError, Why
from mycelium_fractal_net.columns.column_report import Failure
from mycelium_fractal_net.columns.located_column import (
    Key,
    LocatedColumn,
    Row,
    Span,
    ValueChange,
    associated_bytes,
    value_of,
)
from mycelium_fractal_net.security.errors import (
    DecryptionError,
    InvalidInputError,
    KeyNotFoundError,
    KeyStateError,
    KeyUsageError,
)

Convert = Callable[[Value, bytes], Value | None]
"""From a value and its associated data to what the value should be; None where it is that."""
WriteRow = Callable[[Connection, LocatedColumn, ValueChange], bool]
"""Writes one row within a transaction; False where the row is not any more what was read."""

_FIRST_ROWS: Final = 1000  # in the first transaction: how long that takes says what follows
_LONG_SECONDS: Final = 0.1  # a transaction that takes longer is followed by smaller ones,
_SHORT_SECONDS: Final = 0.025  # and one that is shorter by larger ones
_SETTLE_SECONDS: Final = 0.02  # for an application that writes value and associated data apart
_PAUSES: Final = (0.0, 0.01, 0.05, 0.2, 0.5)  # seconds before each try to move one row
_ROW_WAIT_MILLISECONDS: Final = 2_000  # a transaction of one row makes nobody wait meanwhile
# What is wrong with one value, and no reason to stop.
OF_ONE_VALUE: Final = (
    DecryptionError,
    InvalidInputError,
    KeyNotFoundError,
    KeyStateError,
    KeyUsageError,
)
_CHANGED: Final = "was changed each time that it was to be written"
_HELD: Final = "is held by another transaction"


@dataclass(slots=True)
class Part:
    """What became of the rows of one span."""

    looked: int = 0
    done: int = 0
    failures: list[Failure] = field(default_factory=list)


class Mover:
    """Moves the rows of spans over one connection, in one process. Close it at the end.

    ``write_row`` writes what must be written one row at a time; without it rows are written many
    at a time, in transactions of a fraction of a second. ``finish`` is called at the end.
    """

    def __init__(
        self,
        database: ColumnDatabase,
        place: LocatedColumn,
        convert: Convert,
        write_row: WriteRow | None = None,
        *,
        finish: Callable[[], None],
    ) -> None:
        self._database = database
        self._place = place
        self._convert = convert
        self._single = write_row is not None
        self._write_row = write_row or _write_row
        self._stack = contextlib.ExitStack()
        self._stack.callback(finish)
        self._connection = self._stack.enter_context(database.connection())
        self._bound = database.rows_at_once(self._connection)
        self._most = min(_FIRST_ROWS, self._bound)

    def close(self) -> None:
        """Close the connection."""
        self._stack.close()

    def __call__(self, span: Span) -> Part:
        """Move the rows of ``span``."""
        part = Part()
        rows = self._rows(span)
        part.looked = len(rows)
        bad: dict[Key, tuple[Row, str]] = {}
        long = [row.key for row in rows if row.value is None]
        settled: set[Key] = set()
        missed = False
        if self._single:
            for change in self._changes(rows, bad):
                try:
                    won = self._write_some([change])
                except OF_ONE_VALUE as error:
                    bad[change.row.key] = change.row, str(error)
                    continue
                if won:
                    part.done += 1
                    settled.add(change.row.key)
                else:
                    missed = True
        else:
            changes = list(self._changes(rows, bad))
            won = self._write_all(changes)
            part.done += won
            missed = won < len(changes)
        if missed or bad:
            self._look_again(span, bad, settled, part)
        for key in long:
            self._alone(key, part)
        return part

    def _look_again(
        self, span: Span, bad: dict[Key, tuple[Row, str]], settled: set[Key], part: Part
    ) -> None:
        """See to what was not written, and to what failed and is another value by now."""
        if bad:
            time.sleep(_SETTLE_SECONDS)
        left = []
        for row in self._rows(span):
            known = bad.pop(row.key, None)
            if known is not None and known[0] == row:
                part.failures.append(Failure(self._place.shown(row.key), known[1]))
            elif row.value is not None and row.key not in settled:
                left.append(row)
        for row in left:
            if self._is_left(row):
                self._alone(row.key, part)

    def _is_left(self, row: Row) -> bool:
        try:
            return self._converted(row) is not None
        except OF_ONE_VALUE:
            return True

    def _alone(self, key: Key, part: Part) -> None:
        """Move one row, over and over if need be."""
        reason = _CHANGED
        for pause in _PAUSES:
            time.sleep(pause)
            with self._database.reading(self._connection) as connection:
                row = self._place.read(connection, key)
            if row is None:
                return
            try:
                new = self._converted(row)
                if new is None:
                    return
                if self._write_one(ValueChange(row, new), wait_milliseconds=_ROW_WAIT_MILLISECONDS):
                    part.done += 1
                    return
                reason = _CHANGED
            except OF_ONE_VALUE as error:
                reason = str(error)
            except NotWrittenError as error:
                reason = _HELD
                if error.why is not Why.CONTENDED:
                    reason = f"the database does not take the new value ({error.kind})"
                    break
        part.failures.append(Failure(self._place.shown(key), reason))

    # Reading and converting ----------------------------------------------------------------

    def _rows(self, span: Span) -> list[Row]:
        with self._database.reading(self._connection) as connection:
            return self._place.rows(connection, span)

    def _changes(
        self, rows: Sequence[Row], bad: dict[Key, tuple[Row, str]]
    ) -> Iterator[ValueChange]:
        for row in rows:
            if row.value is None:
                continue
            try:
                new = self._converted(row)
            except OF_ONE_VALUE as error:
                bad[row.key] = row, str(error)
                continue
            if new is not None:
                yield ValueChange(row, new)

    def _converted(self, row: Row) -> Value | None:
        return self._convert(value_of(row), associated_bytes(row.associated))

    # Writing ------------------------------------------------------------------------------

    def _write_one(self, change: ValueChange, **options: int) -> bool:
        """Write one row in a transaction of its own."""
        with self._database.writing(self._connection, **options) as connection:
            return self._write_row(connection, self._place, change)

    def _write_all(self, changes: Sequence[ValueChange]) -> int:
        """Write what can be written of ``changes``; returns how many were."""
        done = 0
        while changes:
            now, changes = changes[: self._most], changes[self._most :]
            began = time.monotonic()
            done += self._write_some(now)
            seconds = time.monotonic() - began
            if seconds > _LONG_SECONDS:
                self._most = max(1, self._most // 2)
            elif seconds < _SHORT_SECONDS:
                self._most = min(self._bound, self._most * 2)
        return done

    def _write_some(self, changes: Sequence[ValueChange]) -> int:
        """One transaction, or where that fails two of half the size."""
        try:
            if self._single:
                return sum(map(self._write_one, changes))
            return self._write_batch(changes)
        except NotWrittenError:
            if len(changes) == 1:
                return 0
            half = len(changes) // 2
            return self._write_some(changes[:half]) + self._write_some(changes[half:])

    def _write_batch(self, changes: Sequence[ValueChange]) -> int:
        place = self._place
        together = place.write_rows(changes)
        try:
            if together is not None:
                with self._database.writing(self._connection) as connection:
                    return connection.execute(*together).rowcount
        except NotWrittenError as error:
            if error.why is not Why.UNSUITED:
                raise
            place.send_no_arrays()
        with self._database.writing(self._connection) as connection:
            return connection.execute(*place.write_row(*changes)).rowcount


def _write_row(connection: Connection, place: LocatedColumn, change: ValueChange) -> bool:
    return connection.execute(*place.write_row(change)).rowcount == 1
