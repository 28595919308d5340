"""What finds that something grows, and what counts the answers."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest

from campaigns.load.caller import Ledger
from campaigns.load.overload import _well_again
from campaigns.load.processes import held
from campaigns.load.slopes import fitted, means
from campaigns.load.soak import operations

NOISE = 0.3


def _hour(per_hour: float, together: float, seed: int) -> list[tuple[float, float]]:
    """Fifty minutes of something that grows, with noise of which neighbours share some."""
    chance, found, noise = random.Random(seed), [], 0.0
    for second in range(3000):
        noise = together * noise + chance.gauss(0, NOISE)
        found.append((float(second), 100 + per_hour * second / 3600 + noise))
    return found


def test_a_leak_is_found_and_what_is_flat_is_flat() -> None:
    """Nine of ten times at least, though what is left beside the line hangs together."""
    flat = [fitted(means(_hour(0, 0.99, seed), 60)) for seed in range(40)]
    grows = [fitted(means(_hour(30, 0.99, seed), 60)) for seed in range(40)]
    assert sum(each.is_flat for each in flat) >= 34
    assert sum(each.low > 0 for each in grows) >= 36
    assert sum(each.low <= 30 <= each.high for each in grows) >= 34


def test_the_error_of_a_line_is_that_of_the_textbook() -> None:
    """Of points without correlation: sqrt(squares / (n - 2) / spread)."""
    points = [(0.0, 1.0), (3600.0, 1.0), (7200.0, 4.0), (10800.0, 4.0)]
    line = fitted(points)
    assert line.per_hour == pytest.approx(1.2)
    assert line.error == pytest.approx((1.8 / 2 / 5) ** 0.5)


def test_two_points_are_no_line_with_an_error() -> None:
    """They would fit whatever was seen."""
    with pytest.raises(ValueError, match="three points"):
        fitted([(0, 1), (1, 2)])


def test_means_are_of_the_time_that_they_stand_for() -> None:
    """A minute that was read twice as often weighs no more."""
    assert means([(0, 1), (30, 3), (60, 7)], 60) == [(30.0, 2.0), (90.0, 7.0)]


def test_what_a_process_holds_is_read_and_one_that_is_gone_is_an_error() -> None:
    """A descriptor that it opens is one more."""
    before = held(os.getpid())
    with open(os.devnull):
        after = held(os.getpid())
    assert after["descriptors"] == before["descriptors"] + 1
    assert before["rss"] > before["pss"] > 1000
    assert before["threads"] >= 1
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        pass
    with pytest.raises(OSError):
        held(process.pid)


def test_answers_are_counted_by_operation_and_complaints_too() -> None:
    """Of several clients together."""
    one, two = Ledger(), Ledger()
    one.note("POST /keys", 201, 0.5)
    two.note("POST /keys", 409, 0.1)
    two.complain("GET /keys", "500, not 200", "x" * 400)
    one.add(two)
    assert one.answers == {"POST /keys 201": 1, "POST /keys 409": 1}
    assert (one.times(), one.times("GET /keys")) == ([0.5, 0.1], [])
    assert one.served() == {"POST /keys"}
    assert one.unexpected == {"GET /keys: 500, not 200": 1}
    assert len(one.examples[0]) < 400


def test_the_soak_knows_every_operation_of_the_document() -> None:
    """Each must be served in it, or it fails."""
    assert {"POST /crypto/encrypt", "GET /keys/{key_id}", "GET /metrics"} <= operations()


def test_it_is_well_again_once_nobody_is_refused() -> None:
    """And what goes on to the end has no end."""
    seen = [[0.1, 0.2, 503], [0.4, 0.2, 503], [0.5, 0.2, 200]]
    assert _well_again(seen, 10) == 0.4
    assert _well_again([], 10) == 0
    assert _well_again([*seen, [9.0, 0.1, 503]], 10) is None
