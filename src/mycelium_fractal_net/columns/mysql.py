"""What MariaDB and MySQL have of their own: the connection, and what their errors say.

InnoDB ends one of two transactions that wait for each other at once, and it is the one that wrote
less, the application's. So no transaction here waits while it holds a row: in MariaDB a row that
is held is an error at once; MySQL waits for a second at least, so there each row has its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import BINARY, VARBINARY, LargeBinary, event
from sqlalchemy.dialects.mysql import LONGBLOB, MEDIUMBLOB, TINYBLOB
from sqlalchemy.pool import NullPool

from mycelium_fractal_net.security.errors import unusable_extra
from mycelium_fractal_net.security.key_store.engines import engine_to

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection, Engine
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.types import TypeEngine

BACKENDS: Final = ("mysql", "mariadb")
BYTES_TYPES: Final[tuple[type[TypeEngine[Any]], ...]] = (
    LargeBinary, BINARY, VARBINARY, TINYBLOB, MEDIUMBLOB, LONGBLOB,
)  # fmt: skip
_CONNECT_SECONDS: Final = 10
_SETTINGS: Final = (
    # Else a value that is too long is cut, with a warning: a message that never opens again.
    "SET SESSION sql_mode = CONCAT_WS(',', NULLIF(@@sql_mode, ''), 'STRICT_ALL_TABLES')",
    f"SET SESSION lock_wait_timeout = {_CONNECT_SECONDS}",  # seconds, for ALTER TABLE; else a day
)
# mysqld_error.h: a lock that is not to be had, a deadlock, a row that is another by now;
_CONTENDED: Final = (1205, 1213, 3572, 1020)
# too long, out of range, no such character, NULL, duplicate, CHECK, foreign key, SIGNAL.
_REFUSED: Final = (1406, 1264, 1366, 1048, 1062, 4025, 3819, 1452, 1451, 1644)


def mysql_engine(url: URL) -> Engine:
    """An engine over PyMySQL. Raises :class:`MissingExtraError` without it."""
    try:
        engine = engine_to(
            url.set(drivername=f"{url.get_backend_name()}+pymysql"),
            poolclass=NullPool,
            isolation_level="READ COMMITTED",  # no locks on gaps, and every read sees what is there
            connect_args={}
            if "connect_timeout" in url.query
            else {"connect_timeout": _CONNECT_SECONDS},
        )
    except ImportError as error:
        raise unusable_extra("a column in MariaDB", "mysql", error) from None

    def on_connect(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            for statement in _SETTINGS:
                cursor.execute(statement)
        connection.commit()

    event.listen(engine, "connect", on_connect)
    return engine


def is_mariadb(connection: Connection) -> bool:
    """Whether it is MariaDB, which knows a wait of no seconds."""
    return bool(getattr(connection.dialect, "is_mariadb", False))


def wait_for_rows(connection: Connection, seconds: int) -> None:
    """Have the transaction wait so long for a row that is held; in MySQL a second at least."""
    if not is_mariadb(connection):
        seconds = max(1, seconds)
    connection.exec_driver_sql(f"SET SESSION innodb_lock_wait_timeout = {seconds}")


def is_contended(error: DBAPIError) -> bool:
    """Whether somebody else holds the row, or was first."""
    return _number(error) in _CONTENDED


def is_refused(error: DBAPIError) -> bool:
    """Whether the database does not take the value."""
    return _number(error) in _REFUSED


def _number(error: DBAPIError) -> int | None:
    arguments = getattr(error.orig, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None
