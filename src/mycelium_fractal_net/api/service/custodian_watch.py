"""What the service knows of a custodian on another machine: whether it answers, and how."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.api.service.metrics import (
    CUSTODIAN_BOUNDS,
    CUSTODIAN_BUCKET,
    CUSTODIAN_CALLS,
    CUSTODIAN_RETRIES,
    CUSTODIAN_SECONDS,
)
from mycelium_fractal_net.security.errors import MfnError
from mycelium_fractal_net.security.key_providers.breaker import BreakerState

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.key_providers.call_statistics import CustodianStatistics

_ASK_SECONDS: Final = 30.0  # between two calls that only see whether it answers
_ASK_AGAIN_SECONDS: Final = 5.0  # where it did not


class CustodianWatch:
    """Asks it now and then, from when it is made until :meth:`end`, and says how it is.

    Traffic asks for a key once in minutes: without, an outage is seen when a key is needed.
    """

    def __init__(
        self,
        provider: StoredKeyProvider,
        outage_seconds: float,
        *,
        seconds: float = _ASK_SECONDS,
        again_seconds: float = _ASK_AGAIN_SECONDS,
    ) -> None:
        self._provider = provider
        self._outage_seconds = outage_seconds
        self._seconds = seconds
        self._again_seconds = again_seconds
        self._stop = threading.Event()
        if provider.custodian.statistics() is not None:
            threading.Thread(target=self._run, name="mfn-custodian-watch", daemon=True).start()

    def _run(self) -> None:
        while not self._stop.wait(self._pause()):
            with suppress(MfnError):  # the log has it
                self._provider.custodian.ping()

    def _pause(self) -> float:
        found = self._provider.custodian.statistics()
        is_out = found is not None and found.outage_seconds > 0
        return self._again_seconds if is_out else self._seconds

    def backends(self) -> dict[str, str]:
        """Its state, of a custodian on another machine: ``ok``, ``refuses``, and where it is out
        ``riding-out`` for as long as keys in use serve on, then ``unavailable``."""
        found = self._provider.custodian.statistics()
        return {} if found is None else {"custodian": self._state(found)}

    def _state(self, found: CustodianStatistics) -> str:
        if found.outage_seconds >= self._outage_seconds and found.outage_seconds > 0:
            return "unavailable"
        if found.outage_seconds > 0:
            return "riding-out"
        return "refuses" if found.refuses else "ok"

    def states(self) -> dict[str, float]:
        """What of it metrics show of this process."""
        found = self._provider.custodian.statistics()
        if found is None:
            return {}
        return {
            "mfn_custodian_outage_seconds": found.outage_seconds,
            "mfn_custodian_refuses": float(found.refuses),
            "mfn_custodian_breaker_open": float(found.breaker is not BreakerState.CLOSED),
            "mfn_custodian_stuck_threads": float(found.stuck_threads),
            "mfn_custodian_key_age_seconds": self._provider.wrapping.longest_unconfirmed(),
        }

    def counts(self) -> dict[str, float]:
        """What was counted, by kind and labels."""
        found = self._provider.custodian.statistics()
        if found is None:
            return {}
        counts = {
            f"{CUSTODIAN_CALLS} {call} {outcome}": float(count)
            for (call, outcome), count in found.calls.items()
        }
        counts[CUSTODIAN_RETRIES] = float(found.retries)
        for call, times in found.times.items():
            counts[f"{CUSTODIAN_SECONDS} {call}"] = times.seconds
            for bound, count in zip(CUSTODIAN_BOUNDS, times.buckets, strict=True):
                counts[f"{CUSTODIAN_BUCKET} {call} {bound}"] = float(count)
        return counts

    def end(self) -> None:
        """Ask no more."""
        self._stop.set()
