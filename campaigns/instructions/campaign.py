"""How many instructions a call takes with secrets of different content and equal length."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any, Final

from campaigns.frame.campaign import Campaign, Figures, Part
from campaigns.frame.pages import table
from campaigns.instructions.counted import CONTROL
from campaigns.instructions.counting import NoValgrindError, counted

if TYPE_CHECKING:
    from campaigns.frame.campaign import Results
    from campaigns.frame.run import Run

MOST_SPREAD: Final = 0.02  # of the median; what the interpreter does now and then is as much
LEAST_CONTROL: Final = 0.5

_METHOD: Final = """
The same work with inputs of equal length and different content under valgrind's callgrind, which
counts every instruction of the process: CPython's, the library's and OpenSSL's. A number is that
of one call, from the difference of twenty calls and ten, the median of three; `PYTHONHASHSEED` is
fixed and the garbage collector off. *Spread* is what is between the inputs with the most and the
fewest, and has to be below 2 %; *again*, the most between three counts of one input, is what the
interpreter does by itself. The control leaves at the first wrong byte, and shows.
"""
_UNTESTED: Final = """
Not tested: how long an instruction takes, which [timing](#timing) measures; caches and predictors
of branches; code of OpenSSL for processors that callgrind does not imitate, such as AVX-512.
"""


def _work(run: Run) -> Figures:
    try:
        works = counted(whole=not run.quick)
    except NoValgrindError as missing:
        return {"works": {}, "failures": [str(missing)]}
    found = {work: summed_up(inputs) for work, inputs in works.items()}
    return {"works": found, "failures": failures(found)}


def summed_up(inputs: dict[str, list[int]]) -> dict[str, Any]:
    """The figures of one work."""
    medians = {name: median(counts) for name, counts in inputs.items()}
    least, most = min(medians, key=medians.__getitem__), max(medians, key=medians.__getitem__)
    return {
        "inputs": len(inputs),
        "median": median(medians.values()),
        "least": [least, medians[least]],
        "most": [most, medians[most]],
        "spread": medians[most] - medians[least],
        "again": max(max(counts) - min(counts) for counts in inputs.values()),
    }


def failures(works: dict[str, dict[str, Any]]) -> list[str]:
    """Works whose count depends on their input, or a control whose count does not."""
    found = []
    for work, each in works.items():
        share = each["spread"] / each["median"]
        if work == CONTROL and share < LEAST_CONTROL:
            found.append(f"{work}: shows no difference")
        elif work != CONTROL and share >= MOST_SPREAD:
            found.append(f"{work}: {each['least']} and {each['most']} instructions")
    return found


def section(results: Results) -> str:
    """The table of what was counted."""
    rows = [
        [
            work,
            each["inputs"],
            f"{each['median']:,.0f}",
            f"{each['spread']:,.0f} ({each['spread'] / each['median']:.1%})",
            f"{each['again']:,.0f}",
        ]
        for figures in results.parts.values()
        for work, each in figures["works"].items()
    ]
    head = ["what", "inputs", "instructions", "spread", "again"]
    machine = f"Machine: {results.machine}; ended {results.ended}."
    return "\n\n".join([_METHOD.strip(), machine, table(head, rows), _UNTESTED.strip()])


CAMPAIGN: Final = Campaign(
    name="instructions",
    about="instruction counts with secrets of different content",
    page="security_testing.md",
    parts=[Part("counts", _work)],
    section=section,
)
