"""Calls that come while another of their kind is under way, and go to the other side as one.

Nobody waits for others to come: a call is made at once while none is under way. Those that come
then wait for it to end, and all that wait by then are asked for in one request, which costs the
other side little more than one of them. Under load a request carries many, and a single caller
notices nothing.

One that does not end, as on a connection that fell silent, is waited for no longer than
:data:`PATIENCE_SECONDS`: then what waits is asked for beside it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from time import monotonic
from typing import Final, Generic, TypeVar

from mycelium_fractal_net.security.errors import CustodianUnavailableError
from mycelium_fractal_net.security.key_providers.daemon_threads import DaemonThreads

MOST: Final = 64  # calls in a request
PATIENCE_SECONDS: Final = 0.005  # longer than a request takes to a server nearby

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
    """The calls that wait for the request under way, the first first; there is one while this is.

    ``turn`` is the number of times that somebody lost patience: the request of an earlier turn is
    not waited for any more.
    """

    __slots__ = ("turn", "waiting")

    def __init__(self) -> None:
        self.waiting: list[_Call[_T, _R]] = []
        self.turn = 0

    def taken(self) -> list[_Call[_T, _R]]:
        """The first of those that wait, which wait no more."""
        some = self.waiting[:MOST]
        del self.waiting[:MOST]
        return some


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
            if kind is not None:
                mine: _Call[_T, _R] = _Call(item, end)
                kind.waiting.append(mine)
            else:
                first = self._kinds[name] = _Kind()
        if kind is not None:
            return self._outcome(name, kind, mine)
        try:
            return self._ask(name, [item], end)[0]
        finally:
            if some := self._next(name, first, 0):
                self._begin(name, first, 0, some)

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
            kind.turn += 1
            turn, some = kind.turn, kind.taken()
        self._begin(name, kind, turn, some)

    def _begin(
        self, name: Hashable, kind: _Kind[_T, _R], turn: int, some: list[_Call[_T, _R]]
    ) -> None:
        self._threads.start(lambda: self._work(name, kind, turn, some))

    def _work(
        self, name: Hashable, kind: _Kind[_T, _R], turn: int, some: list[_Call[_T, _R]]
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
            some = self._next(name, kind, turn)

    def _next(self, name: Hashable, kind: _Kind[_T, _R], turn: int) -> list[_Call[_T, _R]]:
        """What waits, after the request of that turn has ended."""
        with self._lock:
            if kind.turn != turn:  # another has taken over
                return []
            if not kind.waiting:
                del self._kinds[name]
            return kind.taken()
