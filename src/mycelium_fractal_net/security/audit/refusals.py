"""Refusals before authentication, summed up: a stranger must not be able to fill the disk."""

from __future__ import annotations

import threading
import time
from typing import Final

from mycelium_fractal_net.security.audit.events import Event

_SECONDS: Final = 1.0  # between two records
_MOST_REASONS: Final = 64
_OTHER: Final = "other"


class Refusals:
    """Counts by reason, at most :data:`_MOST_REASONS` of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._next = 0.0

    def count(self, reason: str) -> bool:
        """Count one; returns whether it is the first of those that are summed up."""
        with self._lock:
            first = not self._counts
            if reason not in self._counts and len(self._counts) >= _MOST_REASONS:
                reason = _OTHER
            self._counts[reason] = self._counts.get(reason, 0) + 1
            return first

    def patience(self) -> float | None:
        """Seconds until a record is due; None where nothing was counted."""
        return max(0.0, self._next - time.monotonic()) if self._counts else None

    def due(self, *, at_once: bool) -> Event | None:
        """The record that is due, or ``at_once`` if there is anything to tell."""
        now = time.monotonic()
        with self._lock:
            if not self._counts or (now < self._next and not at_once):
                return None
            counts, self._counts = self._counts, {}
            self._next = now + _SECONDS
        return Event("refused", "unauthenticated", actor="anonymous", items={"-": counts})
