"""One request at work: who calls, what is recorded of it, and where its work runs."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import Security
from fastapi.security import APIKeyHeader

from mycelium_fractal_net.api.http.problems import RequestError
from mycelium_fractal_net.api.http.request_ids import new_request_id
from mycelium_fractal_net.api.service.costs import INLINE_SECONDS, THREAD_SECONDS, XOR_SECONDS
from mycelium_fractal_net.security.audit import Event, acting_as, serve_request
from mycelium_fractal_net.security.blocking import (
    WouldBlockError,
    about_to_block,
    about_to_compute,
)
from mycelium_fractal_net.security.errors import (
    AuthenticationError,
    InvalidSignatureError,
    KeyNotFoundError,
    MfnError,
    RequestSignatureError,
    kind_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.api.endpoints.spec import Spec
    from mycelium_fractal_net.api.http.deprecation import Deprecated
    from mycelium_fractal_net.api.http.exchange import Exchange
    from mycelium_fractal_net.api.http.requests import Headers
    from mycelium_fractal_net.api.service.service import Service
    from mycelium_fractal_net.security.directories.callers import Caller
    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from mycelium_fractal_net.security.records.api_keys import PresentedKey

RECHECK_SECONDS: Final = 2.0
"""What takes longer looks again at who asked for it."""
API_KEY: Final = APIKeyHeader(
    name="X-API-Key", scheme_name="ApiKey", description="`mfn_<id>_<secret>`", auto_error=False
)


class Context:
    """One request. What a handler learns of it is kept here for the audit record."""

    __slots__ = ("address", "admitted_at", "are_items_counted", "caller_or_none", "deprecated",
                 "event",
                 "exchange", "headers", "is_abandoned", "items", "key", "presented", "reference",
                 "request_id", "seconds", "service", "signer", "spec", "status",
                 "subject")  # fmt: skip

    def __init__(self, service: Service, event: str, exchange: Exchange | None) -> None:
        self.service = service
        self.event = event
        self.exchange = exchange
        self.request_id = new_request_id()
        serve_request(self.request_id)
        self.status: int | None = None  # where it is not that of the route
        self.headers: Headers | None = None
        self.caller_or_none: Caller | None = None
        self.deprecated: Deprecated | None = None  # what the request used
        self.presented: PresentedKey | None = None
        self.spec: Spec | None = None  # of a route that not every caller may take
        self.admitted_at = 0.0
        self.key: str | None = None
        self.subject: str | None = None
        self.signer: str | None = None
        self.address = ""  # of the client, where rates are counted
        self.are_items_counted = False
        self.is_abandoned = False  # its client has gone: nobody waits for an answer
        self.seconds = XOR_SECONDS  # of a processor, where the request is too much for a thread
        self.reference: str | None = None
        self.items: dict[str, dict[str, int]] | None = None

    @property
    def caller(self) -> Caller:
        """Who calls; of a public route nobody does, and no handler asks."""
        caller = self.caller_or_none
        if caller is None:
            raise RequestError("bad-request", "this route knows no caller")
        return caller

    @property
    def keyring(self) -> Keyring:
        """The keyring. Raises :class:`RequestError` where cryptography is switched off."""
        return self.service.keyring

    @property
    def provider(self) -> StoredKeyProvider:
        """What changes the store, and reads it."""
        return self.service.keyring.provider

    def admit(self, presented: PresentedKey) -> Caller:
        """Find who calls. May block."""
        if self.signer is not None:  # whose body may have taken its time
            try:
                self.service.signers.by_name(self.signer)
            except InvalidSignatureError:
                raise RequestSignatureError from None
        caller = self.caller_or_none = self.service.directory.recognise(presented, self.signer)
        self.presented = presented
        self.admitted_at = monotonic()
        return caller

    def look_again(self) -> None:
        """Raise where the caller, or who signed for it, would not be accepted any more.

        What takes seconds asks this before it goes on; ``caller`` is then what it is now.
        """
        if self.presented is None:
            return
        self.admit(self.presented)
        self.check_route()

    @property
    def is_due_again(self) -> bool:
        """Whether its caller was accepted so long ago that it is looked at again."""
        return self.presented is not None and monotonic() - self.admitted_at >= RECHECK_SECONDS

    def check_route(self) -> None:
        """Raise :class:`NotPermittedError` where the caller may not take its route at all."""
        spec = self.spec
        if spec is not None:
            self.caller.check(spec.scope)

    def permit(self, operation: str, key_name: str) -> None:
        """Raise :class:`KeyNotFoundError` unless the caller may do that with that key."""
        if not self.caller.may(operation, key_name):
            raise KeyNotFoundError("no such key, or this credential may not use it")

    def is_allowed(self, scope: str) -> bool:
        """On a public route: whether an accepted API key with that scope came along."""
        if self.headers is None or not self.headers.api_key:
            return False
        try:
            if self.signer is None and self.service.requires_signatures:
                return False  # unsigned it is not looked at: nobody learns here whether it is good
            return self.service.directory.authenticate(self.headers.api_key, self.signer).has(scope)
        except AuthenticationError as error:
            self.service.count_refusal(kind_of(error).slug)
        except (MfnError, RequestError, WouldBlockError):
            pass
        return False

    def about_to_take(self, seconds: float) -> None:
        """Raise :class:`WouldBlockError` in a thread that has no such time for one request.

        Called before anything is done, which is done again in another thread.
        """
        self.seconds = seconds
        if seconds > THREAD_SECONDS:
            about_to_compute()
        if seconds > INLINE_SECONDS:
            about_to_block()

    async def in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """What ``work`` returns, run in a thread on behalf of the caller."""
        return await self.service.executors.in_thread(self._on_behalf, work, arguments)

    async def scan(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """The same in the one thread for what searches files."""
        return await self.service.executors.scan(self._on_behalf, work, arguments)

    async def compute(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """The same in the one thread for what computes for long."""
        return await self.service.executors.compute(self.seconds, self._on_behalf, work, arguments)

    async def ask(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """The same in a thread for what has the custodian sign."""
        return await self.service.executors.ask(self._on_behalf, work, arguments)

    def _on_behalf(self, work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        if self.is_due_again:  # it waited for its turn
            self.look_again()
        caller = self.caller_or_none
        actor = "anonymous" if caller is None else caller.credential_id
        with acting_as(actor, self.request_id):
            return work(self, *arguments)

    def outcome(self, outcome: str, size: int | None = None) -> Event:
        """The audit record of the request: how it ended, or that it ``begun``."""
        caller = self.caller_or_none
        return Event(
            self.event,
            outcome,
            key=self.key,
            actor="anonymous" if caller is None else caller.credential_id,
            request=self.request_id,
            reference=self.reference,
            items=self.items,
            bytes=size,
            subject=self.subject,
            signer=self.signer,
        )


Authenticated = Annotated[Context, Security(API_KEY)]
"""The first parameter of a handler that needs a credential; the document says so."""


def _nobody() -> None: ...


Public = Annotated[Context, Security(_nobody)]
"""The first parameter of a handler that anybody may call."""
