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
    ColumnElement,
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
    null,
    or_,
    select,
    table,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import BYTEA, DOMAIN, TEXT
from sqlalchemy.exc import SAWarning
from sqlalchemy.types import NullType, TypeEngine

from mycelium_fractal_net.columns.coding import BLANKS, Value
from mycelium_fractal_net.columns.column_database import BinaryList
from mycelium_fractal_net.security.errors import InvalidInputError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Inspector

Key = tuple[Any, ...]
"""A primary key, in the order of its columns."""
INLINE_BYTES: Final = 16_384  # longer values are read one by one, so that a page fits in memory
_ANY: Final[TypeEngine[Any]] = NullType()


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
        types: dict[str, TypeEngine[Any]] | None,
    ) -> None:
        self.table = found
        self.key_names = tuple(key)
        self.value = found.c[value]
        self.associated = None if associated is None else found.c[associated]
        self.keys = [found.c[name] for name in key]
        self._types = types  # on PostgreSQL alone
        self._names = [f"k{number}" for number in range(len(key))]
        self._is_row = and_(
            *(each == _given(name) for each, name in zip(self.keys, self._names, strict=True))
        )
        sent = [*key, associated] if associated else key
        self._sends_arrays = types is not None and not any(
            isinstance(types[name], NullType) for name in sent
        )
        self._has_value = self._bytes() > 0  # not of NULL either
        self._bulk: dict[bool, Update] = {}
        self._one_row = (
            update(found)
            .where(self._is_row, self.value == _given("old"))
            .where(*self._same_associated(_given("bound")))
            .values({self.value: _given("new")})
        )

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
        postgresql = connection.dialect.name == "postgresql"
        if postgresql and not _holds_values(columns[value]["type"]):
            raise InvalidInputError(f"the column {value} holds neither bytes nor text")
        found = table(bare, *(column(each, _ANY) for each in columns), schema=schema)
        types = {each: columns[each]["type"] for each in columns} if postgresql else None
        return cls(found, key, value, associated, types)

    def beside(self, other: TableClause, value: str) -> LocatedColumn:
        """The column ``value`` of a table that has the same primary key."""
        types = self._types
        if types is not None:
            types = {**{name: types[name] for name in self.key_names}, value: _ANY}
        return LocatedColumn(other, self.key_names, value, None, types)

    # Reading ------------------------------------------------------------------------------

    def border(self, after: Key | None, count: int) -> tuple[Select[Any], dict[str, Any]]:
        """The key of the row that is ``count`` rows further than ``after``."""
        found = select(*self.keys).order_by(*self.keys).offset(count - 1).limit(1)
        return self._within(found, Span(after, None))

    def rows(self, connection: Connection, span: Span) -> list[Row]:
        """Every row of ``span`` that has a value which is not empty."""
        inline = case((self._length() <= INLINE_BYTES, self.value))
        found = (
            select(*self.keys, inline, self._bound()).where(self._has_value).order_by(*self.keys)
        )
        return [_row(each) for each in connection.execute(*self._within(found, span))]

    def read(self, connection: Connection, key: Key) -> Row | None:
        """One row with its value, however long; None where it is gone or has none."""
        asked = select(*self.keys, self.value, self._bound()).where(self._is_row)
        found = connection.execute(asked, self.named(key)).first()
        return None if found is None or not found[-2] else _row(found)

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
        """The first 16 bytes or characters that values have behind white space, and how many
        have them."""
        start = func.substr(self._behind_blanks(), 1, 16)
        return (
            select(start, func.count())
            .where(self._has_value)
            .group_by(start)
            .order_by(func.count().desc())
            .limit(most)
        )

    def without_key(self, most: int) -> Select[Any] | None:
        """Rows that no key finds: SQLite takes NULL for a part of a primary key."""
        if self._types is not None:
            return None
        unfound = or_(*(each.is_(None) for each in self.keys))
        return select(*self.keys).where(unfound, self._has_value).limit(most)

    def _behind_blanks(self) -> ColumnElement[Any]:
        """The value without the white space that may stand before base64."""
        blanks = literal(BLANKS.decode())
        if self._types is None:
            text = func.ltrim(cast(self.value, String()), blanks)
            return case((func.typeof(self.value) == "text", text), else_=cast(text, LargeBinary()))
        kind = self._types[self.value.name]
        if isinstance(kind.data_type if isinstance(kind, DOMAIN) else kind, LargeBinary):
            return func.btrim(self.value, cast(literal(BLANKS), BYTEA()))
        return func.ltrim(self.value, cast(blanks, TEXT()))

    def _bytes(self) -> ColumnElement[int]:
        """The length of a value, also of a text that begins with NUL in SQLite."""
        if self._types is not None:
            return func.octet_length(self.value)
        return func.length(cast(self.value, LargeBinary()))

    def _length(self) -> ColumnElement[int]:
        return func.length(self.value) if self._types is None else func.octet_length(self.value)

    def _bound(self) -> ColumnElement[Any]:
        return null() if self.associated is None else self.associated

    def _within(self, found: Select[Any], span: Span) -> tuple[Select[Any], dict[str, Any]]:
        given: dict[str, Any] = {}
        for prefix, key in (("a", span.after), ("u", span.upto)):
            if key is None:
                continue
            names = [f"{prefix}{number}" for number in range(len(key))]
            given.update(zip(names, key, strict=True))
            bounds = [_given(name) for name in names]
            here: ColumnElement[Any] = self.keys[0]
            there = bounds[0]
            if len(key) > 1:
                here, there = tuple_(*self.keys), tuple_(*bounds)
            found = found.where(here > there if prefix == "a" else here <= there)
        return found, given

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
        kinds = {type(change.new) for change in changes} | {type(c.row.value) for c in changes}
        if not self._sends_arrays or len(kinds) != 1:
            return None
        text = kinds == {str}
        if text not in self._bulk:
            self._bulk[text] = self._bulk_statement(TEXT() if text else BYTEA())
        rows = [change.row for change in changes]
        keys = zip(*(row.key for row in rows), strict=True)
        given = {name: BinaryList(each) for name, each in zip(self._names, keys, strict=True)}
        given["old"] = BinaryList([row.value for row in rows])
        given["new"] = BinaryList([change.new for change in changes])
        if self.associated is not None:
            given["bound"] = BinaryList([row.associated for row in rows])
        return self._bulk[text], given

    def send_no_arrays(self) -> None:
        """From now on have :meth:`write_rows` give None: the database takes no such arrays."""
        self._sends_arrays = False

    def _bulk_statement(self, value_type: TypeEngine[Any]) -> Update:
        types = self._types or {}
        arrays = {
            **{n: types[each.name] for n, each in zip(self._names, self.keys, strict=True)},
            "old": value_type,
            "new": value_type,
        }
        if self.associated is not None:
            arrays["bound"] = types[self.associated.name]
        sent = [cast(_given(name), ARRAY(kind)) for name, kind in arrays.items()]
        batch = func.unnest(*sent).table_valued(*arrays, name="batch").render_derived()
        return (
            update(self.table)
            .where(*(k == batch.c[n] for k, n in zip(self.keys, self._names, strict=True)))
            .where(self.value == batch.c.old)
            .where(*self._same_associated(batch.c["bound"] if "bound" in arrays else None))
            .values({self.value: batch.c.new})
        )

    def _same_associated(self, bound: Any) -> list[ColumnElement[bool]]:
        if self.associated is None:
            return []
        return [self.associated.is_not_distinct_from(bound)]


def _table_name(looking: Inspector, name: str) -> tuple[str | None, str]:
    """The schema, if one is named, and the table. A dot may be part of a table's name."""
    if looking.has_table(name):
        return None, name
    schema, dot, bare = name.partition(".")
    if dot and schema in looking.get_schema_names() and looking.has_table(bare, schema):
        return schema, bare
    raise InvalidInputError(f"there is no table {name}")


def _holds_values(kind: TypeEngine[Any]) -> bool:
    return isinstance(kind.data_type if isinstance(kind, DOMAIN) else kind, LargeBinary | String)


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
