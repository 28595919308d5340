"""What carries out the effects of an operation, with httpx: blocking, or awaited."""

from __future__ import annotations

import os
import ssl
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import anyio.to_thread
import httpx

from mycelium_fractal_net.client.duplex import DuplexTransport
from mycelium_fractal_net.client.failures import RAISED, Taken, failure_of
from mycelium_fractal_net.client.signing import RequestSigner
from mycelium_fractal_net.client.steps import Effect, Failure, Outcome, Pause, Request, Work
from mycelium_fractal_net.security.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from mycelium_fractal_net.client.session import Session
    from mycelium_fractal_net.client.steps import Flow, Steps

__all__ = ["AsyncRunner", "Options", "Runner"]

T = TypeVar("T")

# The service does not compress; and a body that is expanded here could be made to fill the memory.
_HEADERS: Final = {"Accept-Encoding": "identity", "Accept": "*/*"}
_CONNECT_SECONDS: Final = 5.0


class Options:
    """How connections are made. No environment variable is looked at: a proxy that one names
    would get the API key of a service on this machine.
    """

    def __init__(
        self,
        url: httpx.URL,
        timeout: float,
        auth: httpx.Auth | None,
        context: ssl.SSLContext | None,
    ) -> None:
        if not timeout > 0:
            raise InvalidInputError("a timeout is some seconds")
        if context is not None and (
            context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname
        ):
            raise InvalidInputError("a TLS context must verify certificates and their names")
        self.url = url
        self.auth = auth
        self.timeout = httpx.Timeout(timeout, connect=min(timeout, _CONNECT_SECONDS))
        self._context = context
        self._lock = threading.Lock()

    def context(self) -> ssl.SSLContext:
        """The TLS of this client; by default with the authorities that this machine trusts."""
        with self._lock:
            if self._context is None:
                self._context = ssl.create_default_context()
            return self._context

    def verify(self) -> ssl.SSLContext | bool:
        """What httpx is told to verify with; certificates are not read where there is no TLS."""
        return self.context() if self.url.scheme == "https" else True

    def of_client(self) -> dict[str, Any]:
        """What every client of httpx is told here."""
        return {
            "base_url": self.url,
            "headers": _HEADERS,
            "timeout": self.timeout,
            "auth": self.auth,
            "trust_env": False,
            "follow_redirects": False,
        }

    def stream_client(self) -> httpx.Client:
        """For one stream."""
        return httpx.Client(**self.of_client(), transport=DuplexTransport(self.context))


class _Streams:
    """Runs transfers; each has a connection of its own."""

    def __init__(self, session: Session, options: Options) -> None:
        self._session = session
        self._options = options

    def transfer(self, request: Request) -> Outcome:
        """One attempt at a request with a transfer."""
        assert request.transfer is not None  # noqa: S101 - the caller looked
        with self._options.stream_client() as http:

            def send(
                content: Iterator[bytes], headers: dict[str, str]
            ) -> AbstractContextManager[httpx.Response]:
                return http.stream(
                    request.method,
                    request.path,
                    params=request.query,
                    content=content,
                    headers=[*self._session.headers(request), *headers.items()],
                )

            auth = self._options.auth
            digest = auth.stream_digest if isinstance(auth, RequestSigner) else None
            return request.transfer.run(send, digest)


def _called(work: Work) -> Exception | None:
    try:
        work.function()
    except Exception as error:
        return error
    return None


class _Runner:
    """What both runners have."""

    def __init__(self, session: Session, options: Options) -> None:
        self.session = session
        self._options = options
        self._streams = _Streams(session, options)
        self._process = os.getpid()

    def _is_of_parent(self) -> bool:
        """Whether this process was forked since it was last asked: connections are its parent's."""
        former, self._process = self._process, os.getpid()
        return former != self._process

    def _arguments(self, request: Request) -> dict[str, Any]:
        """What httpx is told to send."""
        return {
            "method": request.method,
            "url": request.path,
            "params": request.query or None,
            "content": request.body,
            "headers": self.session.headers(request),
        }


class Runner(_Runner):
    """Blocks."""

    def __init__(
        self, session: Session, options: Options, transport: httpx.BaseTransport | None
    ) -> None:
        super().__init__(session, options)
        self._transport = transport
        self._http = self._connected()

    def _connected(self) -> httpx.Client:
        options = self._options
        return httpx.Client(
            **options.of_client(), verify=options.verify(), transport=self._transport
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def run(self, steps: Steps[T]) -> T:
        """The result of an operation."""
        return self.follow(self.session.run(steps))

    def follow(self, flow: Flow[T]) -> T:
        """Do as it says, to its end."""
        answer: Outcome | Exception | None = None
        with closing(flow):
            while True:
                try:
                    effect = flow.send(answer)
                except StopIteration as end:
                    result: T = end.value
                    return result
                answer = self._done(effect)

    def _done(self, effect: Effect) -> Outcome | Exception | None:
        if isinstance(effect, Pause):
            time.sleep(effect.seconds)
            return None
        if isinstance(effect, Work):
            return _called(effect)
        if effect.transfer is not None:
            return self._streams.transfer(effect)
        return self._exchange(effect)

    def _exchange(self, request: Request) -> Outcome:
        if self._is_of_parent():
            self._http = self._connected()
        failed: Failure
        try:
            with self._http.stream(**self._arguments(request)) as answer:
                taken = Taken(answer, request)
                for part in answer.iter_bytes():
                    taken.add(part)
                return taken.reply()
        except RAISED as error:
            failed = failure_of(error)
        return failed


class AsyncRunner(_Runner):
    """Is awaited, under asyncio or trio. Files and the caller's functions run in threads."""

    def __init__(
        self, session: Session, options: Options, transport: httpx.AsyncBaseTransport | None
    ) -> None:
        super().__init__(session, options)
        self._transport = transport
        self._http = self._connected()

    def _connected(self) -> httpx.AsyncClient:
        options = self._options
        return httpx.AsyncClient(
            **options.of_client(), verify=options.verify(), transport=self._transport
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def run(self, steps: Steps[T]) -> T:
        """The result of an operation."""
        return await self.follow(self.session.run(steps))

    async def follow(self, flow: Flow[T]) -> T:
        """Do as it says, to its end; a task that is cancelled leaves it in order."""
        answer: Outcome | Exception | None = None
        with closing(flow):
            while True:
                try:
                    effect = flow.send(answer)
                except StopIteration as end:
                    result: T = end.value
                    return result
                answer = await self._done(effect)

    async def _done(self, effect: Effect) -> Outcome | Exception | None:
        if isinstance(effect, Pause):
            await anyio.sleep(effect.seconds)
            return None
        if isinstance(effect, Work):
            return await anyio.to_thread.run_sync(_called, effect)
        if effect.transfer is not None:
            return await anyio.to_thread.run_sync(self._streams.transfer, effect)
        return await self._exchange(effect)

    async def _exchange(self, request: Request) -> Outcome:
        if self._is_of_parent():
            self._http = self._connected()
        failed: Failure
        try:
            async with self._http.stream(**self._arguments(request)) as answer:
                taken = Taken(answer, request)
                async for part in answer.aiter_bytes():
                    taken.add(part)
                return taken.reply()
        except RAISED as error:
            failed = failure_of(error)
        return failed
