"""Constraints and indexes that name an encrypted column: they would be of its sealed bytes.

Those differ each time, so a unique constraint on them holds nothing, and nothing would show it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    event,
)

from mycelium_fractal_net.integrations.sqlalchemy.encrypted import Encrypted
from mycelium_fractal_net.security.errors import ConfigurationError


@event.listens_for(UniqueConstraint, "after_parent_attach")
@event.listens_for(PrimaryKeyConstraint, "after_parent_attach")
@event.listens_for(ForeignKeyConstraint, "after_parent_attach")
@event.listens_for(Index, "after_parent_attach")
def _check(named: Any, table: Any) -> None:
    if not isinstance(table, Table):
        return
    for each in named.expressions if isinstance(named, Index) else named.columns:
        if isinstance(each, Column) and isinstance(each.type, Encrypted):
            raise ConfigurationError(
                f"{table.name}.{each.name}: a constraint or index would be of its sealed bytes:"
                " Encrypted(..., index=KEY, unique=True), or an expression that tag_of() makes"
            )
