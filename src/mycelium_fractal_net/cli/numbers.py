"""Whole numbers on the command line: ASCII digits alone, so that what is taken is what is seen."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import click

# int() takes the digits of every script, "1_000" and blanks around: other texts for one number.
_WHOLE: Final = re.compile(r"-?[0-9]{1,18}")


class _AsciiDigits(click.types.IntParamType):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number. Fails as click's own do."""
        if isinstance(value, str) and _WHOLE.fullmatch(value) is None:
            self.fail(f"{value!r} is not a whole number.", param, ctx)
        return int(super().convert(value, param, ctx))


class WholeNumber(_AsciiDigits, click.IntRange):
    """A whole number within bounds."""


WHOLE: Final = _AsciiDigits()
"""Any whole number."""

_UNITS: Final = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_PLACE: Final = re.compile(r"(-?[0-9]{1,18})(|KiB|MiB|GiB|TiB)")


class Span(NamedTuple):
    """A range of bytes, from ``start`` to before ``end``; from the end on where they are negative,
    and to the end where ``end`` is None."""

    start: int
    end: int | None

    def within(self, size: int) -> tuple[int, int]:
        """Its bounds in ``size`` bytes, as a slice of Python has them."""
        start, end, _ = slice(self.start, self.end).indices(size)
        return start, max(start, end)


ALL: Final = Span(0, None)
"""From the beginning to the end."""


class ByteRange(click.ParamType[Span]):
    """``START:END``, such as ``0:1MiB``, ``1GiB:`` or ``-4KiB:``."""

    name = "range"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Span:
        """The range. Fails as click's own do."""
        if isinstance(value, Span):
            return value
        first, colon, last = str(value).partition(":")
        places = [self._place(text) for text in (first or "0", last or "0")]
        if colon and None not in places:
            start, end = places[0] or 0, places[1] if last else None
            if end is None or (start < 0) != (end < 0) or start <= end:
                return Span(start, end)
        return self.fail(f"{value!r} is no range such as 0:1MiB or -4KiB:", param, ctx)

    @staticmethod
    def _place(text: str) -> int | None:
        found = _PLACE.fullmatch(text)
        return None if found is None else int(found[1]) * _UNITS[found[2]]
