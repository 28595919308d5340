"""The column of an encrypted field in a query: it may be selected, and its tag be looked at.

A subquery that selects it may be selected itself (``annotate(mail=Subquery(...))``) and nothing
else: what it is compared with, or what is computed of it, are bytes that equal nothing. A subquery
does not know what it stands in, so its column is refused too, by a name of its own, which is taken
out again where the subquery is selected.
"""

from __future__ import annotations

import re
from typing import Any, Final

from django.db.models.expressions import Col

from mycelium_fractal_net.integrations.django.refusals import (
    refuse_order,
    refuse_what_needs_plaintext,
    refuse_what_takes_equal_for_one,
)

# Functions that no database has.
_REFUSAL: Final = "mfn_encrypted_fields_are_only_selected_and_found_by_value"
_SUBQUERY: Final = "mfn_encrypted_fields_of_a_subquery_are_only_selected"
_SELECTED: Final = re.compile(rf"(\(SELECT ){_SUBQUERY}\(")


class EncryptedCol(Col):  # type: ignore[misc]
    """Compiles to what the database refuses, but in the list of what is selected."""

    is_encrypted: Final = True

    def stored_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        """The column itself, which holds ``tag || sealed message``."""
        sql, params = super().as_sql(compiler, connection)
        return sql, params

    def tag_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        """The tag in front. Its numbers are no parameters: with these no index is found to fit."""
        sql, params = self.stored_sql(compiler, connection)
        return f"SUBSTR({sql}, 1, {self.target.tag_bytes})", params

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        """For any place: refused, by an error where the query is one that is known."""
        refuse_what_needs_plaintext(self, compiler)
        sql, params = self.stored_sql(compiler, connection)
        return f"{_REFUSAL}({sql})", params

    def select_format(self, compiler: Any, _sql: str, _params: Any) -> tuple[str, Any]:
        """For the list of what is selected, and that of what rows are grouped by."""
        refuse_what_takes_equal_for_one(self.target, compiler, self.alias)
        sql, params = self.stored_sql(compiler, compiler.connection)
        query = compiler.query
        if query.subquery and not query.default_cols and len(query.select) == 1:
            return f"{_SUBQUERY}({sql})", params
        return sql, params


def of_selected_subquery(field: Any, compiler: Any, sql: str) -> str:
    """What selects ``sql``, an expression of that field, where it is a subquery for its column.

    In a subquery of a subquery it stays refused.
    """
    if compiler.query.subquery or _SELECTED.match(sql) is None:
        return sql
    refuse_order(compiler)
    refuse_what_takes_equal_for_one(field, compiler)
    return _SELECTED.sub(r"\1(", sql, count=1)
