"""What the store needs of PostgreSQL: its URL, connections, and how a transaction begins.

Nothing is set for a whole session, so that a pooler which gives each transaction another
connection may stand in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import event

from mycelium_fractal_net.security.errors import ConfigurationError, unusable_extra
from mycelium_fractal_net.security.key_store.engines import engine_to

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection, Engine

CONNECT_SECONDS: Final = 3  # an outage must show before a cached key's five seconds are over
_SILENT_MILLISECONDS: Final = 5_000  # what was sent is not acknowledged: the connection ends
STATEMENT_MILLISECONDS: Final = 10_000
_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


class Connected(NamedTuple):
    """How a connection was made: its host, or the folder of its socket; whether it is encrypted,
    and whether the server's certificate and name were verified; whether its user is a superuser."""

    host: str
    encrypted: bool
    verified: bool
    superuser: bool


def engine_of(url: URL, **options: Any) -> Engine:
    """Connections to that database, each statement outside of a transaction by itself.

    What the URL's query says is libpq's, and kept. Raises :class:`ConfigurationError` for what
    libpq does not know, and :class:`MissingExtraError`.
    """
    try:
        from psycopg import pq
    except ImportError as error:
        raise unusable_extra("a store on PostgreSQL", "postgresql", error) from None
    given = {  # by the environment, PGOPTIONS for example
        each.keyword.decode(): (each.val or b"").decode() for each in pq.Conninfo.get_defaults()
    }
    for name in url.query:
        if name not in given:
            raise ConfigurationError(
                f"the URL of the key store has an option that libpq does not take: {name[:64]!r}"
            )
    if url.query.get("sslmode", "prefer") not in _SSL_MODES:
        raise ConfigurationError(
            f"sslmode in the URL of the key store is one of: {', '.join(_SSL_MODES)}"
        )
    if str(url.query.get("client_encoding", "utf8")).lower().replace("-", "") not in (
        "utf8",
        "auto",
    ):
        raise ConfigurationError("client_encoding in the URL of the key store is UTF8")
    ours: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        # A machine or network that is gone without a word, on a connection that was.
        "tcp_user_timeout": _SILENT_MILLISECONDS,
    }
    kept = {name: ours[name] for name in ours if name not in url.query and not given[name]}
    engine = engine_to(
        url.set(drivername="postgresql+psycopg"),
        isolation_level="AUTOCOMMIT",
        # A statement that is prepared belongs to a session.
        connect_args={**kept, "client_encoding": "UTF8", "prepare_threshold": None},
        execution_options={
            "bounded": "statement_timeout" in f"{given['options']} {url.query.get('options')}"
        },
        **options,
    )
    event.listen(engine, "connect", lambda connection, _: _on_connect(connection))
    return engine


def begin(connection: Connection, *, write: bool) -> None:
    """Begin a transaction, in one round trip: what is read is one snapshot.

    A statement of it takes ten seconds at most, or what the URL's options or ``PGOPTIONS`` say.
    """
    mode = "READ COMMITTED" if write else "REPEATABLE READ, READ ONLY"
    bound = f"; SET LOCAL statement_timeout = {STATEMENT_MILLISECONDS}"
    if connection.get_execution_options()["bounded"]:
        bound = ""
    connection.exec_driver_sql(f"BEGIN ISOLATION LEVEL {mode}{bound}")


def connected(connection: Connection) -> Connected:
    """How a connection that is open was made, as libpq and the server say."""
    superuser = connection.exec_driver_sql(
        "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
    ).scalar()
    libpq: Any = connection.connection.driver_connection
    options = {each.keyword: each.val for each in libpq.pgconn.info}
    encrypted = bool(libpq.pgconn.ssl_in_use)
    verified = encrypted and options.get(b"sslmode") == b"verify-full"
    return Connected(libpq.info.host, encrypted, verified, bool(superuser))


def _on_connect(connection: Any) -> None:
    if connection.info.parameter_status("server_encoding") != "SQL_ASCII":
        return
    from psycopg.adapt import Loader

    class Text(Loader):
        """Such a database keeps any bytes as text: of one row that must not refuse all."""

        def load(self, data: Any) -> str:
            return bytes(data).decode("utf-8", "replace")

    # Else the server judges what it gives out, and refuses the whole answer.
    connection.execute("SET client_encoding TO 'SQL_ASCII'")
    connection.commit()
    for kind in ("text", "varchar", "bpchar", "name"):
        connection.adapters.register_loader(kind, Text)
