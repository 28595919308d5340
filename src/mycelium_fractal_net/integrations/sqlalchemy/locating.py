"""Which row a stored value is in that does not open. Nothing is asked about those that do.

What opens a value knows the value alone. So the row is looked for once it has failed: by the stored
bytes, which no two rows have by chance, on the connection that gave them and in its transaction. It
is found by the index on the tags; where there is none the table is read once.
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import LargeBinary, Text, bindparam, select, type_coerce
from sqlalchemy.exc import SQLAlchemyError

from mycelium_fractal_net.integrations.fields import copied
from mycelium_fractal_net.integrations.sqlalchemy.stored_tag import tag_of
from mycelium_fractal_net.security.errors import MfnError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Column, Table
    from sqlalchemy.engine import Connection

_Error = TypeVar("_Error", bound=MfnError)
_MOST_ROWS: Final = 3  # that are named: a row and its copies have the same bytes


class _Thread(threading.local):
    connection: weakref.ref[Connection] | None = None


_thread: Final = _Thread()


def reading_from(connection: Connection) -> None:
    """The connection that gives this thread the encrypted values of its latest statement."""
    _thread.connection = weakref.ref(connection)


def located(error: _Error, column: Column[Any], stored: bytes | str, tag_bytes: int) -> _Error:
    """The same error, and behind the column's name the primary key of the row, if it is found.

    It is not where the connection was given up already, in asyncio, and where the table has no
    primary key.
    """
    try:
        found = _identities(column, stored, tag_bytes)
    except (SQLAlchemyError, MfnError):
        return error
    if not found:
        return error
    where = f"{column.table.name}.{column.name}"
    text = str(error).removeprefix(f"{where}: ")
    made = copied(error)
    made.args = (f"{where}, {' or '.join(found)}: {text}", *error.args[1:])
    return made


def identity(names: Sequence[str], values: Sequence[Any]) -> str:
    """A primary key, such as ``id=17``."""
    return ", ".join(f"{name}={value!s}" for name, value in zip(names, values, strict=True))


def _identities(column: Column[Any], stored: bytes | str, tag_bytes: int) -> list[str]:
    given = _thread.connection
    connection = None if given is None else given()
    if (
        connection is None
        or connection.closed
        or connection.invalidated
        or not connection.in_transaction()
        or connection.dialect.is_async  # which is asked by its own loop alone
    ):
        return []
    table: Table = column.table
    key = list(table.primary_key.columns)
    if not key:
        return []
    kind = Text() if isinstance(stored, str) else LargeBinary()
    asked = select(*key).where(
        type_coerce(column, LargeBinary()) == bindparam(None, stored, type_=kind, unique=True)
    )
    if 0 < tag_bytes <= len(stored):
        asked = asked.where(tag_of(column, tag_bytes).in_([stored[:tag_bytes]]))
    names = [each.name for each in key]
    found = connection.execute(asked.limit(_MOST_ROWS))
    return sorted(identity(names, row) for row in found)
