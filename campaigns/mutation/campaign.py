"""The campaign: mutants of what guards most, of everything else a sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from campaigns.frame.campaign import Campaign, Figures, Part
from campaigns.frame.run import Run
from campaigns.mutation import controls
from campaigns.mutation.explained import explained, explanations
from campaigns.mutation.figures import misses, rows
from campaigns.mutation.files import WHOLE, of_file, others
from campaigns.mutation.mutants import Mutant
from campaigns.mutation.section import section
from campaigns.mutation.trying import Trial


def whole(run: Run) -> Figures:
    """Every mutant of the files that guard most; nothing in the quick form."""
    return _tried(run, [] if run.quick else [each for file in WHOLE for each in of_file(file)])


def sample(run: Run) -> Figures:
    """Twenty seeded mutants of every other file of ``security/``; nothing in the quick form."""
    return _tried(run, [] if run.quick else [each for file in others() for each in of_file(file)])


def _tried(run: Run, mutants: Sequence[Mutant]) -> Figures:
    outcomes = list(Trial(run, mutants).outcomes().values()) if mutants else []
    table = explanations()
    found = rows(outcomes, table)
    return {
        "rows": {file: asdict(row) for file, row in found.items()},
        "operators": dict(Counter(each["operator"] for each in outcomes).most_common()),
        "survivors": [_survivor(each) for each in outcomes if each["outcome"] != "killed"],
        "failures": misses(found),
    }


def _survivor(outcome: dict[str, Any]) -> dict[str, Any]:
    why = explained(outcome, explanations())
    return {**outcome, "why": why and f"{why.kind}: {why.why}"}


CAMPAIGN = Campaign(
    name="mutation",
    about="small changes to the code, each of which some test has to notice",
    page="security_testing.md",
    parts=(Part("controls", controls.tried), Part("whole", whole), Part("sample", sample)),
    section=section,
)
