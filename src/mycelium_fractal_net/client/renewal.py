"""How a client renews its own API key, once the service says that it is due.

A key that was renewed and not kept is the danger here: the former one serves for the overlap
alone, and renewing it again would end it. So a new key is held until the caller's function has
kept it, and no other is asked for before.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.client.credentials import rotate_own_credential
from mycelium_fractal_net.client.steps import Work
from mycelium_fractal_net.security.errors import MfnError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from mycelium_fractal_net.client.session import Session
    from mycelium_fractal_net.client.steps import Flow, Outcome

__all__ = ["Renewal"]

_LOG: Final = logging.getLogger(__name__)
_AGAIN_SECONDS: Final = 60.0  # after a renewal, or a function, that failed


class Renewal:
    """Renews the API key of a session. One request at a time does; the others go on."""

    def __init__(self, session: Session, store: Callable[[str], None]) -> None:
        self._session = session
        self._store = store
        self._due = False
        self._unkept: str | None = None
        self._not_before = -math.inf

    def note_due(self) -> None:
        """The service has said that the key is due."""
        self._due = True

    def settled(self) -> Flow[None]:
        """Have a new key kept that could not be kept before."""
        if self._unkept is not None:
            yield from self.kept(self._unkept)

    def renewed(self) -> Flow[None]:
        """Renew and keep the key if that is due. Never raises: the result it follows counts."""
        rotating = self._session.rotating()
        if not self._is_time() or not rotating.acquire(blocking=False):
            return
        try:
            if not self._is_time():  # another thread has done it meanwhile
                return
            self._not_before = self._session.clock() + _AGAIN_SECONDS
            if self._unkept is None:
                self._unkept = yield from self._new_key()
            if self._unkept is not None:
                yield from self.kept(self._unkept)
        finally:
            rotating.release()

    def _is_time(self) -> bool:
        wanted = self._due or self._unkept is not None
        return wanted and self._session.clock() >= self._not_before

    def _new_key(self) -> Flow[str | None]:
        try:
            return (yield from self._session.tried(rotate_own_credential()))
        except MfnError as error:
            _LOG.warning("the API key is due and was not renewed: %s", error)
            return None

    def kept(self, api_key: str) -> Generator[Work, Outcome | Exception | None, None]:
        """Have the caller's function keep a key, and use it from then on."""
        self._unkept = api_key
        failed = yield Work(lambda: self._store(api_key))
        if isinstance(failed, Exception):
            # Its text may quote the key, which is what it was called with.
            _LOG.error(
                "a new API key could not be kept: %s; it is tried again", type(failed).__name__
            )
            return
        self._session.use(api_key)
        self._unkept = None
        self._due = False
