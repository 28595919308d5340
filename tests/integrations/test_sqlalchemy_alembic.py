"""Migrations of encrypted columns: what Alembic writes once, it does not write again."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Engine, create_engine, insert, select, text

from mycelium_fractal_net.integrations.sqlalchemy.migrations import render_item
from mycelium_fractal_net.security.keyring.keyring import Keyring
from tests.integrations.customers import TABLE, Base


def written(context: MigrationContext) -> str:
    """The body of the migration that Alembic would write now."""
    made = produce_migrations(context, Base.metadata)
    assert made.upgrade_ops is not None
    return render_python_code(made.upgrade_ops, render_item=render_item, migration_context=context)


LARGE = "sa.LargeBinary(length=4294967295)"


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without a table, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'application.db'}"
    return str(request.getfixturevalue(f"{request.param}_url"))


def test_autogenerate_has_no_second_difference(empty_url: str, keys: Keyring) -> None:
    """A migration makes columns of bytes and the indexes on their tags; then nothing is left."""
    engine: Engine = create_engine(empty_url)
    with engine.begin() as connection, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?i).*skip.*expression-based index")
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        body = written(context)
        assert "Encrypted" not in body
        bytes_type = LARGE if engine.name == "mariadb" else "sa.LargeBinary()"
        assert f"sa.Column('email', {bytes_type}, nullable=False)" in body
        scope: dict[str, Any] = {"op": Operations(context), "sa": sqlalchemy}
        exec("def upgrade():\n    " + body.replace("\n", "\n    "), scope)
        scope["upgrade"]()
        assert "op." not in written(context)
        connection.execute(insert(TABLE).values(email="ada@example.com"))
        found = select(TABLE.c.email).where(TABLE.c.email == "Ada@example.com")
        assert connection.scalars(found).all() == ["ada@example.com"]
        if engine.name == "sqlite":
            there = "SELECT name FROM sqlite_master WHERE type = 'index'"
        elif engine.name == "mariadb":
            there = "SELECT index_name FROM information_schema.statistics WHERE sub_part = 32"
        else:
            there = "SELECT indexname FROM pg_indexes WHERE tablename = 'customers'"
        assert "uq_customers_email_tag" in connection.scalars(text(there)).all()
    engine.dispose()
