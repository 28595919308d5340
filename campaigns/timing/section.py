"""What the page says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from campaigns.frame.pages import table
from campaigns.timing.measuring import MOST, greatest, ladder, resolution
from campaigns.timing.plots import PLOT

if TYPE_CHECKING:
    from campaigns.frame.campaign import Results

PARTS: Final = (
    "of comparisons, in process",
    "of API keys, in process",
    "of MACs and signatures, in process",
    "of messages, in process",
    "of keys out of reach, in process",
    "over HTTP",
    "over HTTP, nothing in memory",
)
_METHOD: Final = """
How long a refusal takes must not tell its reason. The method is dudect's (Reparaz, Balasch,
Verbauwhede, DATE 2017): inputs of all classes of a group in one random order, each made anew
before the clock is read (`perf_counter_ns`; in process without the garbage collector; one core
where that may be chosen), Welch's t of the times and of their centred squares, over all samples
and cropped at twelve percentiles; the greatest |t| of all counts, and has to be below 5. Over
HTTP it is one connection that stays open, on loopback, to `mfn serve` with one worker and a store
in memory, in which no disk and no network has part: others see less. In each group the same class
stands against itself (*again*), and against itself with a delay of known size, in process a loop,
over HTTP a wait in front of the service: *found from* is the least such delay, as it was
measured, that gives |t| > 5 with this number of samples, and from which on all do. A difference
in a row without a cause fails the run, and so does one that was put there and is not found.
"""
_UNTESTED: Final = """
Not tested: custodians over a network, whose own times are longer than all of these; PBKDF2 of
passphrases, whose time is that of its iterations; other processors, and Pythons with a just-in-
time compiler.
"""


def section(results: Results) -> str:
    """The tables of what was measured, a table for each part."""
    paragraphs = [_METHOD.strip(), f"Machine: {results.machine}; ended {results.ended}."]
    for name, figures in results.parts.items():
        causes: list[str] = []
        rows = [
            row for group, found in figures["groups"].items() for row in _rows(group, found, causes)
        ]
        head = ["what", "median", "found from", "beside each other", "samples", "t", "t, 2nd order",
                "apart", ""]  # fmt: skip
        paragraphs += [f"### Timing {name}", table(head, rows)]
        paragraphs += [f"{number}. {cause}." for number, cause in enumerate(causes, 1)]
    if results.parts:
        paragraphs.append(f"![|t| as samples come in](campaigns/{PLOT})")
    if absent := [part for part in PARTS if part not in results.parts]:
        paragraphs.append(f"Not measured at full length yet: timing {'; '.join(absent)}.")
    return "\n\n".join([*paragraphs, _UNTESTED.strip()])


def _rows(group: str, found: dict[str, Any], causes: list[str]) -> list[list[str]]:
    """A group's rows; causes are numbered in the order in which they come."""
    least = resolution(found)
    known = [row for row in found["pairs"] if row not in ladder(found)]
    first = [group, _time(found["median_ns"]), "not found" if least is None else _time(least)]
    rows = []
    for number, row in enumerate(known):
        cause = row.get("cause", "")
        if cause and cause not in causes:
            causes.append(cause)
        rows.append(
            [
                *(first if not number else ["", "", ""]),
                f"{row['a']} / {row['b']}",
                f"{row['samples']:,}",
                f"{row['t']:.1f}",
                f"{row['t2']:.1f}",
                _time(abs(row["apart_ns"])),
                _verdict(row, causes),
            ]
        )
    return rows


def _verdict(row: dict[str, Any], causes: list[str]) -> str:
    is_there = greatest(row) >= MOST
    if row.get("control"):
        return "found, as it must be" if is_there else "**not found**"
    if not is_there:
        return ""
    cause = row.get("cause")
    return f"cause {causes.index(cause) + 1}" if cause else "**differs**"


def _time(nanoseconds: float) -> str:
    if nanoseconds < 1000:
        return f"{nanoseconds:.0f} ns"
    return f"{nanoseconds / 1000:.3g} us"
