"""Connections that stall, many at a time, each in one of the ways in which a client can."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import httpx

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

    from tests.support.service import Running

_SMALL_BUFFER: Final = 4096
_ANSWERS: Final = 12  # of some 200 KiB each, more than all buffers between the two take


def _first_bytes(kind: str, api_key: str) -> bytes:
    """What such a client sends before it stalls."""
    head = (
        f"POST /crypto/encrypt HTTP/1.1\r\nHost: keys.example\r\nX-API-Key: {api_key}\r\n"
        "Content-Type: application/json\r\n"
    ).encode()
    return {
        "silent": b"",
        "half a head": head,
        "half a body": head + b'Content-Length: 1000\r\n\r\n{"data": "',
        "a dripping head": head,
        "a dripping body": head + b'Content-Length: 1000\r\n\r\n{"data": "',
        "a slow reader": b"GET /openapi.json HTTP/1.1\r\nHost: keys.example\r\n\r\n" * _ANSWERS,
        "idle": b"GET /health/live HTTP/1.1\r\nHost: keys.example\r\n\r\n",
    }[kind]


KINDS: Final = (
    "silent",
    "half a head",
    "half a body",
    "a dripping head",
    "a dripping body",
    "a slow reader",
    "idle",
)


class Stalled:
    """That many connections of a kind. With ``tls`` the silent ones say nothing at all.

    ``left`` is how many the service has not ended; ``lifetimes`` how long each of the others was.
    """

    def __init__(
        self, service: Running, kind: str, count: int, tls: ssl.SSLContext | None = None
    ) -> None:
        self._address = service.address()
        self._kind = kind
        self._first = _first_bytes(kind, service.api_key)
        self._tls = None if kind == "silent" else tls
        self._count = count
        self._open: dict[asyncio.StreamWriter, float] = {}
        self.lifetimes: list[float] = []
        self.answers: list[bytes] = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    @property
    def left(self) -> int:
        """How many are still open."""
        return len(self._open)

    def _run(self) -> None:
        self._loop.run_until_complete(self._all())

    async def _all(self) -> None:
        self._ended = asyncio.Event()
        tasks = []
        for _ in range(self._count):
            tasks.append(asyncio.create_task(self._one()))
            if len(tasks) % 50 == 0:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0)
        while len(self._open) + len(self.lifetimes) < self._count:
            await asyncio.sleep(0.01)
        self._ready.set()
        await self._ended.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _one(self) -> None:
        connection = socket.socket()
        connection.setblocking(False)
        if self._kind == "a slow reader":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_BUFFER)
        began = time.monotonic()
        writer = None
        try:
            await self._loop.sock_connect(connection, self._address)
            reader, writer = await asyncio.open_connection(
                sock=connection,
                ssl=self._tls,
                server_hostname=self._address[0] if self._tls else None,
                limit=_SMALL_BUFFER,
            )
            self._open[writer] = began
            writer.write(self._first)
            if self._kind.startswith("a dripping"):
                await asyncio.gather(self._drip(writer), self._read(reader))
            elif self._kind == "a slow reader":
                await self._read_slowly(reader, writer.get_extra_info("socket"))
            else:
                await self._read(reader)
        except OSError:
            pass
        finally:
            self.lifetimes.append(time.monotonic() - began)
            if writer is not None:
                self._open.pop(writer, None)
                writer.transport.abort()
            connection.close()

    async def _drip(self, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b"A")
            await asyncio.sleep(1.0)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        answer = await reader.read()
        self.answers.append(answer)
        raise ConnectionResetError

    async def _read_slowly(self, reader: asyncio.StreamReader, connection: socket.socket) -> None:
        while await reader.read(10):
            await asyncio.sleep(1.0)
            # Its kernel knows of the end before all that it holds has been read.
            if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise ConnectionResetError

    def __enter__(self) -> Stalled:
        self._thread.start()
        assert self._ready.wait(60), "they did not connect"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()
        self._loop.close()


def honest(
    service: Running, seconds: float, pause: float = 0.02, **options: Any
) -> list[tuple[float, int]]:
    """What an honest client sees meanwhile, which connects anew each time: seconds, status.

    The status is 0 where the connection is closed without an answer.
    """
    found = []
    if service.url.startswith("http:"):
        options.setdefault("verify", False)  # nothing of TLS is loaded for each connection
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic()
        try:
            with service.client(**options) as client:
                status = client.post("/crypto/encrypt", json={"data": "aGVsbG8="}).status_code
        except httpx.TransportError:
            status = 0
        found.append((time.monotonic() - began, status))
        time.sleep(pause)
    return found


@contextlib.contextmanager
def stalled(
    service: Running, kind: str, count: int, tls: ssl.SSLContext | None = None
) -> Iterator[Stalled]:
    """Have them stall while the block runs."""
    with Stalled(service, kind, count, tls) as them:
        yield them
