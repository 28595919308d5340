"""Engines of SQLAlchemy that say what fails in their errors, and there alone.

A pool whose connection broke logs a traceback of what it could not close or roll back. Whoever used
the connection has the error already; on a command line, which tells it in one line, the log of a
library that nobody has set up goes to standard error.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import create_engine

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Engine

_NAME: Final = "mfn"


def engine_to(url: URL, **options: Any) -> Engine:
    """:func:`create_engine`; no value of a statement is in an error, and the pool logs nothing.

    Who wants to see what it logs sets the level of ``sqlalchemy.pool.impl.QueuePool.mfn``, or of
    ``NullPool``.
    """
    engine = create_engine(url, hide_parameters=True, pool_logging_name=_NAME, **options)
    pool = type(engine.pool)
    log = logging.getLogger(f"{pool.__module__}.{pool.__name__}.{_NAME}")
    if log.level == logging.NOTSET:
        log.setLevel(logging.CRITICAL)
    return engine
