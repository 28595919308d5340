"""Requests that wait for their turn: a queue that stands is cut, a burst is served."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.server import ServerState

from mycelium_fractal_net.api.http.exchange import exchange_of
from mycelium_fractal_net.api.transport.connections import Connections
from mycelium_fractal_net.api.transport.limits import ClientLimits
from mycelium_fractal_net.api.transport.listener import Listener
from mycelium_fractal_net.api.transport.protocol import HttpProtocol
from mycelium_fractal_net.api.transport.request_queue import BURST, FEW, Place, RequestQueue

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from mycelium_fractal_net.api.transport.connections import Slot

MOST = 0.05
COST = 0.002  # seconds of one answer; a refusal costs a hundredth of it


class Worker:
    """One process as it works: it reads what has arrived, then serves it in that order."""

    def __init__(self) -> None:
        self.now = 100.0
        self.queue = RequestQueue(MOST, lambda: self.now)
        self.answers: Counter[bool] = Counter()
        self.times: list[float] = []  # of those that were served, since they were read

    def turn(self, arrived: int) -> None:
        """Serve what was read at once."""
        began = self.now
        for place in [self.queue.enter() for _ in range(arrived)]:
            served = self.queue.serves(place)
            self.answers[served] += 1
            self.now += COST if served else COST / 100
            if served:
                self.times.append(self.now - began)

    def run(self, seconds: float, rate: float) -> None:
        """Serve what arrives at a steady rate."""
        arrived, until = 1.0, self.now + seconds
        while self.now < until:
            began = self.now
            self.turn(int(arrived))
            self.now = max(self.now, began + COST)
            arrived = arrived - int(arrived) + (self.now - began) * rate


def test_what_comes_no_faster_than_it_can_be_served_is_served() -> None:
    """Up to the last of what a process can do."""
    worker = Worker()
    worker.run(20, 1 / COST)
    assert worker.answers[False] == 0


def test_a_burst_is_served_whole() -> None:
    """It takes a quarter of a second, and leaves nothing behind."""
    worker = Worker()
    for _ in range(3):
        worker.run(1, 10)
        worker.turn(int(BURST * MOST / COST))
    assert worker.answers[False] == 0


def test_of_four_times_as_much_the_excess_is_refused_and_the_rest_served_in_time() -> None:
    """As much is served as before, but for what refusals cost, and none waits any longer."""
    worker = Worker()
    worker.run(20, 4 / COST)
    assert worker.answers[True] > 0.9 * 20 / COST
    late = [each for each in worker.times if each > MOST + 2 * COST]
    assert len(late) < 2 * BURST * MOST / COST  # while nobody knew yet whether it is a burst
    before = worker.answers[False]
    worker.run(20, 0.5 / COST)
    assert worker.answers[False] - before < BURST * MOST / COST  # what had arrived already


def test_a_queue_that_was_long_for_moments_only_is_not_cut() -> None:
    """Each time it was empty in between."""
    worker = Worker()
    for _ in range(10):
        worker.turn(int(2 * MOST / COST))
        worker.turn(1)
    assert worker.answers[False] == 0


class Silted(RequestQueue):
    """One in which there are always a few before, and each turn comes a second later."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(MOST, self._later)
        for _ in range(FEW):
            self.enter()

    def _later(self) -> float:
        self._now += 1.0
        return self._now

    def serves(self, place: Place) -> bool:
        served = super().serves(place)
        for _ in range(FEW):
            self.enter()
        return served


async def _answers(paths: list[str]) -> tuple[list[tuple[int, bytes, dict[str, object]]], int]:
    """What a connection is told while nobody is served in time, and how many were refused."""
    queue = Silted()
    refused: list[int] = []

    async def answering(scope: Scope, _receive: Receive, _send: Send) -> None:
        exchange = exchange_of(scope)
        assert exchange is not None
        assert exchange.respond(200, b"content-length: 2\r\n", b"{}")

    config = uvicorn.Config(
        answering, http=HttpProtocol, ws="none", lifespan="off", log_config=None
    )
    config.load()
    connections = Connections(ClientLimits())

    def protocol(slot: Slot) -> HttpProtocol:
        return HttpProtocol(
            connections, slot, lambda _: None, queue, lambda: refused.append(1),
            config=config, server_state=ServerState(), app_state={},
        )  # fmt: skip

    told = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listener = Listener(listening, connections, protocol, lambda _: b"")
        listener.start()
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        for path in paths:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).lower()
            length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
            body = json.loads(await reader.readexactly(length))
            told.append((int(head[9:12]), head, body))
        listener.close()
        writer.close()
    await asyncio.sleep(0.01)
    return told, len(refused)


def test_who_is_refused_is_told_when_to_come_again_and_health_is_answered_all_the_same() -> None:
    """On the same connection, as the problem that is documented."""
    paths = ["/keys", "/health/live", "/keys", "/metrics", "/health/ready"]
    told, refused = asyncio.run(_answers(paths))
    assert [status for status, _, _ in told] == [503, 200, 503, 200, 200]
    assert refused == 2
    _, head, body = told[0]
    assert b"\r\nretry-after: 1\r\n" in head
    assert b"connection: close" not in head
    assert body["type"] == "/problems/overloaded"
