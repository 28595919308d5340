"""What carries out the effects of an operation, with httpx: blocking, or awaited."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import anyio.to_thread
import httpx

from mycelium_fractal_net.client.replies import (
    HTTPX_ERRORS,
    AttemptResult,
    BoundedBody,
    NoReply,
    no_reply_of,
)
from mycelium_fractal_net.client.steps import Acquire, Callback, Effect, Pause, PerProcess, Request

if TYPE_CHECKING:
    from mycelium_fractal_net.client.connections import ServiceConnections
    from mycelium_fractal_net.client.steps import Effects

T = TypeVar("T")


def _call(callback: Callback) -> Exception | None:
    try:
        callback.function()
    except Exception as error:
        return error
    return None


def _arguments(request: Request) -> dict[str, Any]:
    """What httpx is told to send."""
    return {
        "method": request.method,
        "url": request.path,
        "params": request.query or None,
        "content": request.body,
        "headers": request.headers,
    }


class Driver:
    """Blocks."""

    new_lock: Final = threading.RLock

    def __init__(
        self, connections: ServiceConnections, transport: httpx.BaseTransport | None
    ) -> None:
        self._connections = connections
        self._http = PerProcess(lambda: httpx.Client(**connections.options(), transport=transport))
        self._http()

    def close(self) -> None:
        """Close the connections."""
        self._http().close()

    def run(self, effects: Effects[T]) -> T:
        """Do as it says, to its end."""
        answer: AttemptResult | Exception | None = None
        with closing(effects):
            while True:
                try:
                    effect = effects.send(answer)
                except StopIteration as end:
                    result: T = end.value
                    return result
                answer = self._perform(effect)

    def _perform(self, effect: Effect) -> AttemptResult | Exception | None:
        match effect:
            case Request(transfer=None):
                return self._exchange(effect)
            case Request():
                return self._connections.transfer(effect)
            case Pause():
                time.sleep(effect.seconds)
            case Acquire():
                effect.acquire()
            case Callback():
                return _call(effect)
        return None

    def _exchange(self, request: Request) -> AttemptResult:
        failed: NoReply
        try:
            with self._http().stream(**_arguments(request)) as answer:
                body = BoundedBody(answer, request.body)
                for part in answer.iter_bytes():
                    body.add(part)
                return body.reply()
        except HTTPX_ERRORS as error:
            failed = no_reply_of(error)
        return failed


class AsyncDriver:
    """Is awaited, under asyncio or trio. Files and the caller's functions run in threads."""

    new_lock: Final = anyio.Lock

    def __init__(
        self, connections: ServiceConnections, transport: httpx.AsyncBaseTransport | None
    ) -> None:
        self._connections = connections
        self._http = PerProcess(
            lambda: httpx.AsyncClient(**connections.options(), transport=transport)
        )
        self._http()

    async def close(self) -> None:
        """Close the connections."""
        await self._http().aclose()

    async def run(self, effects: Effects[T]) -> T:
        """Do as it says, to its end; a task that is cancelled leaves it in order."""
        answer: AttemptResult | Exception | None = None
        with closing(effects):
            while True:
                try:
                    effect = effects.send(answer)
                except StopIteration as end:
                    result: T = end.value
                    return result
                answer = await self._perform(effect)

    async def _perform(self, effect: Effect) -> AttemptResult | Exception | None:
        match effect:
            case Request(transfer=None):
                return await self._exchange(effect)
            case Request():
                return await anyio.to_thread.run_sync(self._connections.transfer, effect)
            case Pause():
                await anyio.sleep(effect.seconds)
            case Acquire():
                await effect.acquire()
            case Callback():
                return await anyio.to_thread.run_sync(_call, effect)
        return None

    async def _exchange(self, request: Request) -> AttemptResult:
        failed: NoReply
        try:
            async with self._http().stream(**_arguments(request)) as answer:
                body = BoundedBody(answer, request.body)
                async for part in answer.aiter_bytes():
                    body.add(part)
                return body.reply()
        except HTTPX_ERRORS as error:
            failed = no_reply_of(error)
        return failed
