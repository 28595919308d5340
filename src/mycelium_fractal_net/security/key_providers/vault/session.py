"""Requests with a token, which is renewed before it expires and had anew after that.

Of threads that need a token at once one logs in and the others get the same. Where a token has an
end, a thread of its own renews it after two thirds of its time, also while nobody asks for
anything; that ends with the session.
"""

from __future__ import annotations

import logging
import threading
import weakref
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.blocking import SingleFlight
from mycelium_fractal_net.security.errors import (
    CustodianDeniedError,
    MfnError,
)
from mycelium_fractal_net.security.key_providers.vault.logins import Held, auth_of, seconds_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mycelium_fractal_net.security.key_providers.vault.logins import Login
    from mycelium_fractal_net.security.key_providers.vault.transport import Answer, Transport

_LOG: Final = logging.getLogger(__name__)
_SERVES: Final = 200
_REFUSED: Final = 403
_YOUNG_SECONDS: Final = 1.0  # a token that is refused so soon is refused by a policy
_FIRST_LOOK_SECONDS: Final = 5.0  # a command is done by then, and asks for less
_AGAIN_SECONDS: Final = 5.0  # after a renewal that failed
_SOONEST_SECONDS: Final = 1.0
_SELDOM_SECONDS: Final = 60.0


class Session:
    """What is asked of one Vault, in one namespace, by one login."""

    def __init__(self, transport: Transport, login: Login, namespace: str | None = None) -> None:
        self.transport = transport
        self._login = login
        self._headers = {"X-Vault-Request": "true"}  # an agent or proxy asks for it, against SSRF
        if namespace is not None:
            self._headers["X-Vault-Namespace"] = namespace
        self._held: Held | None = None
        self._flights: SingleFlight[Held] = SingleFlight()
        self._stop = threading.Event()
        self._keeper: threading.Thread | None = None

    # Asking -------------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: object = None) -> Answer:
        """One request; after a 403 with another token, where there is one."""
        current = self._current()
        answer = self._send(current, method, path, body)
        if answer.status == _REFUSED:
            newer = self._another(current)
            if newer is not None:
                return self._send(newer, method, path, body)
        return answer

    def denied(self, path: str, capability: str) -> CustodianDeniedError:
        """The error for a 403 to a request: it says what the policy lacks, or that it is not it."""
        current = self._held
        if current is not None and not self._is_alive(current):
            return CustodianDeniedError(
                "Vault does not accept the token: it has expired, was revoked, or never was one"
            )
        return CustodianDeniedError(
            "Vault refuses: the policy of the token lacks"
            f' path "{path}" {{ capabilities = ["{capability}"] }}'
        )

    def _send(self, current: Held, method: str, path: str, body: object) -> Answer:
        headers = {"X-Vault-Token": current.token, **self._headers}
        return self.transport.call(method, path, headers, body)

    def _is_alive(self, current: Held) -> bool:
        return self._send(current, "GET", "auth/token/lookup-self", None).status == _SERVES

    @property
    def logs_in(self) -> bool:
        """Whether another token can be had at any time."""
        return self._login.repeatable

    # The token ----------------------------------------------------------------------------

    def _current(self) -> Held:
        current = self._held
        if current is None or (self._login.repeatable and monotonic() >= current.until):
            return self._obtain(current)
        return self._obtain(current) if self._login.changed() else current

    def _another(self, refused: Held) -> Held | None:
        """A token in place of one that was refused; None where the same would come, or a policy
        is what refuses it."""
        if not self._login.repeatable:
            newer = self._obtain(refused)
            return newer if newer.token != refused.token else None
        if monotonic() - refused.since < _YOUNG_SECONDS or self._is_alive(refused):
            return None
        return self._obtain(refused)

    def _obtain(self, before: Held | None) -> Held:
        """A token had anew, unless another thread has had one since ``before``."""

        def obtain() -> Held:
            if self._held is not None and self._held is not before:
                return self._held
            self._held = self._login.obtain(self._post)
            self._begin_to_keep()
            return self._held

        return self._flights.fetch("login", obtain)

    def _post(self, path: str, body: Mapping[str, str]) -> Answer:
        return self.transport.call("POST", path, self._headers, dict(body))

    # Keeping it ---------------------------------------------------------------------------

    def _begin_to_keep(self) -> None:
        if self._keeper is not None:
            return
        arguments = (weakref.ref(self), self._stop, min(_FIRST_LOOK_SECONDS, self._due_in()))
        self._keeper = threading.Thread(
            target=_keep, args=arguments, name="mfn-vault-token", daemon=True
        )
        weakref.finalize(self, self._stop.set)
        self._keeper.start()

    def _due_in(self) -> float:
        """The seconds until two thirds of its time are over."""
        current = self._held
        if current is None or not current.first_seconds:
            return _FIRST_LOOK_SECONDS
        due = current.since + (current.until - current.since) * 2 / 3
        return due - monotonic()

    def keep_token(self) -> float:
        """Renew the token, or have another, if it is time; returns when to look again, in seconds.

        It is called by the session's own thread.
        """
        current = self._held
        if current is None or (monotonic() >= current.until and not self._login.repeatable):
            return _SELDOM_SECONDS  # a token that was given has ended: nothing brings it back
        try:
            if not current.first_seconds:
                current = self._looked_up(current)
            if self._due_in() <= 0:
                self._renew(current)
        except MfnError as error:
            _LOG.warning("the token of Vault is not renewed: %s", error)
            return _AGAIN_SECONDS
        return min(max(_SOONEST_SECONDS, self._due_in()), _SELDOM_SECONDS)

    def _looked_up(self, current: Held) -> Held:
        """How long a token serves that was given."""
        began = monotonic()
        answer = self._send(current, "GET", "auth/token/lookup-self", None)
        data = answer.document.get("data")
        data = data if isinstance(data, dict) else {}
        seconds = seconds_of(data, "ttl") or float("inf")
        renewable = data.get("renewable") is True
        return self._put(current, Held(current.token, began, began + seconds, renewable, seconds))

    def _renew(self, current: Held) -> None:
        seconds = self._renewed_for(current) if current.renewable else 0.0
        # Near the end of its longest life a token is renewed for less and less, and then not.
        if self._login.repeatable and seconds <= current.first_seconds / 2:
            self._obtain(current)
        elif seconds:
            now = monotonic()
            self._put(current, replace(current, since=now, until=now + seconds))

    def _renewed_for(self, current: Held) -> float:
        answer = self._send(current, "POST", "auth/token/renew-self", {})
        return seconds_of(auth_of(answer.document), "lease_duration")

    def _put(self, before: Held, now: Held) -> Held:
        if self._held is before:
            self._held = now
        return now

    def stop_keeping(self) -> None:
        """End the thread: a token is had anew once it has ended."""
        self._stop.set()

    def close(self) -> None:
        """End the thread, and close the connections."""
        self.stop_keeping()
        self.transport.close()


def _keep(
    session: weakref.ReferenceType[Session], stop: threading.Event, first_seconds: float
) -> None:
    seconds = first_seconds
    while not stop.wait(seconds) and (there := session()) is not None:
        seconds = there.keep_token()
        del there  # which may be the last reference
