"""Engines of SQLAlchemy that say what fails in their errors: all of it, and nowhere else.

What the system refuses to psycopg while it waits for the server comes as an :class:`OSError`, as if
it were of a file of the caller's: here it is an error of the database. A pool whose connection
broke logs a traceback of what it could not close or roll back, though whoever used the connection
has the error; on a command line, which tells it in one line, that goes to standard error.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import create_engine, event
from sqlalchemy.exc import OperationalError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Engine, ExceptionContext

_NAME: Final = "mfn"


def engine_to(url: URL, **options: Any) -> Engine:
    """:func:`create_engine`; no value of a statement is in an error, and the pool logs nothing.

    Who wants to see what it logs sets the level of ``sqlalchemy.pool.impl.QueuePool.mfn``, or of
    ``NullPool``.
    """
    engine = create_engine(url, hide_parameters=True, pool_logging_name=_NAME, **options)
    event.listen(engine, "handle_error", _of_the_database, retval=True)
    pool = type(engine.pool)
    log = logging.getLogger(f"{pool.__module__}.{pool.__name__}.{_NAME}")
    if log.level == logging.NOTSET:
        log.setLevel(logging.CRITICAL)
    return engine


def _of_the_database(context: ExceptionContext) -> OperationalError | None:
    failed = context.original_exception
    if not isinstance(failed, OSError):
        return None
    context.is_disconnect = True  # nobody knows what the connection was about to say
    return OperationalError(None, None, failed)
