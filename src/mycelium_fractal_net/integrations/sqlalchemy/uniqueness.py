"""A value that is there once, also while the key of its index is rotated.

The database's constraint is on the tags, so it sees one version of the index key alone. A version
that waits is searched and not stored; a sweep moves rows to its tags. So whoever stores a value
looks for it under the tags of the *other* versions, in the same transaction: before the statement,
so that it changes nothing, and after it, since a sweep that was under way held the constraint back
until it was committed. Two writers who store the same version are kept apart by the constraint.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Column, Select, Table, literal_column, select
from sqlalchemy.exc import IntegrityError

from mycelium_fractal_net.integrations.fields import flattened
from mycelium_fractal_net.integrations.sqlalchemy.comparing import tag_of
from mycelium_fractal_net.integrations.sqlalchemy.encrypted import Encrypted
from mycelium_fractal_net.security.errors import ConflictError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection
    from sqlalchemy.sql.compiler import SQLCompiler

_Binds = tuple[tuple[str, Column[Any], Encrypted], ...]
_found: Final[weakref.WeakKeyDictionary[SQLCompiler, _Binds]] = weakref.WeakKeyDictionary()


def refuse_duplicates(connection: Connection, context: Any, *, after: bool) -> None:
    """Raises :class:`IntegrityError` where a value to be unique is there under another version.

    After the statement it ends the transaction too: on SQLite what was stored would stay in it.
    An UPDATE is looked at afterwards alone: before it, the row that it changes may have the value.
    """
    if context.isupdate and not after:
        return
    for column, tags in _other_tags(context):
        kind: Any = column.type
        there: Select[Any] = (
            select(literal_column("1")).where(tag_of(column, kind.tag_bytes).in_(tags)).limit(1)
        )
        if connection.execute(there).first() is None:
            continue
        if after:
            begun = connection.get_nested_transaction() or connection.get_transaction()
            if begun is not None:
                begun.rollback()
        raise IntegrityError(None, None, ConflictError(f"{kind.place}: the value is there already"))


def _other_tags(context: Any) -> list[tuple[Column[Any], list[bytes]]]:
    found = []
    for name, column, kind in _unique_binds(context.compiled):
        values = [each.get(name) for each in context.compiled_parameters]
        others = [kind.field.other_tags(kind.spelled(each)) for each in values if each is not None]
        tags = flattened(others)
        if tags:
            found.append((column, tags))
    return found


def _unique_binds(compiled: SQLCompiler) -> _Binds:
    """The parameters of a statement that store a unique value. A search has none: it has tags."""
    found = _found.get(compiled)
    if found is None:
        table = getattr(compiled.compile_state, "dml_table", None)
        columns = (
            {each.type.bound_to: each for each in table.c if _is_unique(each.type)}
            if isinstance(table, Table)
            else {}
        )
        found = _found[compiled] = tuple(
            (name, columns[bind.type.bound_to], bind.type)
            for name, bind in compiled.binds.items()
            if isinstance(bind.type, Encrypted) and bind.type.bound_to in columns
        )
    return found


def _is_unique(kind: Any) -> bool:
    return isinstance(kind, Encrypted) and kind.unique
