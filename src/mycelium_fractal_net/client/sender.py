"""Operations sent as one credential, and again where that helps."""

from __future__ import annotations

import re
import threading
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from mycelium_fractal_net.client.credentials import API_KEY
from mycelium_fractal_net.client.retries import Retries, attempts
from mycelium_fractal_net.client.steps import PerProcess, Request
from mycelium_fractal_net.security.errors import InvalidInputError, MfnError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.client.replies import AttemptResult, Reply
    from mycelium_fractal_net.client.steps import Effects, Steps

T = TypeVar("T")

_API_KEY: Final = re.compile(API_KEY)
_DUE: Final = "x-api-key-rotation-due"


class Sender:
    """What sends operations with an API key. Threads may share it.

    ``clock`` gives seconds that only grow, ``random`` numbers from 0 to 1.
    """

    def __init__(
        self,
        api_key: str,
        retries: Retries,
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self.clock = clock
        self._retries = retries
        self._random = random
        self.rotation_lock = PerProcess(threading.Lock)  # held by whoever asks for a new API key
        self.set_api_key(api_key)

    def set_api_key(self, api_key: str) -> None:
        """Send that API key from now on. Raises :class:`InvalidInputError` for what is none."""
        if not isinstance(api_key, str) or _API_KEY.fullmatch(api_key) is None:
            raise InvalidInputError("an API key is a line of printable ASCII without spaces")
        self.api_key_header = ("X-API-Key", api_key)
        self.rotation_due = False  # the service has said that this key is to be rotated

    def perform(self, steps: Steps[T]) -> Effects[T]:
        """An operation with its retries."""
        go_on: Callable[[], Request] = partial(next, steps)
        with closing(steps):  # what it has to undo is undone also where it is left in the middle
            while True:
                try:
                    request = go_on()
                except StopIteration as end:
                    result: T = end.value
                    return result
                try:
                    reply = yield from self._attempts(request)
                except MfnError as error:
                    go_on = partial(steps.throw, error)
                else:
                    go_on = partial(steps.send, reply)

    def _attempts(self, request: Request) -> Effects[Reply]:
        trying = attempts(request, self._retries, self.clock, self._random)
        result: AttemptResult | None = None
        sent = self.api_key_header
        while True:
            try:
                effect = trying.send(result)
            except StopIteration as end:
                reply: Reply = end.value
                if _DUE in reply.headers and sent is self.api_key_header:
                    self.rotation_due = True  # and not that of a key that was renewed meanwhile
                return reply
            if isinstance(effect, Request):
                sent = self.api_key_header
                effect = replace(effect, headers=(sent, *effect.headers))
            answer = yield effect
            if isinstance(answer, Exception):
                raise answer
            result = answer
