"""The column of an encrypted field in a query: it may be selected, and its tag be looked at."""

from __future__ import annotations

from typing import Any, Final

from django.db.models.expressions import Col

from mycelium_fractal_net.integrations.django.refusals import (
    refuse_what_needs_plaintext,
    refuse_what_takes_equal_for_one,
)

# A function that no database has.
_REFUSAL: Final = "mfn_encrypted_fields_are_only_selected_and_found_by_value"


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
        refuse_what_takes_equal_for_one(self, compiler)
        return self.stored_sql(compiler, compiler.connection)
