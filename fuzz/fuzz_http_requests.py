"""Fuzz the front door: the bytes of a connection, as requests of HTTP/1.1 (RFC 9112).

    python -m fuzz http_requests -max_total_time=60 fuzz/corpus/http_requests

The first byte of an input chooses the reader, the second in how large parts the rest comes. A
finding is an error of ours that is no refusal, requests that are others when they come in other
parts, or requests that h11, another parser, does not read or reads as others: two that read one
connection in two ways are what smuggling lives on.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import unquote

import h11
import uvicorn
from uvicorn.server import ServerState

from fuzz.running import Reader, seeds_of
from mycelium_fractal_net.api.endpoints.route import ServiceRoute
from mycelium_fractal_net.api.http.problems import RequestError
from mycelium_fractal_net.api.http.requests import read_headers, with_bearer_as_api_key
from mycelium_fractal_net.api.routes import SPECS
from mycelium_fractal_net.api.routing import RouteTable
from mycelium_fractal_net.api.transport.connections import Connections
from mycelium_fractal_net.api.transport.limits import ClientLimits
from mycelium_fractal_net.api.transport.protocol import HttpProtocol
from mycelium_fractal_net.api.transport.timeouts import Wait
from mycelium_fractal_net.config.settings import Server

_LOOP = asyncio.new_event_loop()


class Asked(NamedTuple):
    """One whole request."""

    method: bytes
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class _Transport(asyncio.Transport):
    """Takes what is written and says nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 1) if name in ("peername", "sockname") else default

    def write(self, data: object) -> None: ...

    def write_eof(self) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close


class _Nobody:
    """Who has a slot until the protocol takes it over."""

    def waits_for(self) -> tuple[Wait, object, int]:
        return Wait.FIRST, None, 0

    def give_up(self, wait: Any) -> None: ...

    def make_room(self, wait: Any) -> None: ...


class _Noting(HttpProtocol):
    """Notes the requests of a connection instead of running them."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.cycles: list[Any] = []

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self.cycles.append(self.cycle)

    def _begin(self, cycle: Any, app: Any) -> None:  # noqa: ARG002 - it is not run
        self._running = cycle


async def _never(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError((scope, receive, send))


_CONFIG = uvicorn.Config(_never, http=_Noting, ws="none", lifespan="off", log_config=None)
_CONFIG.load()


def served(data: bytes, size: int) -> tuple[list[Asked], bool]:
    """The whole requests of a connection whose bytes come in such parts; whether one is refused."""
    connections = Connections(ClientLimits())
    transport = _Transport()
    refused: list[str] = []
    slot = connections.enter("192.0.2.1", _Nobody())
    protocol = _Noting(
        connections, slot, refused.append, config=_CONFIG, server_state=ServerState(), app_state={},
        _loop=_LOOP,
    )  # fmt: skip
    protocol.connection_made(transport)
    for start in range(0, len(data), size):
        protocol.data_received(data[start : start + size])
    protocol.connection_lost(None)
    return [
        Asked(
            each.scope["method"].encode(),
            each.scope["raw_path"] + _query(each.scope),
            tuple(each.scope["headers"]),
            bytes(each.body),
        )
        for each in protocol.cycles
        if not each.more_body
    ], bool(refused)


def _query(scope: Any) -> bytes:
    return b"?" + scope["query_string"] if scope["query_string"] else b""


def by_h11(data: bytes) -> list[Asked]:
    """The whole requests as h11 reads them, until one that it refuses."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 24)
    connection.receive_data(data)
    found: list[Asked] = []
    request, body = None, b""
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            return found
        if isinstance(event, h11.Request):
            request, body = event, b""
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            headers = tuple((name, value) for name, value in request.headers)
            found.append(Asked(request.method, request.target, headers, body))
            if not _goes_on(connection):
                return found
        else:
            return found


def _goes_on(connection: h11.Connection) -> bool:
    try:
        connection.send(h11.Response(status_code=204, headers=[]))
        connection.send(h11.EndOfMessage())
        connection.start_next_cycle()
    except h11.LocalProtocolError:
        return False
    return True


def cut(data: bytes) -> None:
    """The same in one part and in several."""
    if len(data) > 1:
        whole, refused = served(data[1:], len(data))
        parts, also = served(data[1:], 1 + data[0])
        # What follows the last request of a connection is passed over, or refused behind it.
        common = min(len(whole), len(parts))
        assert whole[:common] == parts[:common], "a finding: other requests"
        assert refused or also or len(whole) == len(parts), "a finding: more requests"


def other(data: bytes) -> None:
    """What is taken whole is what h11 reads."""
    if len(data) < 2:
        return
    ours, refused = served(data[1:], 1 + data[0])
    if refused or not ours:
        return
    theirs = by_h11(data[1:])
    for one, another in zip(ours, theirs, strict=False):
        path, _, query = another.target.partition(b"?")  # an empty query is none here
        target = another.target if query else path
        assert (one.method, one.target) == (another.method, target), "a finding: another target"
        assert one.headers == another.headers, "a finding: other headers"
        assert one.body == another.body, "a finding: another body"
    assert theirs or not ours, "a finding: h11 reads no request there"


_SERVICE: Any = SimpleNamespace(settings=SimpleNamespace(server=Server()))
TABLE = RouteTable([ServiceRoute(spec, _SERVICE) for spec in SPECS])


def route(data: bytes) -> None:
    """The route of a target: a path that only decodes to one of ours has none."""
    raw_path = b"/" + data.replace(b"?", b"")
    scope: dict[str, Any] = {
        "type": "http", "method": "GET", "raw_path": raw_path, "root_path": "",
        "path": unquote(raw_path.decode("latin-1")), "headers": [],
    }  # fmt: skip
    found = TABLE.find(scope)
    if isinstance(found, ServiceRoute) and "{" not in found.path:
        assert found.path.encode() == raw_path, "a finding: another spelling of a path"


NAMES = (b"x-api-key", b"authorization", b"content-type", b"content-length", b"x-associated-data",
         b"content-encoding", b"transfer-encoding", b"x")  # fmt: skip


def headers(data: bytes) -> None:
    """Values of headers, each behind the byte that names it, ended by NUL."""
    pairs = [(NAMES[each[0] % len(NAMES)], each[1:]) for each in data.split(b"\0") if each]
    scope = {"headers": with_bearer_as_api_key(pairs)}
    try:
        found = read_headers(scope)
    except RequestError:
        return
    assert sum(name == b"x-api-key" for name, _ in scope["headers"]) <= 1, "a finding: two keys"
    assert found.content_length is None or found.content_length >= 0


READERS: tuple[Reader, ...] = (cut, other, route, headers)


def one_input(data: bytes) -> None:
    """Run one input; raises only for a finding."""
    if data:
        READERS[data[0] % len(READERS)](data[1:])


def seeds() -> dict[str, bytes]:
    """Well-formed requests."""
    chunked = (
        b"POST /crypto/encrypt?a=1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2;a=b\r\n{}\r\n0\r\n\r\nGET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    plain = b"POST /crypto/encrypt HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
    return seeds_of(
        READERS,
        {
            cut: b"\x07" + chunked,
            other: b"\x40" + plain + plain,
            route: b"keys/orders",
            headers: b"\0mfn_0_0\0\x02application/json\0\x0317\0\x04cm93\0",
        },
    )
