"""What docs/reliability.md says of the search: method, figures, controls, what is left out."""

from __future__ import annotations

from typing import Any, Final

from campaigns.frame.campaign import Figures, Results
from campaigns.frame.pages import table

_METHOD: Final = """\
The code that rotates, retires, revokes, seals and opens is run as it is, on a real SQLite store,
by several actors that stand for processes: each has a provider, a cache and a connection of its
own. Each stops before whatever others can see or change: before every transaction and, while the
clock may still move, before every reading of it, of the time of day and of the monotonic clock.
What happens next is then a choice: one of the actors goes on, the clock moves, or the store falls
silent. All choices are searched, those schedules first in which nothing comes in the middle of an
operation, then those in which another actor, the clock or an outage does so once, twice and so on
(an interruption). A step of an actor depends on what it has seen, on what is stored and on the
clock; so each different step is run once for real, at the end of a whole schedule, and what it
did is compared each time that a schedule goes through it again. A write transaction of SQLite is
alone and a read sees one state, so that nothing between their statements could be told apart. A
crash is an actor that is not given its turn any more: what holds in every state holds after each
crash between two transactions, and one within a transaction leaves what was before it."""

_PROPERTIES: Final = """\
After every step: the record is authentic; its versions are numbered without a gap, one is newest,
and what protects is that one; the minimum versions are in order and only go up; whatever was
sealed under a version that is not destroyed opens; nobody did what is not that one's to do, and
no change was undone. A look that ended leaves nothing due that was due when it began, and no
scheduler adds a version before the key is due. Whatever was sealed or opened was permitted at a
moment that lies less than five seconds before the operation began, or later; what was refused was
refused at such a moment."""

_NOT_TESTED: Final = """\
Not searched: PostgreSQL, where a write transaction sees what others commit between its statements
(the locks and the compare-and-swap are the same; `tests/integration/test_rotation_processes.py`
runs processes there); threads of one process; a clock that goes back; more actors and operations
than stand here."""


def section(results: Results) -> str:
    """Method, controls, figures, and what was not searched."""
    text = [_METHOD, _PROPERTIES]
    part = results.parts.get("schedules")
    if part is not None:
        text.append(_summary(results, part))
        text.append(table(_HEAD, (_row(name, found) for name, found in part["scenarios"].items())))
    controls = results.parts.get("controls", {}).get("controls", {})
    if controls:
        text.append(
            "Controls: faults that are put into the product are found. The shortest schedules:"
        )
        text.append("\n".join(_control(name, each) for name, each in controls.items()))
    return "\n\n".join([*text, _NOT_TESTED])


_HEAD: Final = (
    "scenario", "states", "transitions", "steps of the code", "schedules run",
    "longest, in choices", "complete up to", "violations",
)  # fmt: skip


def _summary(results: Results, part: Figures) -> str:
    spent = sum(part["cpu_seconds"].values()) / 60
    failed = len(results.failures())
    said = "No property failed." if not failed else f"{failed} failed, see the JSON."
    about = "; ".join(f"*{name}*, {found['about']}" for name, found in part["scenarios"].items())
    length = "of the hour that is the full length" if "unfinished" in part else "the full length"
    return (
        f"{spent:.0f} minutes of CPU, {length}, on {results.machine}, ended on {results.ended}."
        f" {said} The scenarios: {about}."
    )


def _row(name: str, found: dict[str, Any]) -> list[object]:
    if found["exhausted"]:
        complete = "every schedule"
    elif found["complete_preemptions"] < 0:
        complete = "-"
    else:
        complete = f"{found['complete_preemptions']} interruptions"
    numbers = ("states", "transitions", "steps", "executions", "longest")
    return [name, *(f"{found[each]:,}" for each in numbers), complete, len(found["failures"])]


def _control(name: str, control: dict[str, Any]) -> str:
    steps = "\n".join(f"    {number}. {line}" for number, line in enumerate(control["schedule"], 1))
    return f"- {name} ({control['about']}), {control['choices']} choices:\n{steps}"
