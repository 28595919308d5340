"""A connection that broke is told in one error: the log has no traceback of it beside."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url
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
