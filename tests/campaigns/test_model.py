"""The explorer finds what only one interleaving brings about, and says when there is no more."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from campaigns.model.search import Search, ViolationError, shortened

Counters = tuple[int, tuple[tuple[int, int], ...]]
"""What is stored; of each actor how many of its steps are done, and what it has read."""


class Increments:
    """Actors that add one to what is stored: each reads, then writes; ``atomic`` ones at once."""

    def __init__(self, actors: int, *, atomic: bool) -> None:
        self._actors = actors
        self._atomic = atomic

    def initial(self) -> Counters:
        return 0, ((0, 0),) * self._actors

    def choices(self, state: Counters) -> Iterator[int]:
        return (number for number, (step, _) in enumerate(state[1]) if step < 2)

    def preempts(self, state: Counters, last: int, choice: int) -> bool:
        return last >= 0 and choice != last and state[1][last][0] < 2

    def turn(self, last: int, choice: int) -> int:
        return choice

    def after(self, state: Counters, choice: int, schedule: Callable[[], list[int]]) -> Counters:
        stored, actors = state
        step, read = actors[choice]
        if self._atomic:
            stored, mine = stored + 1, (2, 0)
        elif step == 0:
            mine = (1, stored)
        else:
            stored, mine = read + 1, (2, 0)
        actors = (*actors[:choice], mine, *actors[choice + 1 :])
        if all(step == 2 for step, _ in actors) and stored != self._actors:
            raise ViolationError(f"{self._actors} were added and {stored} are stored")
        return stored, actors


def test_a_lost_update_is_found_with_one_preemption() -> None:
    """One who reads, another who adds, and the first who writes what it had read."""
    with pytest.raises(ViolationError, match="2 were added and 1 are stored") as caught:
        Search(Increments(2, atomic=False)).run()
    assert caught.value.schedule in ([0, 1, 1, 0], [1, 0, 0, 1])


def test_a_search_that_finds_nothing_says_that_there_is_no_more() -> None:
    """Three actors with one step each have eight states, each subset of those that are done."""
    found = Search(Increments(3, atomic=True)).run()
    assert (found.states, found.transitions, found.longest) == (8, 12, 3)
    assert found.exhausted


def test_every_state_is_found_that_there_is() -> None:
    """As many as a search without any order of its own finds."""

    class Never(Increments):
        def after(
            self, state: Counters, choice: int, schedule: Callable[[], list[int]]
        ) -> Counters:
            try:
                return super().after(state, choice, schedule)
            except ViolationError:
                return -1, state[1]

    model = Never(3, atomic=False)
    seen, left = {model.initial()}, [model.initial()]
    while left:
        state = left.pop()
        for choice in model.choices(state):
            after = model.after(state, choice, list)
            if after not in seen:
                seen.add(after)
                left.append(after)
    found = Search(model).run()
    assert found.states == len(seen)
    assert sum(found.by_preemptions) == found.states


def test_a_search_ends_where_it_is_told_to() -> None:
    """And says that it did not see everything."""
    found = Search(Increments(3, atomic=True)).run(most_states=4)
    assert not found.exhausted
    assert Search(Increments(3, atomic=True)).run(go_on=lambda _: False).complete == -1


def test_a_schedule_is_cut_to_what_it_takes() -> None:
    """What is left fails, and no part of it can be left out."""
    assert shortened(list(range(40)), lambda tried: {7, 23} <= set(tried)) == [7, 23]
