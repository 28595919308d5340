"""examples/leak_of_equality.py: what it measures is so, and docs/searching.md shows it."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mycelium_fractal_net import Keyring

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "leak_of_equality.py"
PAGE = (ROOT / "docs" / "searching.md").read_text()
POINTS = 0.08  # by which shares differ from key to key, since chance says which names share a tag


@pytest.fixture
def measured(keyring: Keyring) -> tuple[dict[str, Any], list[Any]]:
    """The example, and what it found."""
    example = runpy.run_path(str(EXAMPLE))
    return example, example["measure"](keyring)


def test_equality_gives_away_what_the_page_says(measured: tuple[dict[str, Any], list[Any]]) -> None:
    """Few values all of them, names every fourth, and addresses that are unique none."""
    example, found = measured
    whole, twelve, eight, six, four, addresses, groups = found
    assert groups.guessed > 0.95
    assert 0.2 < whole.guessed < 0.35
    assert whole.guessed > 4 * whole.unseen
    assert twelve.guessed > 0.8 * whole.guessed  # bits to spare for every value hide none
    assert eight.guessed < whole.guessed
    for few in (six, four):
        assert few.guessed < whole.guessed * 2 / 3
        assert few.hidden_among > 10
    assert addresses.guessed < 0.01
    assert [round(each.found) for each in (whole, twelve)] == [1, 1]  # a search costs as much
    assert four.found > 3 * six.found > 6 * eight.found  # and here more, the shorter they are
    rows = re.findall(r"^\| (.*) \| (\d+)% \| (\d+)% \| (\d+) \| (\d+) \|$", PAGE, re.MULTILINE)
    assert [name for name, *_ in rows] == [leak.stored for leak in found]
    for leak, (name, guessed, unseen, sharing, meant) in zip(found, rows, strict=True):
        assert abs(leak.guessed - int(guessed) / 100) < POINTS, name
        assert abs(leak.unseen - int(unseen) / 100) < 0.01, name
        assert leak.hidden_among == pytest.approx(int(sharing), rel=0.2, abs=0.6), name
        assert leak.found == pytest.approx(int(meant), rel=0.2, abs=0.6), name
    assert "| names, whole tags |" in example["table"](found)
