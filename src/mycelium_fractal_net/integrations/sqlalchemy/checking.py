"""A statement as it is about to be executed: where encrypted columns stand in it.

The operators of a column are refused as they are built. What takes a column without asking it,
such as ``ORDER BY``, ``DISTINCT`` or a function, is found here, once for each compiled statement.
What is written as text is not seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import ColumnElement, FromClause, LargeBinary
from sqlalchemy.sql import functions, operators, selectable
from sqlalchemy.sql.dml import Insert, Update, UpdateBase
from sqlalchemy.sql.elements import (
    BinaryExpression,
    BindParameter,
    Cast,
    Grouping,
    Null,
    TypeCoerce,
)
from sqlalchemy.sql.visitors import HasTraverseInternals

from mycelium_fractal_net.integrations.fields import RefusedQueryError
from mycelium_fractal_net.integrations.sqlalchemy import mariadb
from mycelium_fractal_net.integrations.sqlalchemy.encrypted import Encrypted
from mycelium_fractal_net.integrations.sqlalchemy.stored_tag import Condition, StoredTag

if TYPE_CHECKING:
    from sqlalchemy.sql.compiler import SQLCompiler

_KEEPS_ALL: Final = (
    selectable._CompoundSelectKeyword.UNION_ALL,
    selectable._CompoundSelectKeyword.EXCEPT_ALL,
    selectable._CompoundSelectKeyword.INTERSECT_ALL,
)

_DATABASES: Final = ("sqlite", "postgresql", *mariadb.DIALECTS)  # whose indexes are on tags
_APART: Final = (
    "_raw_columns", "_from_obj", "_correlate", "_correlate_except", "_returning", "_values",
    "_ordered_values", "_multi_values", "_post_values_clause", "select",
)  # fmt: skip


def check(compiled: SQLCompiler) -> bool:
    """Whether the statement stores what is encrypted.

    Raises :class:`RefusedQueryError` where the database would be asked of sealed bytes, or cannot
    hold them.
    """
    stored = [kind for bind in compiled.binds.values() if (kind := _encrypted(bind)) is not None]
    if stored and compiled.dialect.name not in _DATABASES:
        *others, last = _DATABASES
        raise _refused(stored[0], f"is stored on {', '.join(others)} and {last} alone")
    if stored and mariadb.ignores(compiled.statement):
        raise _refused(stored[0], "IGNORE has a value that does not fit cut, and NULL made bytes")
    state = compiled.compile_state
    statement = getattr(state, "statement", None)
    if not hasattr(statement, "get_children"):
        statement = compiled.statement
    for each in {id(each): each for each in (statement, compiled.statement)}.values():
        _walk(each)
    return bool(stored)


def _walk(statement: Any) -> None:
    """Every element once. Deep statements do not end the stack."""
    seen = set()
    waiting = [statement]
    while waiting:
        element = waiting.pop()
        if id(element) in seen:
            continue
        seen.add(id(element))
        if isinstance(element, selectable.SelectBase):
            _check_select(element)
        elif isinstance(element, Insert | Update):
            _check_written(element)
        for child in _children(element):
            kind = _encrypted(child)
            if kind is not None and not _may_hold(element, child):
                raise _refused(kind, f"{_what(element)} would see sealed bytes")
            waiting.append(child)
        waiting.extend(_selected(element))


def _children(element: Any) -> Iterator[Any]:
    """What stands below an element, but for what it selects, returns or writes."""
    if isinstance(element, selectable.Select | UpdateBase):
        yield from HasTraverseInternals.get_children(element, omit_attrs=_APART)
        if isinstance(element, selectable.Select):
            yield from element._iterate_from_elements()
    elif isinstance(element, functions.FunctionElement):
        yield from element.clauses  # without the list and the brackets around them
    else:
        yield from element.get_children()


def _selected(element: Any) -> list[Any]:
    if isinstance(element, selectable.Select):
        return list(element._raw_columns)
    if isinstance(element, UpdateBase):
        source = getattr(element, "select", None)
        given = [value for _, value in _written(element)]
        return [*element._returning, *given, *([] if source is None else [source])]
    return []


def _encrypted(element: Any) -> Encrypted | None:
    if not isinstance(element, ColumnElement):
        return None
    kind = element.type
    return kind if isinstance(kind, Encrypted) else None


def _may_hold(parent: Any, child: Any) -> bool:
    """Whether ``parent`` makes of sealed bytes what it would make of the value."""
    if isinstance(parent, Condition | StoredTag):
        return True
    if isinstance(parent, functions.FunctionElement):  # which is a FROM clause, too
        return isinstance(parent, functions.count)
    if isinstance(parent, selectable.TextualSelect):  # the types of what text selects
        return True
    if isinstance(parent, FromClause) and not isinstance(parent, selectable.SelectBase):
        return not isinstance(parent, selectable.Join)
    if isinstance(parent, TypeCoerce | Cast):
        return isinstance(parent.type, LargeBinary)  # which says that it is about the bytes
    if isinstance(parent, BinaryExpression):
        return parent.operator in (operators.is_, operators.is_not) and isinstance(
            parent.right, Null
        )
    if isinstance(parent, selectable.ScalarSelect | selectable.SelectBase):
        return isinstance(child, selectable.SelectBase | selectable.ScalarSelect)
    # A list of one, a pair of brackets, a label: what holds it is looked at in its turn.
    return isinstance(parent, Grouping) or _passes(parent)


def _passes(parent: Any) -> bool:
    name = getattr(parent, "__visit_name__", "")
    return name in ("label", "clauselist") and _encrypted(parent) is not None


def _check_select(element: selectable.SelectBase) -> None:
    compared = isinstance(element, selectable.CompoundSelect) and element.keyword not in _KEEPS_ALL
    if isinstance(element, selectable.Select):
        compared = element._distinct and not element._distinct_on
    names: dict[str | None, Encrypted] = {}
    for each in element.selected_columns:
        kind = _encrypted(each)
        if kind is None:
            continue
        if compared:
            raise _refused(kind, "DISTINCT and UNION would compare sealed bytes: give UNION ALL")
        names[each.key] = kind
    if isinstance(element, selectable.GenerativeSelect):
        for clause in (*element._order_by_clauses, *element._group_by_clauses):
            kind = names.get(_name_in(clause))
            if kind is not None:
                raise _refused(kind, "ORDER BY and GROUP BY would see sealed bytes")


def _name_in(clause: Any) -> str | None:
    """The name that ``order_by("email")`` or ``desc("email")`` gives, where it is a name."""
    while clause is not None and not isinstance(clause, str):
        clause = getattr(clause, "element", None)
    return clause


def _written(element: UpdateBase) -> Iterator[tuple[Any, Any]]:
    """The columns that a statement writes, and what of SQL it gives them."""
    given: list[tuple[Any, Any]] = []
    if isinstance(element, Insert | Update):
        given.extend((element._values or {}).items())
        for some in element._multi_values:
            for row in some:
                given.extend(row.items() if isinstance(row, dict) else ())
    if isinstance(element, Update):
        given.extend(getattr(element, "_ordered_values", None) or ())  # of SQLAlchemy 2.0
    conflict = getattr(element, "_post_values_clause", None)
    for attribute in ("update_values_to_set", "update"):  # SQLite and PostgreSQL; MySQL
        values = getattr(conflict, attribute, None)
        given.extend(values.items() if isinstance(values, Mapping) else values or ())
    for column, value in given:
        element = value.__clause_element__() if hasattr(value, "__clause_element__") else value
        if hasattr(element, "get_children"):
            yield column, element


def _check_written(element: Insert | Update) -> None:
    """Refuse what would be stored in plaintext, or bound to another column."""
    table = element.table
    for each in element._values or ():
        kind = _encrypted(each)
        if kind is not None and getattr(each, "table", None) != table:  # MySQL updates several
            raise _refused(kind, "is written by a statement of its own table alone")
    for named, value in _written(element):
        name = getattr(named, "key", named)
        column = table.c.get(name) if isinstance(name, str) else None
        _check_value(None if column is None else _encrypted(column), value)
    if isinstance(element, Insert) and element.select is not None:
        names = element._select_names or []
        for name, value in zip(names, element.select.selected_columns, strict=False):
            column = table.c.get(name)
            _check_value(None if column is None else _encrypted(column), value)


def _check_value(target: Encrypted | None, value: Any) -> None:
    source = _encrypted(value)
    if target is None:
        if source is not None:
            raise _refused(source, "its sealed bytes would be copied into another column")
        return
    if isinstance(value, Null) or (isinstance(value, BindParameter) and value.type._isnull):
        return
    if source is None:
        raise _refused(target, "what the database computes would be stored unencrypted")
    if source.bound_to != target.bound_to:
        raise _refused(target, "sealed bytes of another column would not open in this one")


def _what(element: Any) -> str:
    if isinstance(element, functions.FunctionElement):
        return f"the function {getattr(element, 'name', '')}"
    if isinstance(element, selectable.SelectBase):
        return "ORDER BY, GROUP BY or WHERE"
    return f"the expression {getattr(element, '__visit_name__', '')!r}"


def _refused(kind: Encrypted, why: str) -> RefusedQueryError:
    return RefusedQueryError(f"{kind.place}: {why}")
