"""Fills the new column of an encrypted field from the old one beside it, while both are written.

The old column says what is right until readers have changed over, so it is never written here, and
what stands in the new one already is held against it. A row is written only where both columns are
what was read, under the database's own lock of the row: who writes both in one statement loses
nothing, whoever comes first.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Unpack

from sqlalchemy import and_, bindparam, cast, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import TEXT
from sqlalchemy.types import JSON, NullType

from mycelium_fractal_net.columns.coding import Coding, Habit, Value, encode
from mycelium_fractal_net.columns.column import MessageColumn
from mycelium_fractal_net.columns.column_database import ColumnDatabase, NotWrittenError, Why
from mycelium_fractal_net.columns.column_report import ColumnReport, Failure
from mycelium_fractal_net.columns.encrypted_field import FieldSealer
from mycelium_fractal_net.columns.located_column import Key, LocatedColumn, Span
from mycelium_fractal_net.columns.moving import OF_ONE_VALUE, Part
from mycelium_fractal_net.columns.plaintext import Plaintext, as_it_is, sealed_in
from mycelium_fractal_net.columns.sweep import RunOptions, Sweep
from mycelium_fractal_net.security.errors import InvalidInputError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from mycelium_fractal_net.columns.source import Source
    from mycelium_fractal_net.security.keyring.keyring import Keyring

Spell = Callable[[Any], bytes]
"""From a value as the driver gives it to the bytes that its field seals."""
Fill = Callable[[Any, Any], Value | None]
"""From a row's old and new value to what the new one should be; None where it is that."""

_SPAN_ROWS: Final = 500
_PAUSES: Final = (0.0, 0.05, 0.5)  # seconds before each try of what was not written
_ROW_WAIT_MILLISECONDS: Final = 500
_TEXT: Final = Coding(text=True, base64=True)
_BYTES: Final = Coding(text=False, base64=False)
_OTHER: Final = "the new column has another value than the old one"
_GONE: Final = "the old column has no value any more, and the new one has"
_LEFT: Final = "was changed, or held by another transaction, each time that it was to be written"


def spelled_as_text(value: Any) -> bytes:
    """The bytes of text or bytes. Raises :class:`.InvalidInputError` for anything else."""
    if not isinstance(value, str | bytes):
        raise InvalidInputError("the old value is neither bytes nor text")
    return as_it_is(value)


def fill_column(
    keyring: Keyring,
    column: MessageColumn,
    key_id: str | None,
    old_column: str,
    source: Source | None = None,
    *,
    spell: Spell = spelled_as_text,
    dry_run: bool = False,
    **how: Unpack[RunOptions],
) -> ColumnReport:
    """Seal what ``old_column`` holds into ``column`` of the same row, where that is NULL.

    ``column`` has a ``field``. What the old column holds is of ``source``, plaintext where there
    is none; ``spell`` gives the bytes of its values, which for other sources are text. ``column``
    holds bytes, or text, which gets base64. A value that is there already is opened and compared:
    another one is reported, and stays. The old column is not changed. Each new value is opened
    before it is written, and a run that was cut off is run again. ``dry_run`` writes nothing.

    Raises as :func:`.take_over_column`.
    """
    field = column.field
    if field is None:
        raise InvalidInputError("a column is filled as an encrypted field, and none is named")
    sealer = FieldSealer(keyring, field, key_id)
    database, place = _pair(column, old_column)
    if field.index is not None and place.holds_text:
        raise InvalidInputError("a column of text is filled without an index")
    coding = _TEXT if place.holds_text else _BYTES
    place.take_empty()
    habit = Habit()
    opens = None
    if source is not None and not isinstance(source, Plaintext):
        opens = source.opener(keyring)

    def plaintext_of(old: Any) -> bytes:
        if opens is None:
            return spell(old)
        opened = opens(old) if isinstance(old, str | bytes) else spelled_as_text(old)
        return spell(_text_if_it_is(opened))

    def fill(old: Any, new: Any) -> Value | None:
        if old is None:
            raise InvalidInputError(_GONE)
        plaintext = plaintext_of(old)
        if new is not None:
            stored = sealed_in(new, field.tag_bytes)
            if stored is None:
                raise InvalidInputError("the new column has a value that is not sealed")
            if sealer.open(stored) != plaintext:
                raise InvalidInputError(_OTHER)
            return None
        return encode(sealer.seal(plaintext), coding, habit)

    sweep = Sweep(keyring, database, place, how)
    found = sweep.through(
        lambda finish: Filler(database, place, fill, writes=not dry_run, finish=finish),
        rows=_SPAN_ROWS,
    )
    found.empty = 0
    return found


def count_pairs(column: MessageColumn, old_column: str) -> int:
    """How many rows have a value in one of both columns."""
    database, place = _pair(column, old_column)
    with database.connection() as connection, database.reading(connection):
        asked = select(func.count()).select_from(place.table).where(_has_either(place))
        return int(connection.execute(asked).scalar_one())


def _pair(column: MessageColumn, old_column: str) -> tuple[ColumnDatabase, LocatedColumn]:
    if old_column == column.column:
        raise InvalidInputError("a column is not filled from itself: take it over in place")
    pair = MessageColumn(column.url, column.table, column.column, old_column, column.field)
    return pair.located()


def _text_if_it_is(opened: bytes) -> str | bytes:
    try:
        return opened.decode()
    except UnicodeDecodeError:
        return opened


def _has_either(place: LocatedColumn) -> Any:
    return or_(place.value.is_not(None), _old(place).is_not(None))


def _old(place: LocatedColumn) -> Any:
    assert place.associated is not None  # noqa: S101 - as it was located
    return place.associated


class _Pair(NamedTuple):
    """A row as it was read."""

    key: Key
    new: Any
    old: Any


class Filler:
    """Fills the rows of spans over one connection, in one process. Close it at the end."""

    def __init__(
        self,
        database: ColumnDatabase,
        place: LocatedColumn,
        fill: Fill,
        *,
        writes: bool,
        finish: Callable[[], None],
    ) -> None:
        self._database = database
        self._place = place
        self._fill = fill
        self._writes = writes
        self._stack = contextlib.ExitStack()
        self._stack.callback(finish)
        self._connection = self._stack.enter_context(database.connection())
        old = _old(place)
        # JSON is read as its text: a driver would give a string in it as one that is none.
        shown = cast(old, TEXT()) if isinstance(place.type_of(old.name), JSON) else old
        self._pairs = select(*place.keys, place.value, shown)
        self._update = (
            update(place.table)
            .where(place.is_row, place.value.is_(None))
            .values({place.value: bindparam("new", type_=NullType())})
        )

    def close(self) -> None:
        """Close the connection."""
        self._stack.close()

    def __call__(self, span: Span) -> Part:
        """Fill the rows of ``span``."""
        part = Part()
        refused: dict[Key, str] = {}
        left: list[tuple[_Pair, Value]] = []
        failures: dict[Key, str] = {}
        for pause in _PAUSES:
            time.sleep(pause)
            rows = self._read(span)
            part.looked = max(part.looked, len(rows))
            failures, left = dict(refused), []
            for row in rows:
                if row.key in refused:
                    continue
                try:
                    value = self._fill(row.old, row.new)
                except OF_ONE_VALUE as error:
                    failures[row.key] = str(error)
                    continue
                if value is not None:
                    left.append((row, value))
            if not self._writes:
                part.done, left = len(left), []
            if not left:
                break
            before = part.done
            self._write(left, part, refused)
            failures |= refused
            if part.done - before + len(refused.keys() & {row.key for row, _ in left}) == len(left):
                left = []
                break
        failures |= {row.key: _LEFT for row, _ in left if row.key not in refused}
        shown = self._place.shown
        part.failures = [Failure(shown(key), reason) for key, reason in failures.items()]
        return part

    def _read(self, span: Span) -> list[_Pair]:
        asked, given = self._place.within(self._pairs.where(_has_either(self._place)), span)
        with self._database.reading(self._connection) as connection:
            return _pairs(connection.execute(asked.order_by(*self._place.keys), given))

    def _write(
        self, changes: Sequence[tuple[_Pair, Value]], part: Part, refused: dict[Key, str]
    ) -> None:
        """Write those that are as they were read; where that fails, in halves, down to one."""
        alone = {"wait_milliseconds": _ROW_WAIT_MILLISECONDS} if len(changes) == 1 else {}
        try:
            with self._database.writing(self._connection, **alone) as connection:
                now = self._locked(connection, [row.key for row, _ in changes])
                same = [(row, value) for row, value in changes if now.get(row.key) == row]
                if same:
                    named = self._place.named
                    given = [{"new": value, **named(row.key)} for row, value in same]
                    connection.execute(self._update, given)
        except NotWrittenError as error:
            if len(changes) > 1:
                half = len(changes) // 2
                self._write(changes[:half], part, refused)
                self._write(changes[half:], part, refused)
            elif error.why is not Why.CONTENDED:
                reason = f"the database does not take the new value ({error.kind})"
                refused[changes[0][0].key] = reason
            return
        part.done += len(same)

    def _locked(self, connection: Connection, keys: Sequence[Key]) -> dict[Key, _Pair]:
        """Those rows as they are now, which nobody else changes until the transaction ends."""
        place = self._place
        if len(place.keys) == 1:
            chosen = place.keys[0].in_([key[0] for key in keys])
        else:
            chosen = tuple_(*place.keys).in_(keys)
        asked = self._pairs.where(and_(chosen, place.value.is_(None))).with_for_update()
        return {row.key: row for row in _pairs(connection.execute(asked))}


def _pairs(found: Any) -> list[_Pair]:
    rows = (tuple(map(_plain, each)) for each in found)
    return [_Pair(row[:-2], row[-2], row[-1]) for row in rows]


def _plain(value: Any) -> Any:
    return bytes(value) if isinstance(value, bytearray | memoryview) else value
