"""The campaign of faults: what it keeps, what it runs, and what it says of it."""

from __future__ import annotations

import json

import pytest

from campaigns.faults.campaign import section
from campaigns.faults.injecting import failed_in_one_line
from campaigns.faults.kills import as_json, from_json
from campaigns.faults.stories import STORIES, Story, steps
from campaigns.frame.campaign import Results
from tests.torture.run import Figures


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_each_story_is_told_by_tests_that_are_there(story: Story) -> None:
    """A test module that is renamed is missed, and each has tests."""
    found = steps(story)
    assert {step.partition("::")[0].rpartition("/")[2] for step in found} == {
        each.rpartition("/")[2] for each in story.modules
    }


def test_kills_go_on_where_they_were() -> None:
    """Their figures come back from JSON as they went."""
    figures = Figures()
    figures.kills["rotate, SQLite"] += 3
    figures.usual["rotate, SQLite"] = [0.5]
    assert from_json(json.loads(json.dumps(as_json(figures)))) == figures


@pytest.mark.parametrize(
    ("said", "clear"),
    [
        ("mfn: the key store does not serve; 'mfn doctor' says what to mend\n", True),
        ("orders:v1 was used\nmfn: the disk is full\n", True),
        ("", False),
        ("mfn: unexpected KeyError\n", False),
        ("Traceback (most recent call last):\n  File\nmfn: the disk is full\n", False),
        ("it did not end within 60 s", False),
    ],
)
def test_a_failure_is_told_in_a_line_of_its_own(said: str, clear: bool) -> None:
    """A traceback, a fault that nobody thought of, and silence are none."""
    assert failed_in_one_line(said) is clear


def test_the_section_counts_what_was_run_and_not_what_was_meant_to_be() -> None:
    """Of a part that is not finished it says how far it came."""
    counts = {"injected": {"read": 2}, "succeeded": {"read": 1}, "failed in one line": {"read": 1}}
    part = {"faults": 5, "done": 2, "counts": counts, "failures": ["EIO at read 2"]}
    written = section(
        Results("faults", "a machine", "2026-03-01", 60.0, {"rotation, SQLite": part})
    )
    assert "2 of 5 faults, 2 met" in written
    assert "1 failed, which docs/campaigns/faults.json has" in written
    assert "| read | 2 | 1 |" in written
