"""What groups of routes have in common: names in paths, and lists that are read by the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mycelium_fractal_net.security.errors import (
    InvalidInputError,
    KeyNotFoundError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.records.keys import parse_key_id

if TYPE_CHECKING:
    import re
    from collections.abc import Callable

    from mycelium_fractal_net.api.endpoints.context import Context
    from mycelium_fractal_net.api.schemas.base import PageQuery
    from mycelium_fractal_net.security.key_providers.authenticated_table import AuthenticatedTable
    from mycelium_fractal_net.security.key_store.kinds import R


def key_in_path(context: Context, key_id: str) -> str:
    """The name in the key id of a path, which is recorded; what is none names nothing.

    Raises :class:`KeyNotFoundError`.
    """
    try:
        name = parse_key_id(key_id)[0]
    except InvalidInputError:
        raise KeyNotFoundError("no such key") from None
    context.key = key_id
    return name


def record_in_path(
    context: Context, table: AuthenticatedTable[R], form: re.Pattern[str], record_id: str
) -> R:
    """The credential or signer of a path, which is recorded; what has not that form names none."""
    if form.fullmatch(record_id) is None:
        raise KeyNotFoundError(f"no such {table.kind.name}")
    found = table.get(record_id)
    context.subject = record_id
    return found


def listed(
    table: AuthenticatedTable[R],
    query: PageQuery,
    form: re.Pattern[str],
    shape: Callable[[R], Any],
) -> dict[str, Any]:
    """A page of records in order of their ids, and what the next page begins after, if any.

    One that is refused has a warning in its place. Where the next page begins has the ``form`` of
    an id, which whoever damages a row need not have left it.
    """
    sound, warnings, last, after = [], [], None, query.after
    while last is None:
        page = table.page(after, query.limit)
        for name, found in page:
            if isinstance(found, StoreIntegrityError):
                warnings.append(str(found))
            else:
                sound.append(shape(found))
            last = name if isinstance(name, str) and form.fullmatch(name) else last
        if len(page) < query.limit:
            last = None
            break
        after = page[-1][0]
    answer = {f"{table.kind.name}s": sound, "next": last}
    return {**answer, "warnings": warnings} if warnings else answer
