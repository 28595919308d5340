"""What the outcomes come to: a row for each file, and what misses the goal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from campaigns.mutation.explained import Explanation, explained
from campaigns.mutation.files import SECURITY

GOAL: Final = 0.90  # of all mutants, equivalent ones included


@dataclass
class Row:
    """Mutants of one file by what became of them. ``open`` survived and nothing explains them."""

    mutants: int = 0
    killed: int = 0
    timeouts: int = 0
    explained: int = 0
    open: int = 0

    def add(self, other: Row) -> None:
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)

    @property
    def share(self) -> float:
        """Of all that were tried those that a test killed; one that never ended does not count."""
        return self.killed / self.mutants if self.mutants else 1.0


def rows(outcomes: Iterable[Mapping[str, Any]], table: Sequence[Explanation]) -> dict[str, Row]:
    """A row for each file, named from ``security/`` on, in the order of the outcomes."""
    found: dict[str, Row] = {}
    for each in outcomes:
        row = found.setdefault(each["file"].removeprefix(f"{SECURITY}/"), Row())
        row.mutants += 1
        if each["outcome"] == "killed":
            row.killed += 1
        elif each["outcome"] == "timeout":
            row.timeouts += 1
        elif explained(each, list(table)):
            row.explained += 1
        else:
            row.open += 1
    return found


def total(found: Mapping[str, Row]) -> Row:
    """All files together."""
    summed = Row()
    for each in found.values():
        summed.add(each)
    return summed


def misses(found: Mapping[str, Row]) -> list[str]:
    """A sentence for each goal that is missed: the share, and each file with open survivors."""
    summed = total(found)
    said = []
    if summed.share < GOAL:
        said.append(f"{summed.share:.1%} of {summed.mutants:,} mutants were killed, not {GOAL:.0%}")
    if left := {file: row.open for file, row in found.items() if row.open}:
        named = ", ".join(f"{file} {number}" for file, number in left.items())
        said.append(f"{summed.open:,} survived and nothing explains them: {named}")
    return said
