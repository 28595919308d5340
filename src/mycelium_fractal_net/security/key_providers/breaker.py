"""Who did not answer several times in a row is left alone for a while: a circuit breaker."""

from __future__ import annotations

import threading
from enum import StrEnum
from time import monotonic
from typing import TYPE_CHECKING

from mycelium_fractal_net.security.errors import CustodianUnavailableError

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers.call_limits import CallLimits


class BreakerState(StrEnum):
    """Whether calls pass: all, none, or the one that sees whether it answers again."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """Counts outages in a row. May be used from any thread."""

    def __init__(self, limits: CallLimits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._outages = 0
        self._resting_until = 0.0
        self._tried = False

    @property
    def is_open(self) -> bool:
        """Whether there were as many outages in a row as open it."""
        return self._outages >= self._limits.outages_in_a_row

    @property
    def state(self) -> BreakerState:
        """See :class:`BreakerState`."""
        if not self.is_open:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if self._tried else BreakerState.OPEN

    def enter(self) -> None:
        """Let a call pass, or raise :class:`CustodianUnavailableError` at once.

        Once it has rested one is let through. Those who come meanwhile are told the same as before,
        and where that one does not come back the next is let through as late again.
        """
        with self._lock:
            if not self.is_open:
                return
            if monotonic() < self._resting_until:
                raise CustodianUnavailableError(
                    "the custodian did not answer a moment ago; it is asked again in a few seconds"
                )
            self._rest()
            self._tried = True

    def note_outage(self) -> None:
        """An attempt had no answer."""
        with self._lock:
            self._outages += 1
            self._rest()
            self._tried = False

    def note_answer(self) -> None:
        """An attempt was answered; a refusal is an answer."""
        with self._lock:
            self._outages = 0
            self._tried = False

    def _rest(self) -> None:
        self._resting_until = monotonic() + self._limits.rest_seconds
