"""What both clients share: where the service is, who calls, and how a request is tried."""

from __future__ import annotations

import ipaddress
import re
import threading
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import httpx

from mycelium_fractal_net.client.credentials import API_KEY, rotate_own_credential
from mycelium_fractal_net.client.processes import OfProcess
from mycelium_fractal_net.client.renewal import Renewal
from mycelium_fractal_net.client.retries import Retries, attempts
from mycelium_fractal_net.client.steps import Outcome, Pause, Reply, Request
from mycelium_fractal_net.security.errors import InvalidInputError, MfnError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from mycelium_fractal_net.client.steps import Flow, Steps

__all__ = ["Session", "checked_url"]

T = TypeVar("T")

_API_KEY: Final = re.compile(API_KEY)
_DUE: Final = "x-api-key-rotation-due"
_TURN_SECONDS: Final = 0.05  # between two looks whether another rotation has ended


class Session:
    """The state of a client. Threads may share it."""

    def __init__(
        self,
        url: httpx.URL,
        api_key: str,
        *,
        retries: Retries,
        store_api_key: Callable[[str], None] | None,
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self.url = url
        self.clock = clock
        self._retries = retries
        self._random = random
        self.rotating = OfProcess(threading.Lock)  # held by whoever asks for a new API key
        self.renewal = None if store_api_key is None else Renewal(self, store_api_key)
        self.use(api_key)

    def use(self, api_key: str) -> None:
        """Send that API key from now on. Raises :class:`InvalidInputError` for what is none."""
        if not isinstance(api_key, str) or _API_KEY.fullmatch(api_key) is None:
            raise InvalidInputError("an API key is a line of printable ASCII without spaces")
        self._api_key = api_key

    def headers(self, request: Request) -> list[tuple[str, str]]:
        """The headers of a request, the API key among them."""
        headers = [("X-API-Key", self._api_key), *request.headers]
        if request.body is not None:
            headers.append(("Content-Type", "application/json"))
        return headers

    def run(self, steps: Steps[T]) -> Flow[T]:
        """An operation with its retries, and the renewal of the API key after it."""
        result = yield from self.tried(steps)
        if self.renewal is not None:
            yield from self.renewal.renewed()
        return result

    def rotated(self, *, revoke_previous: bool) -> Flow[str]:
        """A new API key for the own credential, which is sent from then on, and kept.

        One at a time: of two the one that the service made first may end up as the one in use.
        """
        rotating = self.rotating()
        while not rotating.acquire(blocking=False):
            yield Pause(_TURN_SECONDS)
        try:
            api_key = yield from self.tried(rotate_own_credential(revoke_previous=revoke_previous))
            self.use(api_key)
            if self.renewal is not None:
                yield from self.renewal.kept(api_key)
        finally:
            rotating.release()
        return api_key

    def settled(self) -> Flow[None]:
        """What is left to do before the end."""
        if self.renewal is not None:
            yield from self.renewal.settled()

    def tried(self, steps: Steps[T]) -> Flow[T]:
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

    def _attempts(
        self, request: Request
    ) -> Generator[Request | Pause, Outcome | Exception | None, Reply]:
        trying = attempts(request, self._retries, self.clock, self._random)
        outcome: Outcome | None = None
        sent = ""
        while True:
            try:
                effect = trying.send(outcome)
            except StopIteration as end:
                reply: Reply = end.value
                if self.renewal is not None and _DUE in reply.headers and sent == self._api_key:
                    self.renewal.note_due()  # not of a key that was renewed meanwhile
                return reply
            sent = self._api_key
            answer = yield effect
            if isinstance(answer, Exception):
                raise answer
            outcome = answer


def checked_url(base_url: str, *, allow_plain_http: bool) -> httpx.URL:
    """The address of a service. Raises :class:`InvalidInputError`, which does not quote it.

    Without TLS whoever is on the way reads the API key and the plaintexts: only a loopback
    address may be reached so, unless that is allowed.
    """
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, TypeError, ValueError):
        url = httpx.URL()
    if url.scheme not in ("https", "http") or not url.host:
        raise InvalidInputError("the address of a service begins with https:// and names a host")
    if url.userinfo or url.query or url.fragment:
        raise InvalidInputError("the address of a service has no user, query or fragment")
    if url.scheme == "http" and not allow_plain_http and not _is_loopback(url.host):
        raise InvalidInputError(
            "http:// sends the API key in the clear: use https://, or allow_plain_http=True"
            " where the way to the service is safe"
        )
    return url


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
