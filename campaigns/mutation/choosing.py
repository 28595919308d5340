"""Which tests a mutant is tried against, and in what order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection
from math import sqrt
from pathlib import PurePosixPath
from typing import Final

from campaigns.mutation.contexts import Contexts
from campaigns.mutation.files import SECURITY
from campaigns.mutation.mutants import Mutant

BUDGET: Final = 3.0  # seconds of tests for one mutant, by what they took when all ran
LONG: Final = 30.0  # seconds, for one that survived those
_FEWEST: Final = 20
_MOST: Final = 300
_SERVER: Final = 5.0  # seconds: what starting one costs, for which each child has to
_NAME: Final = re.compile(r"\b[A-Za-z_]\w*\b")


class Chooser:
    """Learns: what killed a neighbour is tried first."""

    def __init__(
        self, contexts: Contexts, tests: Collection[str], costly: Collection[str] = ()
    ) -> None:
        self._contexts = contexts
        self._tests = frozenset(tests)
        self._costly = frozenset(costly)
        self._breadth = contexts.breadth()
        self._kills: Counter[tuple[str, str]] = Counter()
        self.unsound: set[str] = set()

    def killed(self, mutant: Mutant, by: str) -> None:
        """That test noticed that mutant."""
        self._kills[mutant.file, by] += 1

    def tests_for(self, mutant: Mutant, budget: float = BUDGET) -> tuple[list[str], int]:
        """Those to run, best first, within so many seconds; and how many there are in all."""
        found = self._covering(mutant) & self._tests - self.unsound
        ordered = self._ordered(mutant.file, found)
        chosen: list[str] = []
        spent = 0.0
        for test in ordered[: _MOST if budget <= BUDGET else None]:
            seconds = self._seconds(test)
            if spent + seconds > budget and len(chosen) >= _FEWEST:
                continue  # one that takes less may still find its time
            spent += seconds
            chosen.append(test)
        return chosen, len(found)

    def _covering(self, mutant: Mutant) -> set[str]:
        found = self._contexts.covering(mutant.file, mutant.first_line, mutant.last_line)
        if mutant.is_in_function:
            return found
        # What a module or class runs once, when whichever test imports it first, is told by the
        # lines that have its names.
        names = set(_NAME.findall(mutant.before)) - {"None", "Final", "str", "int", "bytes"}
        lines = self._contexts.sources.get(mutant.file, "").splitlines()
        for number, line in enumerate(lines, 1):
            if names & set(_NAME.findall(line)):
                found |= self._contexts.covering(mutant.file, number, number)
        return found or self._contexts.covering(mutant.file, 1, len(lines))

    def _ordered(self, file: str, tests: Collection[str]) -> list[str]:
        inside: Counter[str] = Counter()
        for some in self._contexts.lines.get(file, {}).values():
            inside.update(some & set(tests))
        room = PurePosixPath(file).relative_to(SECURITY).parent.as_posix()

        def score(test: str) -> float:
            focus = inside[test] / max(self._breadth.get(test, 1), 1)
            near = room != "." and test.startswith(f"tests/security/{room}/")
            return sqrt(self._seconds(test)) / (0.02 + focus) / (4 if near else 1)

        scores = {test: score(test) for test in tests}
        # One of each function first, then another of each.
        seen: Counter[str] = Counter()
        for test in sorted(tests, key=lambda each: (scores[each], each)):
            function = test.partition("[")[0]
            scores[test] *= 1 + seen[function]
            seen[function] += 1
        return sorted(tests, key=lambda each: (-self._kills[file, each], scores[each], each))

    def _seconds(self, test: str) -> float:
        extra = _SERVER if test in self._costly else 0.0
        return self._contexts.seconds.get(test, 0.05) + extra
