"""What a custodian on another machine was asked, how that ended, and how long it took."""

from __future__ import annotations

import threading
from bisect import bisect_left
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from mycelium_fractal_net.security.errors import (
    CustodianDeniedError,
    CustodianUnavailableError,
    MasterKeyError,
    StoreIntegrityError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mycelium_fractal_net.security.key_providers.breaker import BreakerState

# Seconds: a server on this machine answers in one millisecond, AWS KMS in some ten.
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The upper bounds of the buckets of call times; one more has no bound."""


class Outcome(StrEnum):
    """How a call ended."""

    OK = "ok"
    UNAVAILABLE = "unavailable"
    DENIED = "denied"
    INTEGRITY = "integrity"
    OTHER = "other"
    NOT_ASKED = "not-asked"  # after outages in a row; it took no time


def outcome_of(error: BaseException) -> Outcome:
    """The outcome that an error is."""
    for kind, outcome in (
        (CustodianUnavailableError, Outcome.UNAVAILABLE),
        (CustodianDeniedError, Outcome.DENIED),
        (MasterKeyError, Outcome.DENIED),  # it is not there any more
        (StoreIntegrityError, Outcome.INTEGRITY),
    ):
        if isinstance(error, kind):
            return outcome
    return Outcome.OTHER


class Times(NamedTuple):
    """How long the calls of one name took: seconds in all, and how many in each bucket."""

    seconds: float
    buckets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CustodianStatistics:
    """What happened since the process began.

    ``calls`` counts by name and outcome, whatever attempts a call took; ``retries`` are those
    beyond the first. ``stuck_threads`` wait for an answer that nobody waits for any more.
    ``outage_seconds`` is how long the other side has not answered, zero where it does, and
    ``refuses`` says that the last call of some name was refused.
    """

    calls: Mapping[tuple[str, Outcome], int]
    times: Mapping[str, Times]
    retries: int
    stuck_threads: int
    breaker: BreakerState
    outage_seconds: float
    refuses: bool


class CallCounts:
    """Counts, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[tuple[str, Outcome], int] = {}
        self._seconds: dict[str, float] = {}
        self._buckets: dict[str, list[int]] = {}
        self.retries = 0
        self.stuck_threads = 0

    def note(self, name: str, outcome: Outcome, seconds: float | None = None) -> None:
        """A call ended so, after so many seconds; without where nobody was asked."""
        with self._lock:
            self._calls[name, outcome] = self._calls.get((name, outcome), 0) + 1
            if seconds is not None:
                self._seconds[name] = self._seconds.get(name, 0.0) + seconds
                found = self._buckets.setdefault(name, [0] * (len(BUCKETS) + 1))
                found[bisect_left(BUCKETS, seconds)] += 1

    def note_retry(self) -> None:
        """A call is tried once more."""
        with self._lock:
            self.retries += 1

    def note_stuck(self, more: int) -> None:
        """A thread was left to itself, or with -1 one of those ended."""
        with self._lock:
            self.stuck_threads += more

    def calls(self) -> dict[tuple[str, Outcome], int]:
        """Calls by name and outcome."""
        with self._lock:
            return dict(self._calls)

    def times(self) -> dict[str, Times]:
        """How long they took, by name."""
        with self._lock:
            return {
                name: Times(seconds, tuple(self._buckets[name]))
                for name, seconds in self._seconds.items()
            }
