"""When a request is sent again, and how long after.

Again only where that does no harm: see :attr:`~.steps.Request.repeatable`. The pauses are drawn
at random from none to a bound that doubles ("full jitter"), so that clients which failed together
do not come back together.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.client.problems import error_of_no_reply, error_of_reply, problem_of
from mycelium_fractal_net.client.replies import AttemptResult, NoReply, Reply
from mycelium_fractal_net.client.steps import Pause, Request
from mycelium_fractal_net.security.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_BUSY: Final = frozenset({429, 503})  # RFC 6585 section 4, RFC 9110 section 15.6.4
_FINAL: Final = frozenset({"disabled"})  # nobody switches cryptography on within seconds
_SECONDS: Final = re.compile("[0-9]{1,6}")  # Retry-After, RFC 9110 section 10.2.3; dates are not


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a request is tried, and for how long. Seconds.

    ``attempts`` counts the first one too: 1 tries nothing again. No attempt begins later than
    ``seconds`` after the first; a service that asks for more patience than is left is not asked
    again. The n-th pause is drawn from 0 to ``base * 2**n``, and to ``longest`` at most.
    """

    attempts: int = 5
    seconds: float = 30.0
    base: float = 0.1
    longest: float = 5.0

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= 100:
            raise InvalidInputError("attempts are 1 to 100")
        if not all(0 <= each < math.inf for each in (self.seconds, self.base, self.longest)):
            raise InvalidInputError("times are seconds, and not negative")

    def pause(self, failed: int, asked: float, random: float) -> float:
        """Seconds to wait after that many failures; ``asked`` is what the service asked for."""
        bound = min(self.longest, self.base * 2.0 ** (failed - 1))
        return asked + random * bound


def attempts(
    request: Request,
    retries: Retries,
    clock: Callable[[], float],
    random: Callable[[], float],
) -> Generator[Request | Pause, AttemptResult | None, Reply]:
    """Send until there is an answer. Raises the library's error for the last refusal.

    ``clock`` gives seconds that only grow, ``random`` numbers from 0 to 1.
    """
    started = clock()
    failed = 0
    while True:
        outcome = yield request
        if isinstance(outcome, Reply) and (outcome.status < 300 or outcome.status in request.also):
            return outcome
        failed += 1
        if outcome is None or not _may_repeat(request, outcome) or failed >= retries.attempts:
            break
        wait = retries.pause(failed, _retry_after(outcome), random())
        if clock() - started + wait > retries.seconds:
            break
        yield Pause(wait)
    if isinstance(outcome, Reply):
        raise error_of_reply(outcome)
    raise error_of_no_reply(outcome or NoReply("there was no answer", arrived=True))


def _may_repeat(request: Request, outcome: AttemptResult) -> bool:
    if isinstance(outcome, NoReply):
        return not outcome.lasting and (request.repeatable or not outcome.arrived)
    return request.repeatable and outcome.status in _BUSY and problem_of(outcome).slug not in _FINAL


def _retry_after(outcome: AttemptResult) -> float:
    """The seconds in the answer's Retry-After, 0 where there are none."""
    if isinstance(outcome, NoReply):
        return 0.0
    found = _SECONDS.fullmatch(outcome.headers.get("retry-after", "").strip())
    return 0.0 if found is None else float(found[0])
