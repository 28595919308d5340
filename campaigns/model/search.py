"""The search: states by the number of interruptions that it takes to come to them.

A schedule is a list of choices. As CHESS does (Musuvathi and Qadeer, PLDI 2007), those with no
interruption come first, then those with one, and so on: most faults need few, and whoever reads a
schedule that was found can follow it. Each state is expanded once, and of an edge that two ways
lead to the first is kept.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

S = TypeVar("S", bound=Hashable)

NOBODY = -1


class ViolationError(Exception):
    """A property does not hold after the last choice of ``schedule``."""

    def __init__(self, what: str, schedule: list[int] | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.schedule = schedule or []


class Model(Protocol[S]):
    """What is searched. Choices are small numbers, fewer than 64."""

    def initial(self) -> S:
        """The state in which every schedule begins."""
        ...

    def choices(self, state: S) -> Iterable[int]:
        """What may happen in that state."""
        ...

    def preempts(self, state: S, last: int, choice: int) -> bool:
        """Whether the choice comes in the middle of what ``last`` does: an interruption.

        That is another one who takes the turn, or the clock that moves meanwhile.
        """
        ...

    def turn(self, last: int, choice: int) -> int:
        """Whose turn it is after that choice, where it was that of ``last``."""
        ...

    def after(self, state: S, choice: int, schedule: Callable[[], list[int]]) -> S:
        """The state after that choice. ``schedule`` gives the choices that led to ``state``.

        Raises :class:`ViolationError` where a property does not hold then.
        """
        ...


@dataclass
class Searched:
    """How far a search came."""

    states: int = 0
    transitions: int = 0
    longest: int = 0
    """Choices in the longest schedule to a state that was new."""
    complete: int = NOBODY
    """Every schedule with up to so many interruptions was looked at; -1 for none."""
    exhausted: bool = False
    """Every schedule was."""
    by_preemptions: list[int] = field(default_factory=list)
    """The new states that each further interruption led to."""


class Search(Generic[S]):
    """One search of one model, until there is nothing more or :meth:`run` is to end."""

    def __init__(self, model: Model[S]) -> None:
        self._model = model
        self.found = Searched()
        self._index: dict[S, int] = {}
        self._states: list[S] = []
        self._from = array("q")
        self._by = array("b")
        self._length = array("H")
        self._done = array("Q")  # choices that were made in the state, or wait for the next level
        self._stack: list[tuple[int, int]] = []
        self._waiting: list[tuple[int, int, int]] = []

    def run(
        self,
        *,
        go_on: Callable[[Searched], bool] = lambda _: True,
        most_states: int = 5_000_000,
    ) -> Searched:
        """Search while ``go_on`` says so, which is asked now and then. Raises the violation."""
        found = self.found
        self._come_to(self._model.initial(), NOBODY, NOBODY)
        found.by_preemptions = [1]
        self._stack.append((0, NOBODY))
        while True:
            while self._stack:
                if found.transitions % 50 == 0 and not go_on(found):
                    return found
                if found.states >= most_states:
                    return found
                self._expand(*self._stack.pop())
            found.complete += 1
            if not self._waiting:
                found.exhausted = True
                return found
            found.by_preemptions.append(0)
            waiting, self._waiting = self._waiting, []
            for index, last, choice in waiting:
                if found.transitions % 50 == 0 and not go_on(found):
                    return found
                self._take(index, last, choice)
                while self._stack:
                    if found.transitions % 50 == 0 and not go_on(found):
                        return found
                    if found.states >= most_states:
                        return found
                    self._expand(*self._stack.pop())

    def schedule_to(self, index: int) -> list[int]:
        """The choices that led to a state."""
        choices: list[int] = []
        while self._from[index] >= 0:
            choices.append(self._by[index])
            index = self._from[index]
        return choices[::-1]

    def _expand(self, index: int, last: int) -> None:
        state = self._states[index]
        for choice in self._model.choices(state):
            bit = 1 << choice
            if not self._model.preempts(state, last, choice):
                if self._done[index] & bit:
                    continue
                self._done[index] |= bit
                self._take(index, last, choice)
            elif not self._done[index] & bit:
                self._done[index] |= bit
                self._waiting.append((index, last, choice))

    def _take(self, index: int, last: int, choice: int) -> None:
        self.found.transitions += 1
        state = self._states[index]
        try:
            after = self._model.after(state, choice, lambda: self.schedule_to(index))
        except ViolationError as error:
            error.schedule = [*self.schedule_to(index), choice]
            raise
        known = self._index.get(after)
        if known is None:
            known = self._come_to(after, index, choice)
        self._stack.append((known, self._model.turn(last, choice)))

    def _come_to(self, state: S, index: int, choice: int) -> int:
        number = len(self._states)
        self._index[state] = number
        self._states.append(state)
        self._from.append(index)
        self._by.append(choice)
        self._length.append(self._length[index] + 1 if index >= 0 else 0)
        self._done.append(0)
        found = self.found
        found.states += 1
        found.longest = max(found.longest, self._length[number])
        if found.by_preemptions:
            found.by_preemptions[-1] += 1
        return number


def shortened(
    schedule: list[int], fails: Callable[[list[int]], bool], *, longest: int = 400
) -> list[int]:
    """A schedule that fails as this one does, and from which no choice can be left out.

    ``fails`` runs a schedule, whose impossible choices it passes over; it is called at most
    ``longest`` times.
    """
    size, calls = max(1, len(schedule) // 2), 0
    while size and calls < longest:
        start, shorter = 0, False
        while start < len(schedule) and calls < longest:
            tried = schedule[:start] + schedule[start + size :]
            calls += 1
            if fails(tried):
                schedule, shorter = tried, True
            else:
                start += size
        if not shorter or size > 1:
            size = size // 2 if size > 1 else (1 if shorter else 0)
    return schedule
