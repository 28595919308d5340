"""How a client renews its own API key, once the service says that it is due.

A key that was renewed and not kept is the danger here: the former one serves for the overlap
alone, and renewing it again would end it. So a new key is held until the caller's function has
kept it, and no other is asked for before.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Final, TypeVar

from mycelium_fractal_net.client.credentials import rotate_own_credential
from mycelium_fractal_net.client.steps import Callback, Pause
from mycelium_fractal_net.security.errors import MfnError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.client.sender import Sender
    from mycelium_fractal_net.client.steps import Effects, Steps

T = TypeVar("T")

_LOG: Final = logging.getLogger(__name__)
_RETRY_SECONDS: Final = 60.0  # after a renewal, or a function, that failed
_POLL_SECONDS: Final = 0.05  # between two looks whether another rotation has ended


class RenewingSender:
    """A sender that renews its API key where there is a function that stores it.

    One request at a time renews; the others go on. Threads may share it.
    """

    def __init__(self, sender: Sender, store: Callable[[str], None] | None) -> None:
        self._sender = sender
        self._store = store
        self._unstored: str | None = None
        self._not_before = -math.inf

    def perform(self, steps: Steps[T]) -> Effects[T]:
        """An operation with its retries, and the renewal of the API key after it."""
        result = yield from self._sender.perform(steps)
        if self._is_time():
            yield from self._renew()
        return result

    def rotate(self, *, revoke_previous: bool) -> Effects[str]:
        """A new API key for the own credential, which is sent from then on, and kept.

        One at a time: of two the one that the service made first may end up as the one in use.
        """
        lock = self._sender.rotation_lock()
        while not lock.acquire(blocking=False):
            yield Pause(_POLL_SECONDS)
        try:
            steps = rotate_own_credential(revoke_previous=revoke_previous)
            api_key = yield from self._sender.perform(steps)
            self._sender.set_api_key(api_key)
            if self._store is not None:
                yield from self._store_key(api_key, self._store)
        finally:
            lock.release()
        return api_key

    def finish(self) -> Effects[None]:
        """Have a new key kept that could not be kept before."""
        if self._unstored is not None and self._store is not None:
            yield from self._store_key(self._unstored, self._store)

    def _is_time(self) -> bool:
        wanted = self._sender.rotation_due or self._unstored is not None
        return self._store is not None and wanted and self._sender.clock() >= self._not_before

    def _renew(self) -> Effects[None]:
        """Renew and keep the key. Never raises: the result that it follows counts."""
        lock = self._sender.rotation_lock()
        if not lock.acquire(blocking=False):
            return
        try:
            if self._store is None or not self._is_time():  # another thread has done it meanwhile
                return
            self._not_before = self._sender.clock() + _RETRY_SECONDS
            if self._unstored is None:
                self._unstored = yield from self._new_key()
            if self._unstored is not None:
                yield from self._store_key(self._unstored, self._store)
        finally:
            lock.release()

    def _new_key(self) -> Effects[str | None]:
        try:
            return (yield from self._sender.perform(rotate_own_credential()))
        except MfnError as error:
            _LOG.warning("the API key is due and was not renewed: %s", error)
            return None

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
        self._sender.set_api_key(api_key)
        self._unstored = None
