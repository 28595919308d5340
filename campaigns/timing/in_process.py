"""Samples of calls in this process, by the clock with the finest ticks."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from contextlib import contextmanager, suppress
from functools import cache
from itertools import repeat
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from campaigns.timing.group import Group

_CALIBRATION_STEPS: Final = 2_000_000


def sample(group: Group, plan: Sequence[str]) -> list[int]:
    """One call for each class named, in that order, with inputs that were made before the first."""
    steps = {name: round(group.delay(name) / _step_nanoseconds()) for name in set(plan)}
    # Made in the order of their use, so that no class has places in memory of its own.
    work = [(group.make(name), steps[name]) for name in plan]
    return _timed(group.attempt, work)


def _timed(attempt: Any, work: list[tuple[Any, int]]) -> list[int]:
    clock, times = perf_counter_ns, [0] * len(work)
    for place, (given, steps) in enumerate(work):
        began = clock()
        attempt(given)
        for _ in repeat(None, steps):
            pass
        times[place] = clock() - began
    return times


@cache
def _step_nanoseconds() -> float:
    """What one step of the loop takes that delays the positive controls; the least of some."""
    return min(_loop() for _ in range(5)) / _CALIBRATION_STEPS


def _loop() -> int:
    began = perf_counter_ns()
    for _ in repeat(None, _CALIBRATION_STEPS):
        pass
    return perf_counter_ns() - began


@contextmanager
def undisturbed(core: int = -1) -> Iterator[None]:
    """Without the garbage collector, and on one core where that is allowed."""
    before = os.sched_getaffinity(0)
    with suppress(OSError):
        os.sched_setaffinity(0, {sorted(before)[core]})
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
        with suppress(OSError):
            os.sched_setaffinity(0, before)
