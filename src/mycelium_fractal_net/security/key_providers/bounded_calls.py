"""Calls to another machine that end in time, whatever it does.

A call has a deadline over all that it takes, attempts included, however long the other side leaves
a connection open. Each attempt is made in a thread that is left to itself when time is up: a server
that sends a byte a second holds it for minutes, and no call in a library can be interrupted. Those
that were left keep no other call waiting, and there are not many of them.

- Signatures have slots of their own: who asks for many of them does not keep a key from being
  unwrapped.
- An outage is tried again after a random pause, a few times. A refusal is not. After several
  outages in a row nobody is asked for a while (:mod:`.breaker`).
- What looks like an edited row is asked for once more: an answer that was for somebody else looks
  the same, and does not come twice.
- An error that is not one of this package's is an outage, and of its text nothing is shown: some
  hold the plaintext keys of a batch.
"""

from __future__ import annotations

import random
import threading
from concurrent.futures import Future, wait
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final, TypeVar

from mycelium_fractal_net.security.errors import (
    CustodianUnavailableError,
    MfnError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_providers.breaker import Breaker
from mycelium_fractal_net.security.key_providers.call_statistics import (
    CallCounts,
    CustodianStatistics,
    Outcome,
    outcome_of,
)
from mycelium_fractal_net.security.key_providers.daemon_threads import DaemonThreads
from mycelium_fractal_net.security.key_providers.outage_log import OutageLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.security.key_providers.call_limits import CallLimits

_T = TypeVar("_T")
_LONGEST_PAUSE: Final = 1.0  # seconds between two attempts


class BoundedCalls:
    """Makes calls within ``limits``, counts them, and tells of outages in the name of ``name``."""

    def __init__(self, limits: CallLimits, name: str = "") -> None:
        self.limits = limits
        self.told = OutageLog(name)
        self._breaker = Breaker(limits)
        self._counts = CallCounts()
        self._threads = DaemonThreads("mfn-custodian")
        self._slots = threading.BoundedSemaphore(limits.threads)
        self._signing_slots = threading.BoundedSemaphore(limits.signing_threads)

    def end(self) -> float:
        """When a call that begins now must have ended, by the monotonic clock."""
        return monotonic() + self.limits.deadline_seconds

    def statistics(self) -> CustodianStatistics:
        """What happened so far."""
        return CustodianStatistics(
            calls=self._counts.calls(),
            times=self._counts.times(),
            retries=self._counts.retries,
            stuck_threads=self._counts.stuck_threads,
            breaker=self._breaker.state,
            outage_seconds=self.told.outage_seconds,
            refuses=self.told.refuses,
        )

    def run(
        self,
        name: str,
        call: Callable[[], _T],
        end: float,
        *,
        signs: bool = False,
        attempts: int | None = None,
    ) -> _T:
        """What ``call`` returns, at ``end`` at the latest. Raises what it does, or an outage.

        ``name`` is by what it is counted: ``unwrap``. ``signs`` takes a slot of the signatures, and
        with ``attempts`` it is asked so often at most.
        """
        slots = self._signing_slots if signs else self._slots
        try:
            self._breaker.enter()
        except CustodianUnavailableError:
            self._counts.note(name, Outcome.NOT_ASKED)
            raise
        begun = monotonic()
        try:
            found = self._attempts(call, end, slots, attempts or self.limits.attempts)
        except MfnError as error:
            outcome = outcome_of(error)
            self._counts.note(name, outcome, monotonic() - begun)
            if outcome is Outcome.UNAVAILABLE:
                self.told.note_outage(str(error))
            elif outcome is Outcome.DENIED:
                self.told.note_refusal(name, str(error))
            raise
        self._counts.note(name, Outcome.OK, monotonic() - begun)
        self.told.note_success(name)
        return found

    def _attempts(
        self,
        call: Callable[[], _T],
        end: float,
        slots: threading.BoundedSemaphore,
        attempts: int,
    ) -> _T:
        pause, doubted = self.limits.first_pause_seconds, False
        for left in reversed(range(attempts)):
            try:
                found = self._attempt(call, end, slots)
            except CustodianUnavailableError:
                self._breaker.note_outage()
                waits = random.uniform(0, pause)  # noqa: S311 - it hides nothing
                if not left or monotonic() + waits >= end or self._breaker.is_open:
                    raise
                sleep(waits)
                pause = min(2 * pause, _LONGEST_PAUSE)
            except StoreIntegrityError:
                self._breaker.note_answer()
                if doubted or not left:
                    raise
                doubted = True
            except MfnError:
                self._breaker.note_answer()  # a refusal is an answer
                raise
            else:
                self._breaker.note_answer()
                return found
            self._counts.note_retry()
        raise AssertionError("the last attempt returns or raises")  # pragma: no cover

    def _attempt(self, call: Callable[[], _T], end: float, slots: threading.BoundedSemaphore) -> _T:
        if self._counts.stuck_threads >= self.limits.stuck_threads or not slots.acquire(
            timeout=max(0.0, end - monotonic())
        ):
            raise CustodianUnavailableError(
                "the custodian does not answer, and as many wait for it as may"
            )
        answer: Future[_T] = Future()
        held = threading.Lock()

        def release() -> None:
            if held.acquire(blocking=False):  # once, by whoever is first
                slots.release()

        def ask() -> None:
            try:
                answer.set_result(call())
            except BaseException as error:
                answer.set_exception(error)
            finally:
                release()

        self._threads.start(ask)
        if not wait((answer,), timeout=max(0.0, end - monotonic())).done:
            self._counts.note_stuck(1)
            answer.add_done_callback(lambda _: self._counts.note_stuck(-1))
            release()
            raise CustodianUnavailableError(
                f"the custodian does not answer within {_seconds(self.limits.deadline_seconds)}"
            )
        try:
            return answer.result()
        except MfnError:
            raise
        except Exception as error:
            raise CustodianUnavailableError(
                f"the custodian does not answer ({type(error).__name__})"
            ) from None


def _seconds(number: float) -> str:
    return "1 second" if number == 1 else f"{number:g} seconds"
