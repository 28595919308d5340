"""Connections that come to nothing: whatever was held for them is given back."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import pytest
import uvloop

from mycelium_fractal_net.api.transport.connections import Connections
from mycelium_fractal_net.api.transport.limits import ClientLimits
from mycelium_fractal_net.api.transport.listener import Listener
from mycelium_fractal_net.api.transport.timeouts import Wait

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.api.transport.connections import Slot


class _Connection(asyncio.Protocol):
    """Takes over its slot, as the protocol of the service does, and calls back."""

    def __init__(self, connections: Connections, slot: Slot, made: Callable[[], None]) -> None:
        self._connections = connections
        self._slot = slot
        self._made = made
        self.is_lost = False

    def waits_for(self) -> tuple[Wait, object, int]:
        return Wait.FIRST, None, 0

    def give_up(self, wait: Wait) -> None: ...

    def make_room(self, wait: Wait) -> None: ...

    def connection_made(self, transport: object) -> None:
        self._slot.peer = self
        self._made()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.leave(self._slot)
        self.is_lost = True


@pytest.mark.parametrize("when", ["before it begins", "when it is made"])
def test_a_connection_that_is_given_up_leaves_its_place(when: str) -> None:
    """The loop tells nobody of one that is cancelled just as it was made; the service waited."""
    made: list[_Connection] = []

    async def one() -> tuple[int, bytes]:
        listening = socket.create_server(("127.0.0.1", 0))
        connections = Connections(ClientLimits())

        def protocol(slot: Slot) -> asyncio.Protocol:
            made.append(_Connection(connections, slot, listener.close))
            return made[-1]

        listener = Listener(listening, connections, protocol, lambda _: b"")
        loop = asyncio.get_running_loop()
        with listening, socket.create_connection(listening.getsockname()) as client:
            client.setblocking(False)
            listener.start()
            if when == "before it begins":
                listener._accept()
                assert len(connections) == 1
                listener.close()
            end = await asyncio.wait_for(loop.sock_recv(client, 1), 5)
            await asyncio.sleep(0)
            return len(connections), end

    assert uvloop.run(one()) == (0, b"")
    assert [each.is_lost for each in made] == ([True] if when == "when it is made" else [])
