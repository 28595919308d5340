"""The statistics of the timing campaign, and that it can fail."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from campaigns.frame.run import Run
from campaigns.timing.group import Group, Pair
from campaigns.timing.measuring import failures, measure, resolution
from campaigns.timing.moments import Moments, first_order, second_order
from campaigns.timing.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CHANCE = np.random.default_rng(7)


def times(count: int, mean: float = 1000.0, spread: float = 20.0) -> Any:
    """Times as machines have them: a bell, and now and then something else that took long."""
    found = CHANCE.normal(mean, spread, count)
    found[CHANCE.random(count) < 0.02] += 50_000
    return found


def test_moments_that_are_merged_are_those_of_all() -> None:
    """In whatever pieces they came, empty ones too."""
    whole = times(5000)
    merged = Moments()
    for piece in np.split(whole, [1, 1, 40, 3000]):
        merged = merged.merged(Moments.of(piece))
    beside = whole - whole.mean()
    assert merged.number == 5000
    assert merged.mean == pytest.approx(whole.mean())
    for power, found in ((2, merged.second), (3, merged.third), (4, merged.fourth)):
        assert found == pytest.approx((beside**power).sum(), rel=1e-9)


def test_t_is_welchs() -> None:
    """Of means, and of the squares of what is beside them."""
    a, b = CHANCE.normal(100, 5, 3000), CHANCE.normal(101, 9, 2000)
    expected = (a.mean() - b.mean()) / math.sqrt(a.var(ddof=1) / 3000 + b.var(ddof=1) / 2000)
    assert first_order(Moments.of(a), Moments.of(b)) == pytest.approx(expected)
    x, y = (a - a.mean()) ** 2, (b - b.mean()) ** 2
    expected = (x.mean() - y.mean()) / math.sqrt(x.var() / 3000 + y.var() / 2000)
    assert second_order(Moments.of(a), Moments.of(b)) == pytest.approx(expected)
    assert abs(expected) > 5
    assert first_order(Moments.of(a[:3]), Moments.of(b)) == 0.0


def test_crops_find_what_is_hidden_by_the_rest_of_the_machine() -> None:
    """Two nanoseconds beside rare ones of fifty thousand; the same times differ by nothing."""
    tally = Tally.calibrated(3, times(5000))
    for _ in range(4):
        classes = np.arange(90_000) % 3
        seen = times(90_000)
        seen[classes == 1] += 2
        tally.add(classes, seen)
    found, same = tally.compared(0, 1), tally.compared(0, 2)
    uncropped = first_order(tally.moments[0][0], tally.moments[1][0])
    assert abs(uncropped) < 5 < abs(found.t)
    assert found.apart == pytest.approx(-2, abs=0.5)
    assert same.greatest < 5
    again = Tally.from_json(json.loads(json.dumps(tally.to_json())))
    assert again.compared(0, 1) == found


def sampler(apart: dict[str, float]) -> Any:
    """Samples of classes that differ by so much; a control does by its name."""

    def sample(group: Group, plan: Sequence[str]) -> list[int]:
        more = [apart.get(name, float(group.delay(name))) for name in plan]
        return [int(each) for each in times(len(plan)) + more]

    return sample


def group(*pairs: Pair, delays: Sequence[int] = (1, 50)) -> Group:
    """Two classes."""
    return Group("sample", "", "a", {"a": int, "b": int}, pairs, delays)


@pytest.mark.parametrize(
    ("pair", "apart", "missed"),
    [
        (Pair("a", "b"), {}, None),
        (Pair("a", "b"), {"b": 10.0}, "|t| is"),
        (Pair("a", "b", cause="it is public"), {"b": 10.0}, None),
        (Pair("a", "b", control=True), {}, "was not found"),
        (Pair("a", "b"), {"again": 10.0}, "a / again: |t| is"),
        (Pair("a", "b"), {"+50": 0.0}, "not even the greatest delay"),
    ],
)
def test_a_group_fails_for_what_it_must(
    tmp_path: Path, pair: Pair, apart: dict[str, float], missed: str | None
) -> None:
    """A difference without a cause, a control that is not found, and one that is and must not."""
    run = Run("sample", tmp_path, quick=True)
    figures = measure(run, group(pair), sampler(apart), each=2000, batch=2000)
    found = failures("sample", figures)
    assert (missed is None) == (not found)
    assert missed is None or missed in found[0]
    if missed is not None and missed.endswith("|t| is"):
        assert not failures("sample", figures, least=1000)  # which so few samples do not tell
    assert measure(run, group(pair), sampler({}), each=2000, batch=2000) == figures


def test_the_resolution_is_the_least_delay_from_which_on_all_are_found() -> None:
    """One that was found by luck below one that was not counts for nothing."""
    rows = [
        {"a": "a", "b": f"+{delay}", "t": t, "t2": 0.0, "apart_ns": -delay, "control": True}
        for delay, t in ((10, 9.0), (20, 3.0), (50, 8.0), (100, 40.0))
    ]
    assert resolution({"pairs": rows}) == 50
    assert resolution({"pairs": rows[:2]}) is None
