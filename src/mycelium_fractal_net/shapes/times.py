"""Points in time and days as text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, overload

from mycelium_fractal_net.security.errors import InvalidInputError

if TYPE_CHECKING:
    from datetime import date


@overload
def time_text(time: datetime) -> str: ...
@overload
def time_text(time: datetime | None) -> str | None: ...
def time_text(time: datetime | None) -> str | None:
    """RFC 3339 in UTC to the second, ``2026-03-01T12:00:00Z``; None stays None."""
    return None if time is None else time.strftime("%Y-%m-%dT%H:%M:%SZ")


def day_text(day: date | None) -> str | None:
    """A day of UTC, ``2026-03-01``; None stays None."""
    return None if day is None else day.isoformat()


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
