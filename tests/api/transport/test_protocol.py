"""The protocol under the service, alone: what a connection keeps once it was answered."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.server import ServerState

from mycelium_fractal_net.api.http.exchange import exchange_of
from mycelium_fractal_net.api.transport.connections import Connections
from mycelium_fractal_net.api.transport.heads import _Chunks
from mycelium_fractal_net.api.transport.limits import ClientLimits
from mycelium_fractal_net.api.transport.listener import Listener
from mycelium_fractal_net.api.transport.protocol import HttpProtocol

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from mycelium_fractal_net.api.transport.connections import Slot

BODY = bytes(60_000)
HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(BODY)


async def answering(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers as the routes do that have all of the body at once."""
    exchange = exchange_of(scope)
    assert exchange is not None
    while exchange.whole_body() is None:
        await asyncio.sleep(0)
    assert exchange.respond(200, b"content-length: 2\r\n", b"ok")


async def asked(listening: socket.socket, requests: list[bytes]) -> list[HttpProtocol]:
    """The protocols of a connection that sent those requests and had the answers."""
    connections, made = Connections(ClientLimits()), []
    config = uvicorn.Config(
        answering, http=HttpProtocol, ws="none", lifespan="off", log_config=None
    )
    config.load()

    def protocol(slot: Slot) -> HttpProtocol:
        state = ServerState()
        made.append(
            HttpProtocol(connections, slot, lambda _: None, config=config, server_state=state,
                     app_state={})
        )  # fmt: skip
        return made[-1]

    listener = Listener(listening, connections, protocol, lambda _: b"")
    listener.start()
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    for request in requests:
        writer.write(request)
        assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\nok"), 5)
    held = [(each._read.since_head, bytes(each.cycle.body) if each.cycle else b"") for each in made]
    listener.close()
    writer.close()
    await asyncio.sleep(0.01)
    assert held == [(b"", b"")]
    assert not connections
    return made


def test_a_connection_that_was_answered_keeps_nothing_of_what_it_was_sent() -> None:
    """A thousand that idle would hold a thousand of their last requests."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        (protocol,) = asyncio.run(asked(listening, [HEAD + BODY] * 3))
    assert protocol.server_state.total_requests == 3


def test_the_end_of_chunks_is_found_wherever_reads_end() -> None:
    """Whatever stands in extensions and data, with sizes that begin with zeros."""
    body = b"00002;GET=a;b\r\n\r\n\r\n%x\r\n%b\r\n0000;a\r\n\r\n" % (len(HEAD), HEAD)
    behind = b"GET / HTTP/1.1\r\n"
    for first in range(len(body)):
        for second in range(first, len(body), 7):
            chunks = _Chunks()
            assert chunks.end(body[:first], 0) is None
            assert chunks.end(body[first:second], 0) is None
            assert chunks.end(b"xx" + body[second:] + behind, 2) == 2 + len(body) - second
