"""Where the old values of a migrated column are kept, by primary key, until they may go.

It stands in the same schema: the columns of the primary key, ``mfn_old`` with the value that was
there, and ``mfn_new`` with the one that took its place. A row of it is written in the transaction
that changes the value, so that there is always one of the two to go back to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    DDL,
    Column,
    Index,
    MetaData,
    Table,
    and_,
    bindparam,
    delete,
    false,
    insert,
    inspect,
    select,
)
from sqlalchemy.schema import CreateIndex, CreateTableAs, DropTable
from sqlalchemy.types import NullType

from mycelium_fractal_net.columns.column_database import ColumnDatabase, NotWrittenError
from mycelium_fractal_net.columns.located_column import Key, LocatedColumn, ValueChange
from mycelium_fractal_net.security.errors import DatabaseUnavailableError, InvalidInputError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_OLD: Final = "mfn_old"
_NEW: Final = "mfn_new"
_LOCK: Final = "LOCK TABLE %(fullname)s IN ACCESS EXCLUSIVE MODE"
_MOST_NAME_BYTES: Final = 59  # PostgreSQL cuts names off at 63, and the index adds four


class SideTable:
    """The side table of a column. Making one does nothing in the database."""

    def __init__(
        self, database: ColumnDatabase, place: LocatedColumn, name: str | None = None
    ) -> None:
        self.name = name or f"{place.table.name}_{place.value.name}_xor"
        if len(self.name.encode()) > _MOST_NAME_BYTES:
            raise InvalidInputError(
                f"the name of the side table is longer than {_MOST_NAME_BYTES} bytes;"
                " name another one"
            )
        if self.name == place.table.name or {_OLD, _NEW} & set(place.key_names):
            raise InvalidInputError("the side table has a name that is taken")
        self._database = database
        self._target = place
        names = [*place.key_names, _OLD, _NEW]
        self._table = Table(
            self.name,
            MetaData(),
            *(Column(name, NullType()) for name in names),
            schema=place.table.schema,
        )
        self._place = place.beside(self._table, _OLD)
        self._is_row = and_(
            *(
                self._table.c[name] == bindparam(given, type_=NullType())
                for name, given in zip(place.key_names, place.named(place.key_names), strict=True)
            )
        )

    @property
    def place(self) -> LocatedColumn:
        """The old values as a column."""
        return self._place

    def exists(self) -> bool:
        """Whether it is there. Raises :class:`InvalidInputError` where it is another table."""
        with self._database.connection() as connection, self._database.reading(connection):
            return self._exists(connection)

    def _exists(self, connection: Connection) -> bool:
        looking = inspect(connection)
        schema = self._table.schema
        if not looking.has_table(self.name, schema):
            return False
        found = {each["name"] for each in looking.get_columns(self.name, schema)}
        if found != {column.name for column in self._table.c}:
            raise InvalidInputError(f"the table {self.name} is not one for old values")
        return True

    def create(self) -> None:
        """Create it where it is absent, with the column types of the table itself."""
        if self.exists():
            return
        target = self._target
        same = select(*target.keys, target.value.label(_OLD), target.value.label(_NEW))
        made = CreateTableAs(same.where(false()), self.name, schema=self._table.schema)
        keys = [self._table.c[name] for name in target.key_names]
        try:
            with (
                self._database.connection() as connection,
                self._database.writing(connection),
            ):
                connection.execute(made)
                connection.execute(CreateIndex(Index(f"{self.name}_key", *keys, unique=True)))
        except NotWrittenError as error:
            if not self.exists():  # another run was first
                raise DatabaseUnavailableError(
                    f"the side table cannot be created ({error.kind})"
                ) from None

    def keep(self, connection: Connection, change: ValueChange) -> None:
        """Keep the old value of a row, in place of an older one, in the same transaction."""
        self.forget(connection, change.row.key)
        values = dict(zip(self._target.key_names, change.row.key, strict=True))
        values |= {_OLD: change.row.value, _NEW: change.new}
        connection.execute(
            insert(self._table).values(
                {
                    self._table.c[n]: bindparam(f"v{i}", type_=NullType())
                    for i, n in enumerate(values)
                }
            ),
            {f"v{i}": value for i, value in enumerate(values.values())},
        )

    def new_value(self, connection: Connection, key: Key) -> Any:
        """The value that took the old one's place; None where the row is gone."""
        found = select(self._table.c[_NEW]).where(self._is_row)
        return connection.execute(found, self._target.named(key)).scalar()

    def forget(self, connection: Connection, key: Key) -> None:
        """Remove the row of ``key``."""
        connection.execute(delete(self._table).where(self._is_row), self._target.named(key))

    def drop_if_empty(self) -> bool:
        """Remove the table where no value is left in it; returns whether it is gone."""
        try:
            with (
                self._database.connection() as connection,
                self._database.writing(connection),
            ):
                if not self._exists(connection):
                    return True
                if self._database.dialect == "postgresql":  # so that nobody adds one meanwhile
                    lock = DDL(_LOCK)  # type: ignore[no-untyped-call]
                    connection.execute(lock.against(self._table))
                if connection.execute(select(self._table).limit(1)).first() is not None:
                    return False
                connection.execute(DropTable(self._table))
                return True
        except NotWrittenError:
            return False  # somebody works with it
