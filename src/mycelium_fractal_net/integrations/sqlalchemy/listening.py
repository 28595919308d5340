"""What this process's engines do around a statement that has to do with an encrypted column."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.sql.compiler import SQLCompiler

from mycelium_fractal_net.integrations.fields import copied
from mycelium_fractal_net.integrations.sqlalchemy import mariadb
from mycelium_fractal_net.integrations.sqlalchemy.checking import check
from mycelium_fractal_net.integrations.sqlalchemy.encrypted import Encrypted
from mycelium_fractal_net.integrations.sqlalchemy.locating import reading_from
from mycelium_fractal_net.integrations.sqlalchemy.matching import has_tags
from mycelium_fractal_net.integrations.sqlalchemy.uniqueness import refuse_duplicates
from mycelium_fractal_net.security.errors import MfnError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, ExceptionContext

_known: Final[weakref.WeakKeyDictionary[SQLCompiler, tuple[bool, bool]]] = (
    weakref.WeakKeyDictionary()  # whether it stores encrypted values, and whether it reads some
)


@event.listens_for(Engine, "before_execute", retval=True)
def _key_anew(
    _connection: Connection, statement: Any, many: Any, given: Any, _options: Any
) -> tuple[Any, Any, Any]:
    """Have a statement that is kept cached by the versions that there are now, with their tags."""
    kept = getattr(statement, "__dict__", {}).get("_generate_cache_key")
    if kept is not None and has_tags(kept()):
        del statement.__dict__["_generate_cache_key"]
    return statement, many, given


@event.listens_for(Engine, "before_cursor_execute", retval=True)
def _before(
    connection: Connection, _cursor: Any, text: str, given: Any, context: Any, _many: bool
) -> tuple[str, Any]:
    compiled = getattr(context, "compiled", None)
    if isinstance(compiled, SQLCompiler):
        known = _known.get(compiled)
        if known is None:
            stores = check(compiled)
            reads = any(isinstance(each.type, Encrypted) for each in compiled._result_columns)
            known = _known[compiled] = (stores, reads)
        stores, reads = known
        if reads:
            reading_from(connection)
        if context.isinsert or context.isupdate:
            if stores and connection.dialect.name in mariadb.DIALECTS:
                mariadb.refuse_lax(connection)
            refuse_duplicates(connection, context, after=False)
    return text, given


@event.listens_for(Engine, "after_cursor_execute")
def _after(
    connection: Connection, _cursor: Any, _text: str, _given: Any, context: Any, _many: bool
) -> None:
    if isinstance(getattr(context, "compiled", None), SQLCompiler) and (
        context.isinsert or context.isupdate
    ):
        refuse_duplicates(connection, context, after=True)


@event.listens_for(Engine, "handle_error")
def _handle(failed: ExceptionContext) -> BaseException | None:
    """Keep plaintext out of errors: what a statement was given is shown sealed or not at all.

    Without an execution context its values are those of the caller, whichever of them it was
    that the driver was not to have.
    """
    shown = failed.sqlalchemy_exception
    if failed.execution_context is not None or shown is None:
        return None
    shown.hide_parameters = True
    shown.params = None
    original = failed.original_exception
    if isinstance(original, MfnError):
        return copied(original)
    return None
