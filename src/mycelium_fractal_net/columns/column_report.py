"""What became of the values of a column."""

from __future__ import annotations

import datetime
import decimal
import uuid
from dataclasses import dataclass, field
from typing import Any

from mycelium_fractal_net.security.byte_io import printable


@dataclass(frozen=True, slots=True)
class Failure:
    """A value that stayed as it was: its row's primary key by column, and why. No content."""

    key: dict[str, Any]
    reason: str


@dataclass(slots=True)
class ColumnReport:
    """How many values there were, how many are changed now, and those that could not be.

    ``done`` are changed, ``skipped`` were as they should be or went away meanwhile; ``empty`` have
    no length and are passed over, as NULL is.
    """

    done: int = 0
    skipped: int = 0
    failed: int = 0
    empty: int = 0
    failures: list[Failure] = field(default_factory=list)
    """The failures, unless they were handed out one by one."""


def json_line(failure: Failure) -> str:
    """A failure as one line of JSON: ``{"key": {"id": 17}, "reason": "..."}``.

    What JSON has no form for is text: UUIDs, times and decimals as they are usually written,
    bytes in hexadecimal.
    """
    named = {name: _plain(value) for name, value in failure.key.items()}
    return printable.json_line({"key": named, "reason": failure.reason})


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, uuid.UUID | decimal.Decimal):
        return str(value)
    return repr(value)
