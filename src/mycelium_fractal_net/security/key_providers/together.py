"""Calls that come while others of their kind are under way, and go to the other side as one.

Nobody waits for others to come: a call is made at once while few are under way. Those that come
then wait for one of these to end, and all that wait by then are asked for in one request, which
costs the other side little more than one of them. Under load a request carries many, and a single
caller notices nothing.

Where those under way do not end, as on a connection that fell silent, they are waited for no longer
than :data:`PATIENCE_SECONDS`: then what waits is asked for beside them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from time import monotonic
from typing import Final, Generic, TypeVar

from mycelium_fractal_net.security.errors import CustodianUnavailableError
from mycelium_fractal_net.security.key_providers.daemon_threads import DaemonThreads

AT_ONCE: Final = 2  # requests of a kind: one is on its way while the other is worked on
MOST: Final = 64  # calls in a request
PATIENCE_SECONDS: Final = 0.01

_T = TypeVar("_T")
_R = TypeVar("_R")


class _Call(Generic[_T, _R]):
    """What one caller asks, by when, and what comes of it, once ``answered`` can be acquired."""

    __slots__ = ("answered", "end", "error", "item", "result")

    def __init__(self, item: _T, end: float) -> None:
        self.item = item
        self.end = end
        self.result: _R
        self.error: BaseException | None = None
        self.answered = threading.Lock()
        self.answered.acquire()


class _Kind(Generic[_T, _R]):
    """The calls that wait, the first first, and how many requests are under way.

    Those of before a stall, in which somebody lost his patience, are not counted any more.
    """

    __slots__ = ("stalls", "under_way", "waiting")

    def __init__(self) -> None:
        self.waiting: list[_Call[_T, _R]] = []
        self.under_way = 0
        self.stalls = 0


class Together(Generic[_T, _R]):
    """Makes calls by ``ask``, which gets a kind, items of it, and by when it must have ended.

    It returns as many results in the order of the items, or raises an error, which is everybody's.
    May be used from any thread; a child of this process needs one of its own.
    """

    def __init__(self, ask: Callable[[Hashable, list[_T], float], list[_R]]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._kinds: dict[Hashable, _Kind[_T, _R]] = {}
        self._threads = DaemonThreads("mfn-together")

    def call(self, name: Hashable, item: _T, end: float) -> _R:
        """What comes of ``item``, at ``end`` at the latest, by the monotonic clock.

        Raises what ``ask`` does, and :class:`CustodianUnavailableError`.
        """
        with self._lock:
            kind = self._kinds.get(name)
            if kind is None:
                kind = self._kinds[name] = _Kind()
            stalls = kind.stalls
            if goes := kind.under_way < AT_ONCE:
                kind.under_way += 1
            else:
                mine: _Call[_T, _R] = _Call(item, end)
                kind.waiting.append(mine)
        if not goes:
            return self._outcome(name, kind, mine)
        try:
            return self._ask(name, [item], end)[0]
        finally:
            if some := self._next(name, kind, stalls):
                self._begin(name, kind, stalls, some)

    def _outcome(self, name: Hashable, kind: _Kind[_T, _R], mine: _Call[_T, _R]) -> _R:
        left = mine.end - monotonic()
        if not mine.answered.acquire(timeout=max(0.0, min(PATIENCE_SECONDS, left))):
            self._go_beside(name, kind, mine)
            if not mine.answered.acquire(timeout=max(0.0, mine.end - monotonic())):
                raise CustodianUnavailableError("the custodian does not answer in time")
        if mine.error is not None:
            raise mine.error
        return mine.result

    def _go_beside(self, name: Hashable, kind: _Kind[_T, _R], mine: _Call[_T, _R]) -> None:
        """Have all that wait asked for beside what does not end, if that call still waits."""
        with self._lock:
            if mine not in kind.waiting:
                return
            if monotonic() >= mine.end:
                kind.waiting.remove(mine)
                return
            kind.stalls += 1
            kind.under_way = 1
            stalls, some = kind.stalls, _taken(kind)
        self._begin(name, kind, stalls, some)

    def _begin(
        self, name: Hashable, kind: _Kind[_T, _R], stalls: int, some: list[_Call[_T, _R]]
    ) -> None:
        self._threads.start(lambda: self._work(name, kind, stalls, some))

    def _work(
        self, name: Hashable, kind: _Kind[_T, _R], stalls: int, some: list[_Call[_T, _R]]
    ) -> None:
        """Ask for those, and then for what waits by then, until nothing does."""
        while some:
            try:
                end = max(each.end for each in some)
                results = self._ask(name, [each.item for each in some], end)
                for each, result in zip(some, results, strict=True):
                    each.result = result
            except BaseException as error:
                for each in some:
                    each.error = error
            for each in some:
                each.answered.release()
            some = self._next(name, kind, stalls)

    def _next(self, name: Hashable, kind: _Kind[_T, _R], stalls: int) -> list[_Call[_T, _R]]:
        """What waits, after a request of that count of stalls has ended."""
        with self._lock:
            if kind.stalls != stalls:  # others have taken over
                return []
            if kind.waiting:
                return _taken(kind)
            kind.under_way -= 1
            if not kind.under_way:
                del self._kinds[name]
            return []


def _taken(kind: _Kind[_T, _R]) -> list[_Call[_T, _R]]:
    """The first of those that wait, which wait no more."""
    some = kind.waiting[:MOST]
    del kind.waiting[:MOST]
    return some
