"""Why a key store cannot serve: the driver's error in our words.

A driver's own text never leaves this file: it can hold the statement, its values, or the URL. The
cause is told by SQLSTATE where the server gives one, by SQLite's code and the system's errno, and
else by the stage at which the connection ended.
"""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from mycelium_fractal_net.security.errors import StoreFullError, StoreUnavailableError

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.exc import SQLAlchemyError

_READ_ONLY: Final = "its file or folder is read-only"
_FULL: Final = "the disk of the key store is full"
_FULL_ERRORS: Final = (errno.ENOSPC, errno.EDQUOT)
_PROBE_BYTES: Final = 65_536

# By the end of a SQLSTATE's table or class; the longest that fits counts.
_SQLSTATES: Final = {
    "08": "the connection to its database broke off",
    "25006": "its database is read-only: a replica, or set so; name the primary in the URL",
    "25P03": "its database ended a transaction that was idle",
    "28": "its database refuses the user or the password in the URL",
    "3D000": "its server has no database of the name in the URL",
    "3F000": "the schema in the URL's search_path is not there; create it",
    "40": "another writer was in the way; try again",
    "42501": "the user in the URL may not do that in its database; grant it",
    "42P01": "tables are missing in its database; mfn doctor names them",
    "53200": "its server is out of memory",
    "53300": "its server has no connection left",
    "55P03": "somebody holds a lock on its tables",
    "57014": "its database did not answer in time: it is busy, or somebody holds a lock",
    "57P": "its server is starting, stopping or starting again",
    "58": "its server reports an error of its disk",
    "XX": "its server reports damage",
}
# What stands in libpq's or PgBouncer's text where a connection is not made, in this order.
_STAGES: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), words)
    for pattern, words in (
        (r"resolve host|translate host name", "the host in its URL is not known"),
        (r"on socket .*No such file", "nobody listens on the socket in its URL"),
        (r"Connection refused", "nobody listens at the address in its URL"),
        (r"No route to host|Network is unreachable", "no network leads to the host in its URL"),
        (r"timeout expired|timed out|connection timeout", "its server does not answer in time"),
        (r"pg_hba\.conf", "its server lets nobody in as that user from here (pg_hba.conf)"),
        (r"password|no such user|authentication failed", _SQLSTATES["28"]),
        (r"database .*does not exist|no such database", _SQLSTATES["3D000"]),
        (r"role .*does not exist", _SQLSTATES["28"]),
        (r"does not support SSL", "its server offers no TLS, which the URL asks for (sslmode)"),
        (r"certificate", "its server's certificate is not one that the URL's sslmode takes"),
        (r"\b(SSL|TLS)\b", "TLS with its server fails"),
        (r"too many (clients|connections)|remaining connection slots", _SQLSTATES["53300"]),
        (r"(startup|configuration) parameter", "its server or pooler refuses the URL's options"),
        (r"starting up|shutting down|not (yet )?accept|in recovery", _SQLSTATES["57P"]),
        (r"server_login|login failed|server conn|query_wait", "the pooler reaches no server"),
        (r"closed|terminat|lost|consuming input|broken", _SQLSTATES["08"]),
    )
)  # fmt: skip
# By the beginning of the name of SQLite's code.
_SQLITE: Final = {
    "SQLITE_BUSY": "another process holds its file locked",
    "SQLITE_LOCKED": "another process holds its file locked",
    "SQLITE_READONLY": _READ_ONLY,
    "SQLITE_NOTADB": "its file is no SQLite database",
    "SQLITE_CORRUPT": "its file is damaged; restore a backup",
    "SQLITE_SCHEMA": "its tables were changed meanwhile",
    "SQLITE_ERROR": "its tables are missing or were changed; mfn doctor names them",
}


def unavailable(error: SQLAlchemyError, file: Path | None, place: str) -> StoreUnavailableError:
    """The error of ours for a driver's. ``place`` is what an operator calls the database."""
    if isinstance(error, PoolTimeoutError):
        return _told("all connections of this process are in use", place)
    original = error.orig if isinstance(error, DBAPIError) else error
    name = str(getattr(original, "sqlite_errorname", ""))
    if file is not None:
        return _of_sqlite(name, file)
    if isinstance(original, OSError):
        return _told(f"the connection to its database fails: {original.strerror}", place)
    state = str(getattr(original, "sqlstate", None) or "")
    if state == "53100":
        return _full(place)
    for length in (5, 3, 2):
        words = _SQLSTATES.get(state[:length]) if state else None
        if words is not None:
            return _told(words, place)
    text = "" if state else str(original)
    words = next((words for pattern, words in _STAGES if pattern.search(text)), None)
    if words is None and getattr(getattr(original, "pgconn", None), "used_password", False):
        words = _SQLSTATES["28"]  # in whatever language the server says so
    return _told(words or f"its database fails ({state or type(original).__name__})", place)


def _of_sqlite(name: str, file: Path) -> StoreUnavailableError:
    if name == "SQLITE_FULL":
        return _full(str(file))
    for code, words in _SQLITE.items():
        if name.startswith(code):
            return _told(words, str(file))
    # SQLite does not say of a quota that it is one, nor why a file beside its own is not opened.
    failed = _write_error(file)
    if failed is not None:
        return unwritable(failed, file)
    return _told(f"its file cannot be used ({name or 'unknown'})", str(file))


def _write_error(file: Path) -> OSError | None:
    """What writing beside the file comes to; None where it works."""
    import tempfile  # at a failure alone: it brings every compressor along

    try:
        with tempfile.TemporaryFile(dir=file.parent) as probe:
            probe.write(bytes(_PROBE_BYTES))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        return error
    return None


def unwritable(error: OSError, file: Path | None) -> StoreUnavailableError:
    """The error of ours for one of the system's, met while the store was to be written."""
    if error.errno in _FULL_ERRORS:
        return _full(str(file))
    if error.errno in (errno.EROFS, errno.EACCES):
        return _told(_READ_ONLY, str(file))
    return _told(f"it cannot be written: {error.strerror}", str(file))


def gone(file: Path, *, replaced: bool) -> StoreUnavailableError:
    """The error where the file that is open is not the one of that name any more."""
    what = "replaced" if replaced else "deleted"
    return _told(
        f"its file was {what} under this process; put the right one there and start this again",
        str(file),
    )


def _told(words: str, place: str) -> StoreUnavailableError:
    return StoreUnavailableError(
        f"the key store does not serve: {words} ({place})",
        detail=f"the key store does not serve: {words.partition(';')[0]}",
    )


def _full(place: str) -> StoreFullError:
    return StoreFullError(f"{_FULL} ({place})", detail=_FULL)
