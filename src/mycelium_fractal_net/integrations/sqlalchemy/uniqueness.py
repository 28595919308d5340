"""A value that is there once, also while the key of its index is rotated.

The database's constraint is on the tags, so it sees one version of the index key alone. A version
that waits is searched and not stored; a sweep moves rows to its tags. So whoever stores a value
looks for it under the tags of the *other* versions, in the same transaction: before the statement,
so that it changes nothing, and after it, since a sweep that was under way held the constraint back
until it was committed. Two writers who store the same version are kept apart by the constraint.

The look afterwards has to see what others have committed since. It does under READ COMMITTED, and
in MariaDB as a read that locks. In PostgreSQL a transaction under REPEATABLE READ sees one state of
the database throughout: it looks before the statement for the tag of its own version as well, by
which it still sees a row that a sweep has moved.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Select,
    Table,
    and_,
    bindparam,
    false,
    func,
    not_,
    or_,
    select,
    text,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.visitors import replacement_traverse

from mycelium_fractal_net.integrations.fields import flattened
from mycelium_fractal_net.integrations.sqlalchemy import mariadb
from mycelium_fractal_net.integrations.sqlalchemy.encrypted import Encrypted
from mycelium_fractal_net.integrations.sqlalchemy.matching import TagMatch
from mycelium_fractal_net.integrations.sqlalchemy.stored_tag import tag_among
from mycelium_fractal_net.security.errors import ConflictError

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection
    from sqlalchemy.sql.compiler import SQLCompiler

_OLD_STATE: Final = func.current_setting("transaction_isolation") != "read committed"
_Binds = tuple[tuple[str, Column[Any], Encrypted], ...]
_found: Final[weakref.WeakKeyDictionary[SQLCompiler, _Binds]] = weakref.WeakKeyDictionary()


def refuse_duplicates(connection: Connection, context: Any, *, after: bool) -> None:
    """Raises :class:`IntegrityError` where a value to be unique is there under another version.

    After the statement it gives the connection up too, and so the transaction, also where it could
    not look: on SQLite what was stored would stay in it, and on MariaDB after waiting in vain for
    a row. Only who raced with a sweep comes there.
    """
    try:
        _look(connection, context, after=after)
    except BaseException:
        if after:
            connection.invalidate()
        raise


def _look(connection: Connection, context: Any, *, after: bool) -> None:
    binds = _unique_binds(context.compiled)
    for name, column, kind in binds:
        for given, tags, own in _tags(context, name, kind):
            found: ColumnElement[bool] = tag_among(column, kind.tag_bytes, tags)
            if not after and _sees_the_past(connection, context.compiled.statement):
                found = or_(found, and_(_OLD_STATE, tag_among(column, kind.tag_bytes, own)))
            there: Select[Any] = select(text("1")).where(found)
            if context.isupdate and not after:
                there = there.where(*_of_other_rows(context, given))
            if after and connection.dialect.name in mariadb.DIALECTS:
                there = mariadb.as_it_is_now(there)
            if connection.execute(there.limit(1)).first() is not None:
                cause = ConflictError(f"{kind.place}: the value is there already")
                raise IntegrityError(None, None, cause)


def _tags(
    context: Any, name: str, kind: Encrypted
) -> Iterator[tuple[dict[str, Any], list[bytes], list[bytes]]]:
    """The parameters that it is of, and its tags under the other versions and under its own.

    Of an INSERT that is one for all of its rows. Nothing while there is one version.
    """
    others, own = [], []
    for given in context.compiled_parameters:
        value = given.get(name)
        spelled = None if value is None else kind.spelled(value)
        tags = [] if spelled is None else kind.field.other_tags(spelled)
        if spelled is None or not tags:
            continue
        if context.isupdate:
            yield given, tags, [kind.field.tag(spelled)]
        others.append(tags)
        own.append([kind.field.tag(spelled)])
    if others and not context.isupdate:
        yield {}, flattened(others), flattened(own)


def _sees_the_past(connection: Connection, statement: Any) -> bool:
    """Whether its look before the statement may be one at what a sweep has changed since.

    Where a row with the same tag is not refused, as with ON CONFLICT, there is no such look.
    """
    takes = getattr(statement, "_post_values_clause", None) is not None
    return connection.dialect.name == "postgresql" and not takes


def _of_other_rows(context: Any, given: dict[str, Any]) -> list[ColumnElement[bool]]:
    """Leaves out the rows that an UPDATE changes, one of which may have the value now.

    Its condition is that of the statement that was compiled first; the values are those of now,
    also of a parameter that stands for a list, which was spread into others.
    """
    compiled = context.compiled
    statement = getattr(compiled.compile_state, "statement", compiled.statement)
    condition = getattr(statement, "whereclause", None)
    if condition is None:
        return [false()]
    lists = compiled.construct_params(
        extracted_parameters=context.extracted_parameters, _check=False
    )
    values = {**lists, **given}

    def bound(element: Any, **_: Any) -> Any:
        if isinstance(element, TagMatch):
            sent = [values[each] for each in element.names_in(compiled)]
            return element.among((sent[0] if element.listed else sent) if sent else None)
        if not isinstance(element, BindParameter):
            return None
        value = values[compiled.bind_names[element]]
        return bindparam(None, value, unique=True, type_=element.type, expanding=element.expanding)

    return [not_(replacement_traverse(condition, {}, bound))]


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
