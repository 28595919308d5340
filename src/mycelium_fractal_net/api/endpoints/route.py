"""How every route runs: authenticate, read strictly, do, record, answer.

FastAPI describes an operation and routes to it; what happens then is here, in plain ASGI, since
its own path through a request costs several times the cryptography. There is one such path.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin, get_type_hints

from fastapi.params import Query
from fastapi.routing import APIRoute

from mycelium_fractal_net.api.endpoints.access_log import SERVED
from mycelium_fractal_net.api.endpoints.context import Context
from mycelium_fractal_net.api.http.exchange import exchange_of
from mycelium_fractal_net.api.http.problems import RequestError
from mycelium_fractal_net.api.http.requests import Headers, read_body, read_headers
from mycelium_fractal_net.api.http.responses import (
    log_unexpected,
    send_problem,
    send_whole,
    to_json,
)
from mycelium_fractal_net.api.parsing.query_string import query_decoder
from mycelium_fractal_net.api.parsing.strict_json import decoder
from mycelium_fractal_net.api.rate_limits.middleware import ADDRESS, take
from mycelium_fractal_net.api.service.costs import INLINE_BYTES
from mycelium_fractal_net.security.blocking import (
    WouldAskError,
    WouldBlockError,
    WouldComputeError,
)
from mycelium_fractal_net.security.errors import AuditUnavailableError, kind_of
from mycelium_fractal_net.security.records.api_keys import parse
from mycelium_fractal_net.security.request_signing import PRESENTED, SIGNER

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Receive, Scope, Send

    from mycelium_fractal_net.api.endpoints.spec import Spec
    from mycelium_fractal_net.api.service.service import Service

_JSON_TYPES: Final = frozenset({b"application/json", b"application/json; charset=utf-8"})


class ServiceRoute(APIRoute):
    """A route: described by FastAPI, run by :meth:`run`."""

    def __init__(self, spec: Spec, service: Service, **described: Any) -> None:
        super().__init__(
            spec.path,
            spec.endpoint,
            methods=[spec.method],
            response_model=spec.response,
            status_code=spec.status,
            tags=[spec.tag],
            operation_id=spec.endpoint.__name__,
            **described,
        )
        self.spec = spec
        self.service = service
        self.is_unsigned = spec.public or spec.name in service.settings.server.unsigned_routes
        self.app = self.run
        self._endpoint = spec.endpoint
        self._is_checked = spec.scope is not None or spec.changes
        self._media_type = spec.media_type.encode()
        self._body: Callable[[bytes], Any] | None = None
        self._query: Callable[[bytes], Any] | None = None
        self._path: list[str] = []
        self._optional_body = self._has_reference = False
        self._read_signature(spec.endpoint)

    def _read_signature(self, endpoint: Callable[..., Any]) -> None:
        hints = get_type_hints(endpoint, include_extras=True)
        for name, parameter in list(inspect.signature(endpoint).parameters.items())[1:]:
            hint = hints[name]
            if any(isinstance(each, Query) for each in get_args(hint)[1:]):
                self._query = query_decoder(get_args(hint)[0])
            elif name == "body":
                self._optional_body = parameter.default is None
                kind = get_args(hint)[0] if get_origin(hint) is not None else hint
                self._body = decoder(kind)
                self._has_reference = "reference" in kind.model_fields
            else:
                self._path.append(name)

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; an ASGI application."""
        started = perf_counter()
        service, spec = self.service, self.spec
        context = Context(service, spec.event, exchange_of(scope))
        context.signer = scope.get(SIGNER)
        if SERVED in scope:
            scope[SERVED].context = context
        try:
            headers = context.headers = read_headers(scope)
            if not spec.public:
                await self._admit(context, scope, headers)
                if self._is_checked:
                    context.spec = spec
                    context.check_route()
            body = self._whole_body(context, headers)
            if body is None:
                body = await self._read(headers, receive)
                if body is None:
                    return
                if context.is_due_again:  # the body took its time
                    try:
                        context.look_again()
                    except WouldBlockError:
                        await context.in_thread(Context.look_again)
            if spec.scans:
                payload = await self._scan(context, scope, receive)
            elif spec.in_thread or len(body) > INLINE_BYTES:
                payload = await self._beside(context, scope, body)
            else:
                try:
                    payload = self._perform(context, scope, body)
                except WouldBlockError as refused:
                    payload = await self._beside(context, scope, body, refused)
            if spec.recorded:
                await service.durability.record(context.outcome("ok"))
        except Exception as error:
            await self._refuse(context, error, send, started)
            return
        status = context.status or spec.status
        caller = context.caller_or_none
        more: tuple[tuple[bytes, bytes], ...] = ()
        if caller is not None and caller.due:
            more = ((b"x-api-key-rotation-due", caller.due_text.encode()),)
        if context.deprecated is not None:
            more += context.deprecated.headers()
        await send_whole(
            context.exchange, send, status, self._media_type, context.request_id, payload, more
        )
        service.metrics.observe(spec.event, status, perf_counter() - started)

    async def _admit(self, context: Context, scope: Scope, headers: Headers) -> None:
        """Find the caller, and count it."""
        service = self.service
        presented = scope.get(PRESENTED) or parse(headers.api_key)
        try:
            caller = context.admit(presented)
        except WouldBlockError:  # the store has to be read first
            caller = await service.executors.in_thread(context.admit, presented)
        rates = service.rates
        if rates is not None:
            context.address = scope.get(ADDRESS, "")
            if rates.requests_per_credential is not None:
                rate = rates.requests_per_credential
                await take(rate, caller.credential_id, service.executors.in_thread)

    def _whole_body(self, context: Context, headers: Headers) -> bytes | None:
        """The body if all of it is here already, None where it has to be read."""
        if self._body is None:
            return None if headers.announces_body else b""
        exchange = context.exchange
        body = None if exchange is None else exchange.whole_body()
        if body is None or len(body) > self.service.max_body_bytes:
            return None
        self._check_media_type(headers, body)
        return body

    async def _read(self, headers: Headers, receive: Receive) -> bytes | None:
        """The body, None where the client went away. Raises :class:`RequestError`."""
        if self._body is None:
            return await read_body(receive, None, 0)
        body = await read_body(receive, headers.content_length, self.service.max_body_bytes)
        if body is not None:
            self._check_media_type(headers, body)
        return body

    def _check_media_type(self, headers: Headers, body: bytes) -> None:
        if headers.content_type.lower() not in _JSON_TYPES and (body or not self._optional_body):
            raise RequestError("unsupported-media-type", "the body must be application/json")

    def _arguments(self, scope: Scope, body: bytes) -> list[Any]:
        arguments: list[Any] = [scope["path_params"][name] for name in self._path]
        if self._body is not None:
            arguments.append(None if self._optional_body and not body else self._body(body))
        if self._query is not None:
            arguments.append(self._query(scope["query_string"]))
        elif scope["query_string"]:
            raise RequestError("bad-request", "this route takes no query parameters")
        return arguments

    async def _scan(self, context: Context, scope: Scope, receive: Receive) -> bytes:
        """:meth:`_perform` where it may read for long, and ends early where the client goes."""

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            context.is_abandoned = True

        watching = asyncio.ensure_future(watch())
        try:
            payload: bytes = await context.scan(self._perform, scope, b"")
        finally:
            watching.cancel()
        return payload

    async def _beside(
        self, context: Context, scope: Scope, body: bytes, refused: WouldBlockError | None = None
    ) -> bytes:
        """:meth:`_perform` in the thread for it: one that may wait, compute, or have signed."""
        payload: bytes
        try:
            if isinstance(refused, WouldAskError):
                raise refused
            if not isinstance(refused, WouldComputeError):
                with contextlib.suppress(WouldComputeError):
                    payload = await context.in_thread(self._perform, scope, body)
                    return payload
            payload = await context.compute(self._perform, scope, body)
        except WouldAskError:
            payload = await context.ask(self._perform, scope, body)
        return payload

    def _perform(self, context: Context, scope: Scope, body: bytes) -> bytes:
        """From the body to the body of the answer."""
        arguments = self._arguments(scope, body)
        if self._has_reference:
            context.reference = arguments[-1].reference
        answer = self._endpoint(context, *arguments)
        if self.spec.changes:
            context.keyring.refresh()  # at once in this process; others follow within seconds
        if isinstance(answer, bytes):
            return answer
        if context.reference is not None:
            answer["reference"] = context.reference
        return to_json(answer)

    async def _refuse(self, context: Context, error: Exception, send: Send, started: float) -> None:
        """Record a refusal and answer it; a stranger's is only counted, and waits for nothing."""
        service = self.service
        kind = kind_of(error)
        if kind.status == 500:
            log_unexpected(error, context.request_id)
        if context.caller_or_none is None:
            service.count_refusal(kind.slug)
        else:
            try:
                await service.durability.record(context.outcome(kind.slug))
            except AuditUnavailableError as unavailable:
                error, kind = unavailable, kind_of(unavailable)
        await send_problem(error, context.exchange, send, context.request_id)
        service.metrics.observe(self.spec.event, kind.status, perf_counter() - started)
