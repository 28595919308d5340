"""Records as JSON has them: times and days as text, bytes in hexadecimal."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast, overload

from mycelium_fractal_net.security.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


@overload
def time_text(time: datetime) -> str: ...
@overload
def time_text(time: datetime | None) -> str | None: ...
def time_text(time: datetime | None) -> str | None:
    """RFC 3339 in UTC to the second, ``2026-03-01T12:00:00Z``; None stays None."""
    return None if time is None else time.isoformat("T", "seconds").replace("+00:00", "Z")


_AS_JSON: Final[dict[type, Callable[[Any], Any]]] = {
    datetime: time_text,
    date: date.isoformat,
    bytes: bytes.hex,
    tuple: list,
}


def shape(answer: type[_T], record: object, **more: object) -> _T:
    """``record`` as ``answer``, a TypedDict: its members of the same names, and ``more``."""
    members: dict[str, Any] = {}
    for name in answer.__annotations__:
        if name in more:
            members[name] = more[name]
        else:
            value = getattr(record, name)
            convert = _AS_JSON.get(type(value))
            members[name] = value if convert is None else convert(value)
    return cast("_T", members)


def parse_timestamp(text: str) -> datetime:
    """The time of such a text, or of a day, ``2026-03-01``, which begins at midnight in UTC.

    Raises :class:`InvalidInputError` for anything else, and for a time without its offset.
    """
    day = len(text) == len("2026-03-01")
    try:
        found = datetime.fromisoformat(f"{text}T00:00:00Z" if day else text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise InvalidInputError("a time is 2026-03-01T12:00:00Z, or a day in UTC 2026-03-01")
    return found.astimezone(UTC)
