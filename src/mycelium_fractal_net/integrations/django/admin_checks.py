"""System checks of the admin: what its pages would ask of an encrypted field, and be refused.

Without them a site finds out by the error page of whoever clicks there first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import django
from django.apps import apps
from django.core import checks
from django.core.exceptions import FieldDoesNotExist, FieldError
from django.db import models
from django.db.models.constants import LOOKUP_SEP

from mycelium_fractal_net.integrations.django.lookups import check_search
from mycelium_fractal_net.integrations.django.refusals import RefusedError, ordered_by

_COMPARES_AS_TEXT: Final = django.VERSION < (6, 1)  # what is no text: the admin casts the column
# What the admin makes of the signs that a name in search_fields may begin with.
_PREFIXES: Final = {"^": "istartswith", "=": "iexact", "@": "search"}


def of_admin(app_configs: Any = None, **_: Any) -> list[Any]:
    """What searches, sorts or filters by an encrypted field as it cannot be."""
    if not apps.is_installed("django.contrib.admin"):
        return []
    from django.contrib.admin.sites import all_sites

    return [
        each
        for site in all_sites
        for model_admin in site._registry.values()
        if app_configs is None or model_admin.opts.app_config in app_configs
        for each in _of(model_admin)
    ]


def _of(model_admin: Any) -> Iterator[Any]:
    for option, why in _refused(model_admin):
        yield checks.Error(f"{option}: {why}", obj=type(model_admin), id="mfn.E007")
    sortable = model_admin.sortable_by
    for name in model_admin.list_display:
        if sortable is None or name in sortable:
            field = _sorted_by(model_admin, name)
            if field is not None:
                yield checks.Warning(
                    f"list_display: {field} is encrypted, and a click on its column is refused",
                    hint=f"Set sortable_by to what may be sorted, without {name!r}.",
                    obj=type(model_admin),
                    id="mfn.W003",
                )


def _refused(model_admin: Any) -> Iterator[tuple[str, str]]:
    """Each option that asks for what is refused, and why it is."""
    for name in model_admin.search_fields:
        why = _why_not_searched(model_admin.model, str(name))
        if why is not None:
            yield "search_fields", why
    for each in model_admin.list_filter:
        why = _why_not_filtered(model_admin.model, each)
        if why is not None:
            yield "list_filter", why
    for field in _ordering(model_admin):
        yield "ordering", f"{field} is encrypted: it cannot be ordered by"
    field, _ = _at(model_admin.model, model_admin.date_hierarchy or "")
    if field is not None:
        yield "date_hierarchy", f"{field} is encrypted: nothing is computed of it"


def _at(model: Any, path: str) -> tuple[Any, str]:
    """The encrypted field to which ``path`` leads, and the lookup that follows; None and nothing.

    ``customer__email__exact`` leads through a relation.
    """
    meta = model._meta
    names = path.split(LOOKUP_SEP)
    for number, name in enumerate(names):
        try:
            field = meta.pk if name == "pk" else meta.get_field(name)
        except FieldDoesNotExist:
            break
        if getattr(field, "is_encrypted", False):
            return field, LOOKUP_SEP.join(names[number + 1 :])
        if not hasattr(field, "path_infos"):
            break
        meta = field.path_infos[-1].to_opts
    return None, ""


def _why_not_searched(model: Any, name: str) -> str | None:
    prefix = _PREFIXES.get(name[:1])
    field, rest = _at(model, name if prefix is None else name[1:])
    if field is None:
        return None
    lookup = prefix or rest or "icontains"
    is_text = isinstance(field, models.CharField | models.TextField)
    if lookup == "exact" and not is_text and _COMPARES_AS_TEXT:
        return f"{field} is encrypted: it is no text, and the admin compares it with text"
    return _why_not(field, lookup)


def _why_not_filtered(model: Any, wanted: Any) -> str | None:
    from django.contrib.admin import filters

    name, chosen = wanted if isinstance(wanted, tuple | list) else (wanted, None)
    field, _ = _at(model, name) if isinstance(name, str) else (None, "")
    if field is None:
        return None
    if chosen is None:
        known = filters.FieldListFilter._field_list_filters
        chosen = next(made for is_for, made in known if is_for(field))
    if issubclass(chosen, filters.AllValuesFieldListFilter | filters.DateFieldListFilter):
        return f"{field} is encrypted: {chosen.__name__} asks for its values, or for ranges of them"
    if issubclass(chosen, filters.BooleanFieldListFilter | filters.ChoicesFieldListFilter):
        return _why_not(field, "exact")
    return None


def _why_not(field: Any, lookup: str) -> str | None:
    try:
        check_search(field, lookup)
    except RefusedError as error:
        return str(error)
    return None


def _ordering(model_admin: Any) -> Iterator[Any]:
    try:
        query = models.QuerySet(model_admin.model).order_by(*model_admin.ordering or ()).query
    except FieldError:  # of which admin.E033 tells
        return
    if model_admin.ordering:
        yield from ordered_by(query)


def _sorted_by(model_admin: Any, name: Any) -> Any:
    """The encrypted field by which a click on a column sorts, if it is one."""
    if isinstance(name, str) and not hasattr(model_admin, name):
        found = _at(model_admin.model, name)
        if found[0] is not None:
            return found[0]
        name = getattr(model_admin.model, name, None)
    elif isinstance(name, str):
        name = getattr(model_admin, name)
    if isinstance(name, property):
        name = name.fget
    order = getattr(name, "admin_order_field", None)
    return _at(model_admin.model, order.lstrip("-"))[0] if isinstance(order, str) else None
