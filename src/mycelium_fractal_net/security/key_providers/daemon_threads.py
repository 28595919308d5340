"""Threads that wait for another machine, and that nobody has to wait for.

A pool of the standard library waits at exit for threads that never end. These are daemons; one
that is idle is used again, since making one takes as long as the rest of a call here, and ends
after a while.
"""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    _Work = Callable[[], None]

_IDLE_SECONDS: Final = 5.0


class DaemonThreads:
    """As many as there is work at once; how much that may be is for the caller to bound."""

    def __init__(self, name: str, idle_seconds: float = _IDLE_SECONDS) -> None:
        self._name = name
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._idle: list[SimpleQueue[_Work]] = []

    def start(self, work: Callable[[], None]) -> None:
        """Have ``work`` done, which raises nothing."""
        with self._lock:
            found = self._idle.pop() if self._idle else None
        if found is None:
            found = SimpleQueue()
            threading.Thread(
                target=self._serve, args=(found,), name=self._name, daemon=True
            ).start()
        found.put(work)

    def _serve(self, queue: SimpleQueue[_Work]) -> None:
        while (work := self._next(queue)) is not None:
            work()
            del work  # and all that it holds
            with self._lock:
                self._idle.append(queue)

    def _next(self, queue: SimpleQueue[_Work]) -> _Work | None:
        """What there is to do next; None where it was idle for long."""
        try:
            return queue.get(timeout=self._idle_seconds)
        except Empty:
            with self._lock:
                if queue in self._idle:
                    self._idle.remove(queue)
                    return None
        return queue.get()  # somebody has chosen it in this moment
