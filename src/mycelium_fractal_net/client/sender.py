"""Operations sent as one credential, again where that helps, and the renewal of its API key.

A key that was renewed and not kept is the danger here: the former one serves for the overlap
alone, and renewing it again would end it. So a new key is held until the caller's function has
kept it, and no other is asked for before.
"""

from __future__ import annotations

import logging
import math
import random
import re
import threading
import time
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from mycelium_fractal_net.client.credentials import API_KEY, rotate_own_credential
from mycelium_fractal_net.client.retries import Retries, attempts
from mycelium_fractal_net.client.steps import Callback, Pause, PerProcess, Request
from mycelium_fractal_net.security.errors import InvalidInputError, MfnError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.client.replies import AttemptResult, Reply
    from mycelium_fractal_net.client.steps import Effects, Steps

T = TypeVar("T")

_LOG: Final = logging.getLogger(__name__)
_API_KEY: Final = re.compile(API_KEY)
_DUE: Final = "x-api-key-rotation-due"
_RETRY_SECONDS: Final = 60.0  # after a renewal, or a function, that failed
_POLL_SECONDS: Final = 0.05  # between two looks whether another rotation has ended


class Sender:
    """What sends operations with an API key, and renews that where ``store`` keeps a new one.

    One request at a time renews; the others go on. Threads may share it.
    """

    def __init__(
        self, api_key: str, retries: Retries, store: Callable[[str], None] | None = None
    ) -> None:
        self.clock: Callable[[], float] = time.monotonic
        self._random = random.SystemRandom().random
        self._retries = retries
        self._store = store
        self._unstored: str | None = None
        self._not_before = -math.inf
        self._rotation_lock = PerProcess(threading.Lock)  # held by whoever asks for a new API key
        self._send_from_now_on(api_key)

    def _send_from_now_on(self, api_key: str) -> None:
        if not isinstance(api_key, str) or _API_KEY.fullmatch(api_key) is None:
            raise InvalidInputError("an API key is a line of printable ASCII without spaces")
        self.api_key_header = ("X-API-Key", api_key)
        self._rotation_due = False  # the service has said that this key is to be rotated

    def perform(self, steps: Steps[T]) -> Effects[T]:
        """An operation with its retries, and the renewal of the API key after it."""
        result = yield from self._perform(steps)
        if self._is_time():
            yield from self._renew()
        return result

    def rotate(self, *, revoke_previous: bool) -> Effects[str]:
        """A new API key for the own credential, which is sent from then on, and kept.

        One at a time: of two the one that the service made first may end up as the one in use.
        """
        lock = self._rotation_lock()
        while not lock.acquire(blocking=False):
            yield Pause(_POLL_SECONDS)
        try:
            steps = rotate_own_credential(revoke_previous=revoke_previous)
            api_key = yield from self._perform(steps)
            self._send_from_now_on(api_key)
            if self._store is not None:
                yield from self._store_key(api_key, self._store)
        finally:
            lock.release()
        return api_key

    def finish(self) -> Effects[None]:
        """Have a new key kept that could not be kept before."""
        if self._unstored is not None and self._store is not None:
            yield from self._store_key(self._unstored, self._store)

    def _perform(self, steps: Steps[T]) -> Effects[T]:
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
                    self._rotation_due = True  # and not that of a key that was renewed meanwhile
                return reply
            if isinstance(effect, Request):
                sent = self.api_key_header
                effect = replace(effect, headers=(sent, *effect.headers))
            answer = yield effect
            if isinstance(answer, Exception):
                raise answer
            result = answer

    def _is_time(self) -> bool:
        wanted = self._rotation_due or self._unstored is not None
        return self._store is not None and wanted and self.clock() >= self._not_before

    def _renew(self) -> Effects[None]:
        """Renew and keep the key. Never raises: the result that it follows counts."""
        lock = self._rotation_lock()
        if not lock.acquire(blocking=False):
            return
        try:
            if self._store is None or not self._is_time():  # another thread has done it meanwhile
                return
            self._not_before = self.clock() + _RETRY_SECONDS
            if self._unstored is None:
                self._unstored = yield from self._perform(rotate_own_credential())
            yield from self._store_key(self._unstored, self._store)
        except MfnError as error:
            _LOG.warning("the API key is due and was not renewed: %s", error)
        finally:
            lock.release()

    def _store_key(self, api_key: str, store: Callable[[str], None]) -> Effects[None]:
        """Have the caller's function keep a key, and use it from then on."""
        self._unstored = api_key
        failed = yield Callback(lambda: store(api_key))
        if isinstance(failed, Exception):
            # Its text may quote the key, which is what it was called with.
            _LOG.error(
                "a new API key could not be kept: %s; it is tried again", type(failed).__name__
            )
            return
        self._send_from_now_on(api_key)
        self._unstored = None
