"""Counts in the memory of this process, for the `limits` library.

Its own storage of this kind starts a thread every few milliseconds, and looks through every count
each time; here the counts are bounded, and those that ended go when there are too many.
"""

from __future__ import annotations

import threading
import time
from typing import Final

from limits.storage import Storage

_MOST: Final = 100_000  # identities that are counted at a time


class Windows(Storage):
    """Counts by key, each until its window ends."""

    STORAGE_SCHEME = ["mfn-memory"]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    @property
    def base_exceptions(self) -> type[Exception]:
        """What can go wrong; nothing does."""
        return ValueError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add to a count, which ends ``expiry`` seconds after it began."""
        now = time.time()
        with self._lock:
            count, until = self._counts.get(key, (0, 0.0))
            if now >= until:
                count, until = 0, now + expiry
                if len(self._counts) >= _MOST:
                    self._make_room(now)
            self._counts[key] = count + amount, until
            return count + amount

    def _make_room(self, now: float) -> None:
        self._counts = {key: each for key, each in self._counts.items() if each[1] > now}
        if len(self._counts) >= _MOST:  # they all run: the oldest half is counted anew
            for key in list(self._counts)[: _MOST // 2]:
                del self._counts[key]

    def get(self, key: str) -> int:
        """A count."""
        count, until = self._counts.get(key, (0, 0.0))
        return count if time.time() < until else 0

    def get_expiry(self, key: str) -> float:
        """When a count ends, in Unix seconds."""
        return self._counts.get(key, (0, time.time()))[1]

    def check(self) -> bool:
        """Whether it works."""
        return True

    def reset(self) -> int:
        """Forget all counts; returns how many there were."""
        count = len(self._counts)
        self._counts.clear()
        return count

    def clear(self, key: str) -> None:
        """Forget a count."""
        self._counts.pop(key, None)
