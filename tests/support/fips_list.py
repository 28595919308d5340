"""The list in docs/fips.md: which tests FIPS mode refuses by design."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
_PAGE: Final = ROOT / "docs" / "fips.md"


def listed() -> list[str]:
    """The patterns of docs/fips.md: of names of tests, as pytest prints them."""
    text = _PAGE.read_text().partition("<!-- refused by design -->")[2]
    return [line for line in text.partition("```\n")[2].partition("```")[0].splitlines() if line]


def is_listed(name: str, patterns: list[str]) -> bool:
    """Whether one of them is the name of that test; a bracket stands for itself."""
    return any(fnmatch.fnmatchcase(name, each.replace("[", "[[]")) for each in patterns)
