"""Fields one after the other, in a run that may pause between two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypedDict, TypeVar

if TYPE_CHECKING:
    from campaigns.frame.run import Run

_Field = TypeVar("_Field")


class State(TypedDict):
    """How many fields are done, how often each outcome came, and what failed."""

    done: int
    counts: dict[str, int]
    failures: list[str]


def begun(run: Run) -> State:
    """The state of a part: what was kept, or nothing yet."""
    kept = run.kept()
    return State(
        done=kept.get("done", 0), counts=kept.get("counts", {}), failures=kept.get("failures", [])
    )


def count(state: State, outcome: object) -> None:
    """One more of that outcome."""
    state["counts"][str(outcome)] = state["counts"].get(str(outcome), 0) + 1


def in_turn(
    run: Run, state: State, wanted: Sequence[_Field], what: str
) -> Iterator[tuple[int, _Field]]:
    """Each field that is not done, with its number; the state is kept after each."""
    for number in range(state["done"], len(wanted)):
        yield number, wanted[number]
        state["done"] = number + 1
        run.keep({**state})
        run.progress(number + 1, len(wanted), what)
        run.pause_if_due()
