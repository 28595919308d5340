"""The campaign's section of the page, written from its results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from campaigns.frame.campaign import Results
from campaigns.frame.pages import table
from campaigns.mutation.explained import KINDS
from campaigns.mutation.figures import GOAL, Row, total
from campaigns.mutation.files import SAMPLE, SEED

_METHOD: Final = """
A mutant is the code with one small change; a test has to fail on it. The changes are those of
mutmut 3 (operators, numbers, strings, None in the place of a value or an argument, named arguments
left out, branches of conditional expressions and of `match`), and four more: a condition turned
round, a statement left out (`raise` and `del` too), None returned, an `except` that catches
nothing. Left as they are: annotations, types, decorators, imports, `__slots__`, `__all__`, names of
loggers, and the words of errors and log lines. What compiles to the same instructions is no mutant.

Each mutant is tried against the tests that run its line (coverage's contexts), those first that
killed its neighbours, then the quick ones of its own room, until one fails or three seconds of
tests are through; one that survives them and is not explained is held against thirty. A process
that has imported everything forks for each mutant and puts the changed function into the child;
what that cannot do (constants, fields, defaults), and what survives unexplained, is tried in a
child that imports the changed file from the disk. A test that kills is first seen to pass on the
code as it is, in the same kind of child. A child has 60 s of processor time more than its tests
need, and may sleep as long: what exceeds that is counted as a timeout, not as killed.
"""


def section(results: Results) -> str:
    """Method, controls, a row for each file that is changed everywhere, the sample by room."""
    parts = [_METHOD.strip(), f"Machine: {results.machine}; {results.ended}."]
    if "controls" in results.parts:
        parts.append(_of_controls(results.parts["controls"]))
    if "whole" in results.parts:
        found = _rows(results.parts["whole"])
        parts.append(
            f"Every mutant of the files that guard most (goal: {GOAL:.0%} killed):\n\n"
            + _table("file of `security/`", found)
        )
    if "sample" in results.parts:
        rooms: dict[str, Row] = {}
        files: Counter[str] = Counter()
        for file, row in _rows(results.parts["sample"]).items():
            room = f"{file.rpartition('/')[0]}/".lstrip("/") or "security/"
            rooms.setdefault(room, Row()).add(row)
            files[room] += 1
        named = {f"{room} ({files[room]} files)": row for room, row in rooms.items()}
        parts.append(
            f"Of every other file up to {SAMPLE} mutants, chosen by seed {SEED}:\n\n"
            + _table("folder of `security/`", named)
        )
    kinds = Counter(
        survivor["why"].partition(":")[0]
        for name in ("whole", "sample")
        for survivor in results.parts.get(name, {}).get("survivors", [])
        if survivor["why"]
    )
    if kinds:
        parts.append(
            "Each explained survivor has its entry in `campaigns/mutation/explained.toml`, which"
            " goes stale when its line is changed:\n\n"
            + table(("why", "mutants"), [(KINDS[kind], n) for kind, n in kinds.most_common()])
        )
    parts.append(
        "Not tested: code outside of `security/`, two changes at once, the long tests, and those"
        " of `tests/api`, `tests/cli` and the other doors, which would kill some that survive here."
    )
    return "\n\n".join(parts)


def _of_controls(figures: Mapping[str, Any]) -> str:
    ends = "; ".join(f"{name}: {end}" for name, end in figures["controls"].items())
    return (
        f"Controls: {ends}. Of {figures['seeded']['tried']} seeded mutants that CI tries with each"
        f" commit {figures['seeded']['killed']} are killed by one file of tests."
    )


def _rows(figures: Mapping[str, Any]) -> dict[str, Row]:
    return {file: Row(**row) for file, row in figures["rows"].items()}


def _table(what: str, found: Mapping[str, Row]) -> str:
    lines = [*found.items(), ("all", total(found))]
    return table(
        (what, "mutants", "killed", "", "explained", "not explained", "timeouts"),
        [
            (name, row.mutants, row.killed, f"{row.share:.0%}", row.explained, row.open,
             row.timeouts)
            for name, row in lines
        ],
    )  # fmt: skip
