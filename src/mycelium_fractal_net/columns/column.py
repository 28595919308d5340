"""The column of a user's database that a run is about, as it is named and as it is found."""

from __future__ import annotations

from dataclasses import dataclass

from mycelium_fractal_net.columns.column_database import ColumnDatabase
from mycelium_fractal_net.columns.encrypted_field import EncryptedField
from mycelium_fractal_net.columns.located_column import LocatedColumn
from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import InvalidInputError
from mycelium_fractal_net.security.records.open_options import OpenOptions


@dataclass(frozen=True, slots=True)
class MessageColumn:
    """A column with messages, and the column that they are bound to, if it is one.

    ``url`` is a SQLAlchemy URL of a SQLite file or a PostgreSQL database, ``table`` a table with
    a primary key, as ``name`` or ``schema.name``. The associated data of a row's message is
    what ``associated_data_column`` has: bytes, or text as UTF-8. With ``field`` the values are
    those of an encrypted field, with a tag in front or not, which is bound to its names.
    """

    url: str
    table: str
    column: str
    associated_data_column: str | None = None
    field: EncryptedField | None = None

    def __repr__(self) -> str:  # a URL holds a password
        return f"MessageColumn({self.table!r}, {self.column!r})"

    @property
    def name(self) -> str:
        """Such as ``customers.iban``."""
        return f"{self.table}.{self.column}"

    def located(self) -> tuple[ColumnDatabase, LocatedColumn]:
        """Its database, and the column in it. Raises as :meth:`LocatedColumn.find` does."""
        database = ColumnDatabase(self.url)
        with database.connection() as connection, database.reading(connection):
            place = LocatedColumn.find(
                connection, self.table, self.column, self.associated_data_column
            )
        if self.field is not None:
            place.message_offset = self.field.tag_bytes
        return database, place

    def constant(self, options: OpenOptions) -> bytes:
        """Associated data that is the same for all rows; none where a column has it."""
        constant = bytes(as_bytes(options.associated_data))
        if constant and self.associated_data_column is not None:
            raise InvalidInputError("associated data comes from a column or is given, not both")
        if self.field is not None and (constant or self.associated_data_column is not None):
            raise InvalidInputError("an encrypted field is bound to its names and nothing else")
        return constant
