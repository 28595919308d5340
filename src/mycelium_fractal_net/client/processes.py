"""What a process that forks must not share with its child."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OfProcess"]

T = TypeVar("T")


class OfProcess(Generic[T]):
    """One thing for each process, such as a lock: a child would wait for ever for one that a
    thread of its parent held when it was forked. Threads may ask at once.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: dict[int, T] = {}

    def __call__(self) -> T:
        """That of this process."""
        process = os.getpid()
        if process not in self._made:
            self._made.setdefault(process, self._make())
        return self._made[process]
