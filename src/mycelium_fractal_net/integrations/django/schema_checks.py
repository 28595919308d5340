"""System checks of what a model's schema makes of an encrypted field.

Indexes, constraints, generated columns and composite keys are the database's, which has sealed
bytes that differ for equal values, and tags that are those of today.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core import checks
from django.db.models import F, Q
from django.db.models.constants import LOOKUP_SEP

_DATES = ("unique_for_date", "unique_for_month", "unique_for_year")


def of_schema(field: Any) -> list[Any]:
    """What the schema asks of ``field`` that only plaintext could answer."""
    found = [
        checks.Error(
            f"it is encrypted, and equal values differ in the database: {where} is of tags",
            hint=f'UniqueTag("{field.name}", name=...), or Index(Tag("{field.name}"), ...)',
            obj=field,
            id="mfn.E002",
        )
        for where in _of_stored(field)
    ]
    if any(_is_searched(each, field) for each in _conditions(field.model)):
        found.append(
            checks.Error(
                "a condition of an index or constraint searches for it: its tags are those of"
                " today, and no longer once the index key is rotated",
                hint="Conditions on whether there is a value, by isnull, hold.",
                obj=field,
                id="mfn.E009",
            )
        )
    if _is_of_days(field):
        found.append(
            checks.Error(
                "unique_for_date and its kin ask for parts of a date, and for the value beside it",
                hint="Leave it out of both fields, or give the value an index.",
                obj=field,
                id="mfn.E010",
            )
        )
    return found


def _of_stored(field: Any) -> Iterator[str]:
    """What is made of the bytes that are stored, each once."""
    meta = field.model._meta
    constraints = [each for each in meta.constraints if not _is_of_tags(each)]
    named = {
        "unique_together": [name for names in meta.unique_together for name in names],
        "constraints": [name for each in constraints for name in getattr(each, "fields", ())],
        "indexes": [name.lstrip("-") for each in meta.indexes for name, _ in each.fields_orders],
        "the primary key": getattr(meta.pk, "field_names", ()),
    }
    computed = {
        "constraints": [part for each in constraints for part in getattr(each, "expressions", ())],
        "indexes": [part for each in meta.indexes for part in each.expressions],
        "a generated column": [each.expression for each in meta.local_fields if each.generated],
    }
    for where in {**named, **computed}:
        if field.name in named.get(where, ()) or any(
            name == field.name
            for each in computed.get(where, ())
            for name, _ in _asked(each)
        ):  # fmt: skip
            yield where


def _is_of_tags(constraint: Any) -> bool:
    return getattr(constraint, "uses_tags", False)


def _conditions(model: Any) -> Iterator[Any]:
    for each in (*model._meta.constraints, *model._meta.indexes):
        condition = getattr(each, "condition", None)
        if condition is not None:
            yield condition


def _is_searched(condition: Any, field: Any) -> bool:
    return any(name == field.name and lookup != "isnull" for name, lookup in _asked(condition))


def _asked(expression: Any) -> Iterator[tuple[str, str]]:
    """The names in an expression, and how each is looked up; not those whose tags are meant."""
    if isinstance(expression, Q):
        for each in expression.children:
            if isinstance(each, tuple):
                name, _, lookup = each[0].partition(LOOKUP_SEP)
                yield name, lookup
                yield from _asked(each[1])
            else:
                yield from _asked(each)
    elif isinstance(expression, F):
        yield expression.name, ""
    elif not getattr(expression, "uses_tags", False):
        for each in getattr(expression, "get_source_expressions", tuple)():
            yield from _asked(each)


def _is_of_days(field: Any) -> bool:
    asks = any(getattr(field, each, None) for each in _DATES)
    if asks and (not field.tag_bytes or field.bits is not None):
        return True
    return any(
        getattr(other, each, None) == field.name
        for other in field.model._meta.local_fields
        for each in _DATES
    )
