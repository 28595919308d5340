"""Encrypted columns in the migrations that Alembic writes: import this in ``env.py``.

    from mycelium_fractal_net.integrations.sqlalchemy.migrations import render_item
    context.configure(..., render_item=render_item)

On SQLite Alembic leaves out indexes on expressions, and warns: a unique column would not be
unique there, and nothing would show it. Those on tags are compared here by their names.
"""

from __future__ import annotations

from typing import Any, Literal

from alembic.autogenerate import comparators
from alembic.operations.ops import CreateIndexOp
from sqlalchemy import Table, text

from mycelium_fractal_net.integrations.sqlalchemy import mariadb
from mycelium_fractal_net.integrations.sqlalchemy.encrypted import Encrypted, tag_indexes
from mycelium_fractal_net.integrations.sqlalchemy.row_values import SealedRow

__all__ = ["render_item"]

_INDEXES = "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = :name"


def render_item(kind: str, item: Any, context: Any) -> str | Literal[False]:
    """What a migration says of an encrypted column: that it is one of bytes, or of text.

    So it runs without keys, and goes on running when the application's type has other options.
    """
    if kind == "type" and isinstance(item, Encrypted | SealedRow):
        prefix = context.opts["sqlalchemy_module_prefix"]
        most = f"length={mariadb.MOST_BYTES}" if context.dialect.name in mariadb.DIALECTS else ""
        return f"{prefix}{'Text' if getattr(item, 'as_text', False) else 'LargeBinary'}({most})"
    return False


@comparators.dispatch_for("table")
def _compare_tag_indexes(
    context: Any, operations: Any, _schema: str | None, name: str, _there: Any, table: Any
) -> None:
    if context.dialect.name != "sqlite" or not isinstance(table, Table):
        return
    found = set(context.connection.scalars(text(_INDEXES), {"name": str(name)}))
    for index in tag_indexes(table):
        if index.name not in found:
            operations.ops.append(CreateIndexOp.from_index(index))
