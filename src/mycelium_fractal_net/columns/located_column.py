"""A column of a table: found in the database, and the statements that work on it.

Names are quoted by SQLAlchemy. Values go to the driver as they came from it, without a type of
SQLAlchemy's between: a key must find its row again, whatever type it has.
"""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import (
    ARRAY,
    BINARY,
    ColumnElement,
    Double,
    Float,
    LargeBinary,
    Select,
    String,
    TableClause,
    Update,
    and_,
    bindparam,
    case,
    cast,
    column,
    func,
    inspect,
    literal,
    not_,
    null,
    or_,
    select,
    table,
    tuple_,
    update,
)
from sqlalchemy.dialects.mysql import CHAR
from sqlalchemy.dialects.postgresql import BYTEA, DOMAIN, TEXT
from sqlalchemy.exc import SAWarning
from sqlalchemy.types import NullType, TypeEngine

from mycelium_fractal_net.columns import wire_arrays
from mycelium_fractal_net.columns.coding import BLANKS, Value, named_characters
from mycelium_fractal_net.columns.column_database import IN_BINARY, MYSQL, BinaryList, dialect_of
from mycelium_fractal_net.columns.mysql import BYTES_TYPES
from mycelium_fractal_net.columns.wire_arrays import Encode, array_type, encoder
from mycelium_fractal_net.security.errors import InvalidInputError
from mycelium_fractal_net.security.sealed.layout import MAGIC, NAMED_BYTES, SALTED_BYTES, SEALED

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Inspector

Key = tuple[Any, ...]
"""A primary key, in the order of its columns."""
INLINE_BYTES: Final = 16_384  # longer values are read one by one, so that a page fits in memory
_ANY: Final[TypeEngine[Any]] = NullType()
_SQLITE: Final = "sqlite"
_POSTGRESQL: Final = "postgresql"
_STRIPPED_CHARACTERS: Final = 128  # at the beginning of a value, tag and line ends included


class Span(NamedTuple):
    """The rows with ``after < key <= upto``; None is the table's own end."""

    after: Key | None
    upto: Key | None


class Row(NamedTuple):
    """A row as it was read. A ``value`` that is None is too long to be read with others."""

    key: Key
    value: Value | None
    associated: Any


class ValueChange(NamedTuple):
    """A row as it was read, and the value that it is to get."""

    row: Row
    new: Value


def _given(name: str) -> ColumnElement[Any]:
    """A parameter of no type: the database takes it for what it is compared with."""
    return bindparam(name, type_=_ANY)


class LocatedColumn:
    """One column of one table, by its primary key. Made by :meth:`find`. Holds no connection."""

    def __init__(
        self,
        found: TableClause,
        key: Sequence[str],
        value: str,
        associated: str | None,
        types: dict[str, TypeEngine[Any]],
        dialect: str,
    ) -> None:
        self.table = found
        self.key_names = tuple(key)
        self.value = found.c[value]
        self.associated = None if associated is None else found.c[associated]
        self.keys = [found.c[name] for name in key]
        self.message_offset = 0  # of a tag in front of a message
        self._types = types  # none on SQLite, whose values have each their own
        self._dialect = dialect
        self._names = [f"k{number}" for number in range(len(key))]
        self.is_row = and_(
            *(each == _given(name) for each, name in zip(self.keys, self._names, strict=True))
        )
        sent = [*key, associated] if associated else key
        self._sends_arrays = dialect == _POSTGRESQL and not any(
            isinstance(types[name], NullType) for name in sent
        )
        self._encoders = [encoder(types[name]) if self._sends_arrays else None for name in sent]
        self._in_binary = all(self._encoders)  # rows are read and written so
        self._takes_empty = False
        self._has_value: ColumnElement[bool] = self._bytes() > 0  # not of NULL either
        self._bulk: dict[tuple[bool, int], Update] = {}
        self._one_row = (
            update(found)
            .where(self.is_row, self._exact(self.value) == self._exact_given("old", self.value))
            .where(*self._same_associated(None))
            .values({self.value: _given("new")})
        )

    @property
    def holds_text(self) -> bool:
        """Whether its values are text and nothing else; on SQLite each has a type of its own."""
        return self._dialect != _SQLITE and not _holds_bytes(self._types[self.value.name])

    def type_of(self, name: str) -> TypeEngine[Any]:
        """The type of a column; none is known on SQLite."""
        return self._types.get(name, _ANY)

    def take_empty(self) -> None:
        """From now on read values of no length too, which no message has."""
        self._takes_empty = True
        self._has_value = self.value.is_not(None)

    # Finding ------------------------------------------------------------------------------

    @classmethod
    def find(
        cls, connection: Connection, name: str, value: str, associated: str | None = None
    ) -> LocatedColumn:
        """The column ``value`` of the table ``name``, which may be ``schema.table``.

        Raises :class:`InvalidInputError` where there is none, where the table has no primary
        key, or where the column is part of it or holds neither bytes nor text.
        """
        looking = inspect(connection)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)  # of types that it does not know
            schema, bare = _table_name(looking, name)
            columns = {each["name"]: each for each in looking.get_columns(bare, schema)}
            key = looking.get_pk_constraint(bare, schema)["constrained_columns"]
        for wanted in filter(None, (value, associated)):
            if wanted not in columns:
                raise InvalidInputError(f"the table {name} has no column {wanted}")
        if not key:
            raise InvalidInputError(
                f"the table {name} has no primary key, by which its rows could be found again"
            )
        if value in key:
            raise InvalidInputError(f"the column {value} is part of the primary key")
        dialect = dialect_of(connection)
        types = {}
        if dialect != _SQLITE:
            types = {each: columns[each]["type"] for each in columns}
            if not _holds_bytes(types[value]) and not _holds_text(types[value]):
                raise InvalidInputError(f"the column {value} holds neither bytes nor text")
        if dialect == MYSQL:
            for each in key:
                if isinstance(types[each], Float) and not isinstance(types[each], Double):
                    raise InvalidInputError(f"no row is found again by {each}, which is a FLOAT")
        found = table(bare, *(column(each, _ANY) for each in columns), schema=schema)
        return cls(found, key, value, associated, types, dialect)

    def beside(self, other: TableClause, value: str) -> LocatedColumn:
        """The column ``value`` of a table that has the same primary key."""
        types = self._types
        if types:
            types = {**{name: types[name] for name in self.key_names}, value: _ANY}
        return LocatedColumn(other, self.key_names, value, None, types, self._dialect)

    # Reading ------------------------------------------------------------------------------

    def border(self, after: Key | None, count: int) -> tuple[Select[Any], dict[str, Any]]:
        """The key of the row that is ``count`` rows further than ``after``."""
        found = select(*self.keys).order_by(*self.keys).offset(count - 1).limit(1)
        return self.within(found, Span(after, None))

    def rows(self, connection: Connection, span: Span) -> list[Row]:
        """Every row of ``span`` that has a value which is not empty."""
        inline = case((self._length() <= INLINE_BYTES, self.value))
        found = (
            select(*self.keys, inline, self._bound()).where(self._has_value).order_by(*self.keys)
        )
        if not self._in_binary:
            return [_row(each) for each in connection.execute(*self.within(found, span))]
        found = found.execution_options(**{IN_BINARY: True})
        rows = connection.execute(*self.within(found, span)).all()  # value by value it takes twice
        if len(self.keys) == 1:
            return [Row((key,), value, bound) for key, value, bound in rows]
        return [_row(each) for each in rows]

    def read(self, connection: Connection, key: Key) -> Row | None:
        """One row with its value, however long; None where it is gone or has none."""
        asked = select(*self.keys, self.value, self._bound()).where(self.is_row)
        found = connection.execute(asked, self.named(key)).first()
        if found is None or found[-2] is None or not (found[-2] or self._takes_empty):
            return None
        return _row(found)

    def sample(self, count: int) -> Select[Any]:
        """Some values that are not long."""
        return (
            select(self.value).where(self._length() <= INLINE_BYTES, self._has_value).limit(count)
        )

    def total(self) -> Select[Any]:
        """How many rows have a value."""
        return select(func.count()).select_from(self.table).where(self._has_value)

    def empty(self) -> Select[Any]:
        """How many rows have a value of no length, which is passed over as NULL is."""
        return select(func.count(self.value)).where(self._bytes() == 0)

    def beginnings(self, most: int) -> Select[Any]:
        """What :func:`.beginning` takes of the values, and how many have it."""
        start = self._beginning()
        return (
            select(start, func.count())
            .where(self._has_value)
            .group_by(start)
            .order_by(func.count().desc())
            .limit(most)
        )

    def _beginning(self) -> ColumnElement[Any]:
        """No more than the name of the key version, or each value would have one of its own."""
        stripped = self._behind_blanks()
        first, count = named_characters(self.message_offset)
        text = func.substr(stripped, first + 1, count)
        named: ColumnElement[Any]
        if self.message_offset:  # bytes are never text then, and a tag begins with anything
            named = func.substr(self.value, self.message_offset + 1, NAMED_BYTES)
        else:
            is_message = func.substr(stripped, 1, len(MAGIC)) == literal(MAGIC)
            named = case((is_message, func.substr(stripped, 1, NAMED_BYTES)), else_=text)
        if self._dialect == _SQLITE:
            return case((func.typeof(self.value) == "text", text), else_=named)
        return named if _holds_bytes(self._types[self.value.name]) else text

    def without_key(self, most: int) -> Select[Any] | None:
        """Rows that no key finds: SQLite takes NULL for a part of a primary key."""
        if self._dialect != _SQLITE:
            return None
        unfound = or_(*(each.is_(None) for each in self.keys))
        return select(*self.keys).where(unfound, self._has_value).limit(most)

    def _behind_blanks(self) -> ColumnElement[Any]:
        """The value without the white space that may stand before base64."""
        is_bytes = self._dialect != _SQLITE and _holds_bytes(self._types[self.value.name])
        if self._dialect == MYSQL:  # it has nothing that strips several characters
            start = text = func.substr(self.value, 1, _STRIPPED_CHARACTERS)
            for blank in BLANKS.decode():
                text = func.replace(text, blank, "")
            return case((func.substr(start, 1, len(MAGIC)) == literal(MAGIC), start), else_=text)
        blanks = literal(BLANKS.decode())
        if self._dialect == _SQLITE:
            text = func.ltrim(cast(self.value, String()), blanks)
            return case((func.typeof(self.value) == "text", text), else_=cast(text, LargeBinary()))
        if is_bytes:
            return func.btrim(self.value, cast(literal(BLANKS), BYTEA()))
        return func.ltrim(self.value, cast(blanks, TEXT()))

    def _bytes(self) -> ColumnElement[int]:
        """The length of a value, also of a text that begins with NUL in SQLite."""
        if self._dialect != _SQLITE:
            return func.octet_length(self.value)
        return func.length(cast(self.value, LargeBinary()))

    def _length(self) -> ColumnElement[int]:
        name = func.length if self._dialect == _SQLITE else func.octet_length
        return name(self.value)

    def _bound(self) -> ColumnElement[Any]:
        return null() if self.associated is None else self.associated

    def within(self, found: Select[Any], span: Span) -> tuple[Select[Any], dict[str, Any]]:
        """``found`` of the rows of a span alone, and its parameters."""
        given: dict[str, Any] = {}
        for prefix, key in (("a", span.after), ("u", span.upto)):
            if key is None:
                continue
            names = self._bounds(prefix)
            given.update(zip(names, key, strict=True))
            bounds = [_given(name) for name in names]
            found = found.where(self._beyond(bounds) if prefix == "a" else self._upto(bounds))
        return found, given

    def _bounds(self, prefix: str) -> list[str]:
        return [f"{prefix}{number}" for number in range(len(self.keys))]

    def _beyond(self, bounds: Sequence[ColumnElement[Any]]) -> ColumnElement[bool]:
        if len(bounds) == 1:
            return self.keys[0] > bounds[0]
        if self._dialect != MYSQL:
            return tuple_(*self.keys) > tuple_(*bounds)
        # It looks rows up in an index by a comparison of rows only where that is spelled out.
        return and_(self.keys[0] >= bounds[0], _spelled_out(self.keys, bounds))

    def _upto(self, bounds: Sequence[ColumnElement[Any]]) -> ColumnElement[bool]:
        if len(bounds) == 1:
            return self.keys[0] <= bounds[0]
        if self._dialect != MYSQL:
            return tuple_(*self.keys) <= tuple_(*bounds)
        return and_(self.keys[0] <= bounds[0], not_(_spelled_out(self.keys, bounds)))

    def named(self, key: Key) -> dict[str, Any]:
        """A key as the parameters of the statements about one row."""
        return dict(zip(self._names, key, strict=True))

    def shown(self, key: Key) -> dict[str, Any]:
        """A key by the names of its columns."""
        return dict(zip(self.key_names, key, strict=True))

    # Writing ------------------------------------------------------------------------------

    def write_row(self, *changes: ValueChange) -> tuple[Update, list[dict[str, Any]]]:
        """Gives rows their new values, one by one, if all is as it was read."""
        return self._one_row, [self._parameters(change) for change in changes]

    def _parameters(self, change: ValueChange) -> dict[str, Any]:
        row = change.row
        given = {"old": row.value, "new": change.new, **self.named(row.key)}
        if self.associated is not None:
            given["bound"] = row.associated
        return given

    def write_rows(self, changes: Sequence[ValueChange]) -> tuple[Update, dict[str, Any]] | None:
        """Gives many rows their new values at once; None where these cannot be sent so."""
        old = [change.row.value for change in changes]
        new = [change.new for change in changes]
        kinds = set(map(type, old)) | set(map(type, new))
        if not self._sends_arrays or len(kinds) != 1:
            return None
        text = kinds == {str}
        known = 0 if text else self._known_by(old)
        if known:
            old = [each[:known] for each in old if each]
        columns = [*zip(*(change.row.key for change in changes), strict=True)]
        if self.associated is not None:
            columns.append(tuple(change.row.associated for change in changes))
        names = [*self._names, "bound"]
        given: dict[str, Any] = {}
        for name, encode, each in zip(names, self._encoders, columns, strict=False):
            given[name] = encode(each) if self._in_binary and encode else BinaryList(each)
        if self._in_binary:
            for prefix, change in (("a", changes[0]), ("u", changes[-1])):
                given.update(zip(self._bounds(prefix), change.row.key, strict=True))
        values: Encode = wire_arrays.of_text if text else wire_arrays.of_bytes
        given["old"], given["new"] = values(old), values(new)
        if (text, known) not in self._bulk:
            self._bulk[text, known] = self._bulk_statement(TEXT() if text else BYTEA(), known)
        return self._bulk[text, known], given

    def _known_by(self, values: Sequence[Any]) -> int:
        """How many first bytes tell each of these from whatever may come into its place; 0: all.

        Handle and salt do, of messages of the first form: no two are sealed with one salt.
        """
        start = self.message_offset
        named = slice(start, start + len(SEALED))
        return start + SALTED_BYTES if all(each[named] == SEALED for each in values) else 0

    def send_no_arrays(self) -> None:
        """From now on have :meth:`write_rows` give None: the database takes no such arrays."""
        self._sends_arrays = False

    def _bulk_statement(self, value_type: TypeEngine[Any], known: int) -> Update:
        types = {name: array_type(kind) for name, kind in self._types.items()}
        arrays = {
            **{n: types[each.name] for n, each in zip(self._names, self.keys, strict=True)},
            "old": value_type,
            "new": value_type,
        }
        if self.associated is not None:
            arrays["bound"] = types[self.associated.name]
        sent = [cast(_given(name), ARRAY(kind)) for name, kind in arrays.items()]
        batch = func.unnest(*sent).table_valued(*arrays, name="batch").render_derived()
        # Rows are in the order of the key. With their range the database reads that stretch of the
        # index once, and does not come to think that it had better read the whole table.
        stretch: list[ColumnElement[bool]] = []
        if self._in_binary:
            first, last = ([_given(name) for name in self._bounds(each)] for each in "au")
            here: ColumnElement[Any] = self.keys[0]
            least = first[0]
            if len(first) > 1:
                here, least = tuple_(*self.keys), tuple_(*first)
            stretch = [here >= least, self._upto(last)]
        return (
            update(self.table)
            .where(*stretch)
            .where(*(k == batch.c[n] for k, n in zip(self.keys, self._names, strict=True)))
            .where((func.substr(self.value, 1, known) if known else self.value) == batch.c.old)
            .where(*self._same_associated(batch.c["bound"] if "bound" in arrays else None))
            .values({self.value: batch.c.new})
        )

    def _same_associated(self, sent: Any) -> list[ColumnElement[bool]]:
        """That the associated data is what was read; ``sent`` is a column of a batch."""
        if self.associated is None:
            return []
        bound = self._exact_given("bound", self.associated) if sent is None else sent
        return [self._exact(self.associated).is_not_distinct_from(bound)]

    def _exact(self, value: ColumnElement[Any]) -> ColumnElement[Any]:
        """A column to be compared by its bytes: in MariaDB "a" and "A " may be equal as text."""
        return self._as_bytes(value, value)

    def _exact_given(self, name: str, like: ColumnElement[Any]) -> ColumnElement[Any]:
        return self._as_bytes(_given(name), like)

    def _as_bytes(self, value: ColumnElement[Any], like: Any) -> ColumnElement[Any]:
        if self._dialect != MYSQL or _holds_bytes(self._types[like.name]):
            return value
        return cast(cast(value, CHAR(charset="utf8mb4")), BINARY())


def _spelled_out(
    keys: Sequence[ColumnElement[Any]], bounds: Sequence[ColumnElement[Any]]
) -> ColumnElement[bool]:
    """``keys > bounds`` as rows."""
    further = keys[-1] > bounds[-1]
    for key, bound in zip(keys[-2::-1], bounds[-2::-1], strict=True):
        further = or_(key > bound, and_(key == bound, further))
    return further


def _table_name(looking: Inspector, name: str) -> tuple[str | None, str]:
    """The schema, if one is named, and the table. A dot may be part of a table's name."""
    if looking.has_table(name):
        return None, name
    schema, dot, bare = name.partition(".")
    if dot and schema in looking.get_schema_names() and looking.has_table(bare, schema):
        return schema, bare
    raise InvalidInputError(f"there is no table {name}")


def _holds_bytes(kind: TypeEngine[Any]) -> bool:
    return isinstance(kind.data_type if isinstance(kind, DOMAIN) else kind, BYTES_TYPES)


def _holds_text(kind: TypeEngine[Any]) -> bool:
    return isinstance(kind.data_type if isinstance(kind, DOMAIN) else kind, String)


def _row(found: Sequence[Any]) -> Row:
    """A row from key, value and associated data."""
    whole = tuple(found)
    value = whole[-2]
    if isinstance(value, bytearray | memoryview):
        value = bytes(value)
    return Row(whole[:-2], value, whole[-1])


def value_of(row: Row) -> Value:
    """The value of a row. Raises :class:`InvalidInputError` where it is of another kind."""
    if not isinstance(row.value, bytes | str):
        raise InvalidInputError("the value is neither bytes nor text")
    return row.value


def associated_bytes(value: Any) -> bytes:
    """The associated data that a column holds: bytes as they are, text as UTF-8.

    Integers are decimal text and UUIDs their usual 36 characters; NULL is none at all.
    Raises :class:`InvalidInputError` for anything else.
    """
    if value is None:
        return b""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, uuid.UUID) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value).encode()
    raise InvalidInputError("the column of the associated data holds neither bytes nor text")
