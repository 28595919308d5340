"""Requests that were read and wait for their turn: how long each waited, and who waited too long.

One process serves one request at a time, so that what comes faster than it can be served waits;
without a bound each waits longer than the one before, until nobody's answer comes in time to be of
use. So a queue that stands, which does not get short again by itself, is cut: whoever waited
longer than ``most_seconds`` is told to come later, which costs a fraction of an answer. A burst
passes: a queue may be longer than that for :data:`BURST` times as long. That is CoDel's idea
(Nichols and Jacobson, RFC 8289), as servers use it (Maurer, "Fail at Scale", ACM Queue 13.8, 2015).
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

BURST: Final = 5
"""How many times as long as a request may wait, the queue may be longer than that."""
FEW: Final = 8
"""A request behind fewer than that is served in any case: it costs no look at the clock."""

Place = int | tuple[int, float]
"""The place of a request: its number, and when it came where it is behind more than a few."""


class RequestQueue:
    """The queue of one process. It holds no request: the event loop does, in the same order."""

    __slots__ = ("_clock", "_entered", "_is_short", "_most", "_short_at", "_turn_at", "_turned")

    def __init__(self, most_seconds: float, clock: Callable[[], float] = perf_counter) -> None:
        self._most = most_seconds
        self._clock = clock
        self._entered = self._turned = 0  # the last that came, and the last whose turn came
        self._is_short = True  # as far as is known without the clock
        self._short_at = self._turn_at = float("-inf")  # by the clock; when one with a time had it

    def enter(self) -> Place:
        """A request was read, and waits for its turn from now on."""
        number = self._entered = self._entered + 1
        if number - self._turned <= FEW:
            return number
        now = self._clock()
        if self._is_short or now - self._turn_at > self._most:  # nobody waited for long lately
            self._is_short = False
            self._short_at = self._turn_at = now
        return number, now

    def serves(self, place: Place) -> bool:
        """Whether a request whose turn has come is served, or waited too long for that.

        Behind the one that entered last there is nobody: what it waited is how long the queue was.
        """
        if place.__class__ is int:
            self._turned = place
            if place == self._entered:
                self._is_short = True
            return True
        self._turned, since = place  # type: ignore[misc]
        now = self._turn_at = self._clock()
        if now - since <= self._most:
            if self._turned == self._entered:
                self._short_at = now
            return True
        return now - self._short_at <= self._most * BURST
