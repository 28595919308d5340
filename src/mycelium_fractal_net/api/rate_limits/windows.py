"""Fixed windows in the memory of this process, at a bounded size.

The `limits` library's own storage of this kind starts a thread every few milliseconds, and looks
through every count each time.
"""

from __future__ import annotations

import threading
import time
from typing import Final

_MOST: Final = 100_000  # identities that are counted at a time


class Windows:
    """Counts by key, each until its window ends."""

    def __init__(self) -> None:
        self._counts: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def take(self, key: str, most: int, seconds: int, count: int) -> float:
        """Count, of at most ``most`` in a window of ``seconds``; returns 0.

        Where there are no more, for how many seconds; what was asked for is counted all the same.
        """
        now = time.monotonic()
        with self._lock:
            taken, until = self._counts.get(key, (0, 0.0))
            if now >= until:
                taken, until = 0, now + seconds
                if len(self._counts) >= _MOST:
                    self._make_room(now)
            self._counts[key] = taken + count, until
        return 0.0 if taken + count <= most else max(1.0, until - now)

    def _make_room(self, now: float) -> None:
        self._counts = {key: each for key, each in self._counts.items() if each[1] > now}
        if len(self._counts) >= _MOST:  # they all run: the oldest half is counted anew
            for key in list(self._counts)[: _MOST // 2]:
                del self._counts[key]
