"""The benchmark harness: its arithmetic, and small pieces of each part; nothing is timed."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import growth, harness, messages, report
from mycelium_fractal_net.security.keyring import Keyring


def test_ratios_are_of_rounds_side_by_side() -> None:
    """A machine that slows down in one round slows both, and the ratio does not show it."""
    reference, other = harness.figures({"a": [1.0, 10.0, 1.0], "b": [2.0, 20.0, 4.0]})
    assert (reference.ratio, other.ratio) == (1.0, 2.0)
    assert (other.least, other.greatest, other.seconds) == (2.0, 4.0, 4.0)


def test_every_contender_gets_its_rounds() -> None:
    """Alternating, as often as the budget allows and once at least."""
    calls: list[str] = []
    figures = harness.compare(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3, budget=0
    )
    assert [figure.name for figure in figures] == ["a", "b"]
    assert calls[-6:] == ["a", "b"] * 3


def test_a_failing_command_is_not_measured() -> None:
    """A figure of something that did not work would be worse than none."""
    with pytest.raises(RuntimeError, match="failed"):
        harness.run(["sh", "-c", "echo no >&2; exit 3"], env={})
    ran = harness.run(["sh", "-c", "sleep 0.1"], env={"PATH": "/bin:/usr/bin"})
    assert 0 < ran.memory < 100 << 20


def test_all_contenders_work(keyring: Keyring) -> None:
    """Each of them does its work once, and ours are there with theirs."""
    keyring.provider.create_key("bench")
    for group in messages.contenders(keyring, 100).values():
        assert len(group) >= 2
        for work in group.values():
            assert work()


def test_filled_stores_hold_authentic_keys(keyring: Keyring) -> None:
    """The keys that stand in for many are made by the provider's own code."""
    growth.fill(keyring.provider, 5)
    names = [key.key_id for key in keyring.provider.all_keys()]
    assert names[:5] == [f"filler-{number:06}" for number in range(5)]
    assert len(keyring.provider.get_key("filler-000003")) == 32


def test_the_report_says_what_was_met_and_what_was_missed(tmp_path: Path) -> None:
    """Table, JSON and plots from the same results."""
    good, bad = harness.Figure("cp", 1.0, 1.0, 1.0, 1.0), harness.Figure("x", 2.0, 9.0, 8.0, 9.5)
    results = report.Results(
        startup=[good, bad],
        growth=[growth.Growth(10, 1, 1, 1, 1, 1), growth.Growth(100, 1, 1, 1, 1, 1)],
    )
    text = report.markdown(results)
    assert "**missed**" in text
    assert "| met |" in text
    assert '"met": false' in report.as_json(results)
    report.plots(results, tmp_path)
