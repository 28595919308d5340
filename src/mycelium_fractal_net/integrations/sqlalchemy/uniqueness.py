"""A value that is there once, also while the key of its index is rotated.

The database's constraint is on the tags, so it sees one version of the index key alone. A version
that waits is searched and not stored; a sweep moves rows to its tags. So whoever stores a value
looks for it under the tags of the *other* versions, in the same transaction: before the statement,
so that it changes nothing, and after it, since a sweep that was under way held the constraint back
until it was committed. Two writers who store the same version are kept apart by the constraint.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Select,
    Table,
    bindparam,
    false,
    not_,
    select,
    text,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.visitors import replacement_traverse

from mycelium_fractal_net.integrations.fields import flattened
from mycelium_fractal_net.integrations.sqlalchemy.encrypted import Encrypted
from mycelium_fractal_net.integrations.sqlalchemy.matching import TagMatch, tag_of
from mycelium_fractal_net.security.errors import ConflictError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection
    from sqlalchemy.sql.compiler import SQLCompiler

_Binds = tuple[tuple[str, Column[Any], Encrypted], ...]
_found: Final[weakref.WeakKeyDictionary[SQLCompiler, _Binds]] = weakref.WeakKeyDictionary()


def refuse_duplicates(connection: Connection, context: Any, *, after: bool) -> None:
    """Raises :class:`IntegrityError` where a value to be unique is there under another version.

    After the statement it gives the connection up too, and so the transaction: on SQLite what was
    stored would stay in it. Only who raced with a sweep comes there.
    """
    binds = _unique_binds(context.compiled)
    for name, column, kind in binds:
        for given, tags in _other_tags(context, name, kind):
            there: Select[Any] = select(text("1")).where(tag_of(column, kind.tag_bytes).in_(tags))
            if context.isupdate and not after:
                there = there.where(*_of_other_rows(context.compiled, given))
            if connection.execute(there.limit(1)).first() is None:
                continue
            if after:
                connection.invalidate()
            cause = ConflictError(f"{kind.place}: the value is there already")
            raise IntegrityError(None, None, cause)


def _other_tags(
    context: Any, name: str, kind: Encrypted
) -> Iterator[tuple[dict[str, Any], list[bytes]]]:
    """What to look for, and the parameters that it is of: of an INSERT all of them at once."""
    found = []
    for given in context.compiled_parameters:
        value = given.get(name)
        tags = [] if value is None else kind.field.other_tags(kind.spelled(value))
        if context.isupdate and tags:
            yield given, tags
        found.append(tags)
    if not context.isupdate and (together := flattened(found)):
        yield {}, together


def _of_other_rows(compiled: SQLCompiler, given: dict[str, Any]) -> list[ColumnElement[bool]]:
    """Leaves out the rows that an UPDATE changes, one of which may have the value now.

    Its condition is that of the statement that was compiled first; the values are those of now.
    """
    statement = getattr(compiled.compile_state, "statement", compiled.statement)
    condition = getattr(statement, "whereclause", None)
    if condition is None:
        return [false()]

    def bound(element: Any, **_: Any) -> Any:
        if isinstance(element, TagMatch):
            sent = [_given_to(each, given) for each in element.names_in(compiled)]
            return element.among((sent[0] if element.listed else sent) if sent else None)
        if not isinstance(element, BindParameter):
            return None
        value = _given_to(compiled.bind_names[element], given)
        return bindparam(None, value, unique=True, type_=element.type, expanding=element.expanding)

    return [not_(replacement_traverse(condition, {}, bound))]


def _given_to(name: str, given: dict[str, Any]) -> Any:
    """The value of a parameter, also of one that stands for a list and was spread into its own."""
    if name in given:
        return given[name]
    spread = (f"{name}_{number}" for number in itertools.count(1))
    return [given[each] for each in itertools.takewhile(given.__contains__, spread)]


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
