"""What groups of routes have in common: names in paths, and lists that are read by the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mycelium_fractal_net.security.errors import InvalidInputError, KeyNotFoundError
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
    table: AuthenticatedTable[R], query: PageQuery, shape: Callable[[R], Any]
) -> dict[str, Any]:
    """A page of records in order of their ids, and what the next page begins after, if any."""
    found = table.page(query.after, query.limit)
    more = len(found) == query.limit
    return {
        f"{table.kind.name}s": [shape(each) for each in found],
        "next": table.kind.id_of(found[-1]) if more else None,
    }
