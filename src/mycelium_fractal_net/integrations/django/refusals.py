"""What a query asks of an encrypted column that only plaintext could answer, and its refusal.

Django has no place at which a field learns what a query does with it. So the column of an encrypted
field looks over the query that it is compiled for, and refuses with an error what it knows; and
what it stands in, unless that is the list of what is selected, is given a function around it that
no database has (:mod:`.columns`): what was not thought of here fails at the database.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.core.exceptions import FieldDoesNotExist, FieldError
from django.db.models import F
from django.db.models.sql.compiler import SQLUpdateCompiler
from django.db.models.sql.query import Query
from django.db.models.sql.where import XOR

from mycelium_fractal_net.integrations.fields import RefusedQueryError

if TYPE_CHECKING:
    from mycelium_fractal_net.integrations.django.columns import EncryptedCol


class RefusedError(FieldError, RefusedQueryError):  # type: ignore[misc]
    """A query asks of an encrypted field what only plaintext could answer."""


def refused(field: Any, what: str) -> RefusedError:
    """The error that names the field, such as ``shop.Customer.email``."""
    return RefusedError(f"{field} is encrypted: {what}")


def refuse_what_needs_plaintext(column: EncryptedCol, compiler: Any) -> None:
    """Raise :class:`RefusedError` where the query of ``compiler`` sorts by, or computes with, one.

    ``column`` is one that is being compiled for it.
    """
    query = compiler.query
    if isinstance(compiler, SQLUpdateCompiler):
        raise refused(column.target, "copied, its bytes would open nowhere: save each row")
    refuse_order(compiler)
    for expression in (*query.annotations.values(), query.where):
        if not getattr(expression, "is_encrypted", False):
            for bare in _bare(expression):
                raise refused(bare.target, "nothing is computed of it, and nothing compared to it")


def refuse_order(compiler: Any) -> None:
    """Raise :class:`RefusedError` where the query of ``compiler`` sorts by an encrypted field."""
    for found in ordered_by(compiler.query):
        raise refused(found, "it cannot be ordered by")


def refuse_what_takes_equal_for_one(field: Any, compiler: Any, alias: str | None = None) -> None:
    """Raise :class:`RefusedError` where rows are told apart by an encrypted field.

    Each value looks different from each other, equal ones too. Beside the primary key of the row,
    which is that of the table ``alias``, that changes nothing.
    """
    query = compiler.query
    if isinstance(query.group_by, tuple) and not _has_key(alias, query.group_by):
        raise refused(field, "rows cannot be grouped by it")
    if (query.distinct or (query.combinator and not query.combinator_all)) and not (
        query.default_cols or _has_key(alias, query.select)
    ):
        raise refused(field, "equal values are not found among those selected")


def refuse_negated(column: EncryptedCol, compiler: Any) -> None:
    """Raise :class:`RefusedError` where a lookup that is true of too many rows is negated."""
    query = compiler.query
    if any(map(_negates_too_many, (query.where, *query.annotations.values()))):
        raise refused(
            column.target, "negated, a search by cut tags would leave out rows that differ"
        )


def _negates_too_many(expression: Any, negated: bool = False) -> bool:
    if isinstance(expression, Query):
        return False  # which its own compiler looks over
    negated ^= getattr(expression, "negated", False)
    if getattr(expression, "finds_too_many", False):
        return negated
    if getattr(expression, "connector", None) == XOR:
        negated = True  # of each part, where another one is true
    sources = getattr(expression, "get_source_expressions", tuple)
    return any(_negates_too_many(each, negated) for each in sources())


def _has_key(alias: str | None, expressions: Any) -> bool:
    """Whether the whole primary key of a row is among ``expressions``, composite ones too."""
    columns = [
        column
        for each in expressions
        for column in (each.get_cols() if hasattr(each, "get_cols") else (each,))
        if hasattr(column, "target")
    ]
    there = {(getattr(each, "alias", None), each.target) for each in columns}
    return any(
        alias in (None, of) and all((of, part) in there for part in target.model._meta.pk_fields)
        for of, target in there
    )


def _bare(expression: Any) -> Iterator[Any]:
    """The encrypted columns in an expression, but those whose tags alone are looked at."""
    if getattr(expression, "is_encrypted", False):
        yield expression
    elif not isinstance(expression, Query) and not getattr(expression, "uses_tags", False):
        sources = getattr(expression, "get_source_expressions", tuple)
        for each in sources():
            yield from _bare(each)


def ordered_by(query: Any) -> Iterator[Any]:
    """The encrypted fields among those that a query is sorted by."""
    meta = query.get_meta()
    default = meta.ordering if query.default_ordering and meta is not None else ()
    for each in query.order_by or default:
        for name in _names(each):
            field = _named(query, name.lstrip("-+")) if isinstance(name, str) else name.target
            if getattr(field, "is_encrypted", False):
                yield field


def _names(ordering: Any) -> Iterator[Any]:
    """The names in what a query is sorted by, and the columns, where it was resolved already."""
    if isinstance(ordering, str):
        yield ordering
    elif isinstance(ordering, F):
        yield ordering.name
    elif getattr(ordering, "is_encrypted", False):
        yield ordering
    elif not isinstance(ordering, Query) and not getattr(ordering, "uses_tags", False):
        sources = getattr(ordering, "get_source_expressions", tuple)
        for each in sources():
            yield from _names(each)


def _named(query: Any, name: str) -> Any:
    """The field, or the column of an annotation, of that name."""
    annotation = query.annotations.get(name)
    if annotation is not None:  # a column, or a subquery for one, or what its database refuses
        return getattr(annotation, "_output_field_or_none", None)
    try:
        return query.names_to_path(name.split("__"), query.get_meta())[1]
    except (FieldError, FieldDoesNotExist):
        return None
