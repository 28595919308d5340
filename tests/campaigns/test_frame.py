"""Parts that are finished are kept, runs pause and go on, pages hold what was measured."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from campaigns.catalogue import NAMES, campaign
from campaigns.frame.campaign import Campaign, Figures, Part, Results
from campaigns.frame.pages import table, with_section
from campaigns.frame.run import Run
from campaigns.frame.runner import publish, run

DOCS = Path(__file__).parents[2] / "docs"


def _section(results: Results) -> str:
    return f"{results.parts['count']['counted']} counted"


def _campaign(*works: tuple[str, object]) -> Campaign:
    parts = [Part(name, work) for name, work in works]  # type: ignore[arg-type]
    return Campaign("sample", "a sample", "page.md", parts, _section)


def _count(given: Run) -> Figures:
    counted = given.kept().get("counted", 0)
    while counted < 10:
        counted += 5
        given.keep({"counted": counted})
        given.pause_if_due()
    return {"counted": counted, "failures": ["too few"]}


def test_a_run_that_pauses_goes_on_where_it_was(tmp_path: Path) -> None:
    """A part whose time is over keeps its state, later parts wait, and the next run ends both."""
    sample = _campaign(("count", _count), ("last", lambda _: {"there": True}))
    assert run(sample, tmp_path, quick=False, until=time.monotonic()).parts == {}
    assert run(sample, tmp_path, quick=False, until=time.monotonic() + 60).parts.keys() == {
        "count",
        "last",
    }


def test_a_part_that_says_how_far_it_is_is_published_and_goes_on(tmp_path: Path) -> None:
    """Hours of fuzzing have figures before they are over, and later parts wait."""

    def work(given: Run) -> Figures:
        counted = given.kept().get("counted", 0) + 1
        given.keep({"counted": counted})
        return {"counted": counted, **({"unfinished": "1 of 2"} if counted < 2 else {})}

    sample = _campaign(("count", work), ("last", lambda _: {}))
    assert run(sample, tmp_path, quick=False).parts["count"]["unfinished"] == "1 of 2"
    assert run(sample, tmp_path, quick=False, parts=["last"]).parts.keys() == {"count", "last"}
    assert run(sample, tmp_path, quick=False).parts.keys() == {"count", "last"}
    assert run(sample, tmp_path, quick=False).parts["count"]["counted"] == 2


def test_a_finished_part_is_run_again_where_that_is_asked_for(tmp_path: Path) -> None:
    """With what it kept; its figures are the new ones."""

    sample = _campaign(("count", lambda given: {"calls": _kept_calls(given)}))
    for again, calls in ((False, 1), (False, 1), (True, 2)):
        assert run(sample, tmp_path, quick=False, again=again).parts["count"]["calls"] == calls


def _kept_calls(given: Run) -> int:
    calls: int = given.kept().get("calls", 0) + 1
    given.keep({"calls": calls})
    return calls


def test_a_finished_part_is_not_run_again(tmp_path: Path) -> None:
    """Its figures are kept with the seconds that it took; the short form keeps nothing."""
    calls: list[bool] = []

    def work(given: Run) -> Figures:
        calls.append(given.quick)
        return {"calls": len(calls)}

    sample = _campaign(("count", work))
    first = run(sample, tmp_path, quick=False)
    assert run(sample, tmp_path, quick=False).parts == first.parts
    run(sample, tmp_path, quick=True)
    run(sample, tmp_path, quick=True)
    assert calls == [False, True, True]


def test_what_missed_its_goal_names_its_part(tmp_path: Path) -> None:
    """So that CI says which one it was."""
    assert run(_campaign(("count", _count)), tmp_path, quick=True).failures() == ["count: too few"]


def test_a_part_alone_can_be_asked_for(tmp_path: Path) -> None:
    """The order of the results is that of the parts, not that in which they were run."""
    sample = _campaign(("count", _count), ("last", lambda _: {"there": True}))
    run(sample, tmp_path, quick=False, parts=["last"])
    assert [*run(sample, tmp_path, quick=False).parts] == ["count", "last"]


def test_results_and_page_are_written_together(tmp_path: Path) -> None:
    """The JSON reads back as it was, and only what stands between the markers is replaced."""
    marks = (
        "<!-- sample: written by make campaign CAMPAIGN=sample -->",
        "<!-- end of sample -->",
    )
    (tmp_path / "page.md").write_text(f"before\n{marks[0]}\nold\n{marks[1]}\nafter\n")
    sample = _campaign(("count", _count))
    results = run(sample, tmp_path / "work", quick=False)
    publish(sample, results, tmp_path)
    assert Results.from_file(tmp_path / "campaigns" / "sample.json") == results
    assert (tmp_path / "page.md").read_text() == (
        f"before\n{marks[0]}\n10 counted\n{marks[1]}\nafter\n"
    )
    with pytest.raises(ValueError, match="once each"):
        with_section("no markers", "sample", "")


def test_tables_escape_bars() -> None:
    """A cell cannot become two."""
    assert table(["a"], [["x|y"], [3]]) == "| a |\n| --- |\n| x\\|y |\n| 3 |"


@pytest.mark.parametrize("name", NAMES)
def test_each_section_is_what_its_program_writes(name: str) -> None:
    """No figure on a page was written by hand, or left from another run."""
    there = campaign(name)
    assert there.name == name
    kept = DOCS / "campaigns" / f"{name}.json"
    page = (DOCS / there.page).read_text()
    section = there.section(Results.from_file(kept)) if kept.exists() else "Not measured yet."
    assert with_section(page, name, section) == page
