"""A connection that broke is told in one error: the log has no traceback of it beside."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from typing import Any, NoReturn

import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool, QueuePool

from mycelium_fractal_net.security.key_store.engines import engine_to


class Breaking(sqlite3.Connection):
    """A connection that cannot end its transaction any more."""

    def rollback(self) -> None:
        """Fail as a driver does whose server is gone."""
        raise sqlite3.OperationalError("no answer")


@pytest.mark.parametrize("pool", [NullPool, QueuePool])
def test_what_a_pool_cannot_roll_back_is_no_traceback_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, pool: type[NullPool | QueuePool]
) -> None:
    """The pool gives the connection up; the one who used it has the error."""
    url = make_url(f"sqlite:///{tmp_path / 'some.db'}")
    for _ in range(2):  # the level is set once, and stays
        engine = engine_to(url, poolclass=pool, connect_args={"factory": Breaking})
        with pytest.raises(Exception, match="no answer"), engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")
        engine.dispose()
    assert caplog.records == []


class Refused(sqlite3.Cursor):
    """A cursor to which the system refuses what it waits for, as it may to psycopg."""

    def execute(self, *_: Any) -> NoReturn:
        """Fail as poll(2) does."""
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


def test_what_the_system_refuses_to_a_driver_is_an_error_of_the_database(tmp_path: Path) -> None:
    """Else it would be taken for a fault of the file that the caller was about to write."""
    engine = engine_to(make_url(f"sqlite:///{tmp_path / 'some.db'}"))
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        context = pytest.raises(OperationalError, match="Cannot allocate memory")
        with pytest.MonkeyPatch.context() as patched, context as caught:
            patched.setattr(
                engine.dialect, "do_execute", lambda *_: Refused(driver).execute("SELECT 1")
            )
            connection.exec_driver_sql("SELECT 1")
        assert isinstance(caught.value.orig, OSError)
        assert connection.invalidated
    engine.dispose()
