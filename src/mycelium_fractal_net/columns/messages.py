"""Moves the sealed messages of a column to the newest version of their key."""

from __future__ import annotations

import contextlib
from typing import Final, Unpack

from mycelium_fractal_net.columns.coding import Habit, Value, decode, encode
from mycelium_fractal_net.columns.column import MessageColumn
from mycelium_fractal_net.columns.column_database import ColumnDatabase
from mycelium_fractal_net.columns.column_report import ColumnReport
from mycelium_fractal_net.columns.encrypted_field import moving
from mycelium_fractal_net.columns.located_column import LocatedColumn
from mycelium_fractal_net.columns.sweep import RunOptions, Sweep
from mycelium_fractal_net.security.errors import DecryptionError
from mycelium_fractal_net.security.keyring.keyring import Keyring
from mycelium_fractal_net.security.records.open_options import PLAIN, OpenOptions

_SPAN_ROWS: Final = 2000
_SAMPLE: Final = 1000  # values from which the spelling of a column is learned


def rewrap_column(
    keyring: Keyring,
    column: MessageColumn,
    options: OpenOptions = PLAIN,
    **how: Unpack[RunOptions],
) -> ColumnReport:
    """Move every sealed message of a column to its key's newest version, in place.

    Values are bytes, or base64 text whose spelling stays; NULL is passed over. The associated
    data is that of ``options`` for all rows, or that of a column; ``how`` is a
    :class:`.RunOptions`. No row is written that is not what was read, so an application may go on
    writing. Killed at any moment, the same call takes up the rest.

    Raises :class:`InvalidInputError`, :class:`DatabaseUnavailableError`, :class:`StoreError`.
    """
    constant = column.constant(options)
    database, place = column.located()
    habit = learned(database, place)
    if column.field is not None:
        convert_field = moving(keyring, column.field, options, habit)
        return Sweep(keyring, database, place, how).run(convert_field, rows=_SPAN_ROWS)
    rewrapped = keyring.rewrapper(options)

    def convert(value: Value, bound: bytes) -> Value | None:
        message, coding = decode(value)
        if coding.base64:
            habit.learn(coding)
        if not message:  # white space alone is nothing either
            return None
        moved = rewrapped(message, bound or constant)
        return None if moved is None else encode(moved, coding, habit)

    sweep = Sweep(keyring, database, place, how)
    return sweep.run(convert, rows=_SPAN_ROWS)


def learned(database: ColumnDatabase, place: LocatedColumn) -> Habit:
    """How the column spells base64, from a sample of its values."""
    habit = Habit()
    with database.connection() as connection, database.reading(connection):
        for (value,) in connection.execute(place.sample(_SAMPLE)):
            if isinstance(value, str):
                with contextlib.suppress(DecryptionError):
                    habit.learn(decode(value)[1])
    return habit
