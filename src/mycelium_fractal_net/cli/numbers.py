"""Whole numbers on the command line: ASCII digits alone, so that what is taken is what is seen."""

from __future__ import annotations

import re
from typing import Any, Final

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
