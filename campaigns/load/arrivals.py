"""Requests that arrive whether or not the server keeps up; a process of its own.

python -m campaigns.load.arrivals < PLAN > SEEN

The plan is JSON: the server, requests with their weights, and phases. An open phase has a rate,
at which requests arrive at random (Poisson) for its seconds; a closed one has connections, each of
which asks again as soon as it has its answer. As a client's pool does, an arrival takes the
connection that was used last, or a new one where none is free; nobody waits for another one's
answer. A request's time counts from when it was to arrive, so that it holds the generator's own
lag too (Tene, "How NOT to measure latency").
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import random
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Final

import uvloop

_PATIENCE_SECONDS: Final = 10.0  # after which a client gives up
_IDLE_SECONDS: Final = 5.0  # after which it closes a connection that it has not used
_END: Final = b"\r\n\r\n"
_TICK_SECONDS: Final = 0.001


@dataclass
class Seen:
    """One request: when it was to arrive in its phase, its time in seconds, what came.

    ``status`` is 0 where no answer came; ``why`` says how that was.
    """

    at: float
    seconds: float
    status: int
    advises: bool = False
    why: str = ""
    lag: float = 0.0


@dataclass
class Wanted:
    """A request that is to be sent."""

    payload: bytes
    due: float
    at: float
    sent: float
    into: list[Seen]
    """Where what comes of it is noted: the answer may come in a later phase."""


class Connection(asyncio.Protocol):
    """One connection, on which one request is under way at most."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._transport: Any = None
        self._buffer = b""
        self.wanted: Wanted | None = None
        self.idle_since = 0.0

    def connection_made(self, transport: Any) -> None:
        """Send what it was opened for."""
        self._transport = transport
        if self.wanted is not None:
            self._transport.write(self.wanted.payload)

    def ask(self, wanted: Wanted) -> bool:
        """Send a request; False where the server has closed meanwhile."""
        if self._transport.is_closing():
            return False
        self.wanted = wanted
        self._transport.write(wanted.payload)
        return True

    def data_received(self, data: bytes) -> None:
        """Take an answer; whatever it is, its head says how long its body is."""
        self._buffer += data
        head, found, rest = self._buffer.partition(_END)
        if not found:
            return
        lower = head.lower()
        start = lower.index(b"content-length: ") + 16
        length = int(lower[start:].split(b"\r\n", 1)[0])
        if len(rest) < length:
            return
        self._buffer = b""
        wanted, self.wanted = self.wanted, None
        if wanted is not None:
            advises = b"retry-after: " in lower
            self._load.note(wanted, int(head[9:12]), advises=advises)
        if b"connection: close" in lower:
            self._transport.close()
        else:
            self._load.is_free(self)

    def give_up(self) -> None:
        """The client has no more patience."""
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note what did not come."""
        wanted, self.wanted = self.wanted, None
        if wanted is not None:
            late = time.perf_counter() - wanted.due >= _PATIENCE_SECONDS
            why = "no answer in time" if late else type(exc).__name__ if exc else "closed"
            self._load.note(wanted, 0, why=why)
        self._load.is_gone(self)

    def close(self) -> None:
        """End it."""
        self._transport.close()


@dataclass
class Load:
    """All connections, and what came of the requests of each phase."""

    host: str
    port: int
    payloads: list[bytes]
    weights: list[float]
    seen: list[Seen] = field(default_factory=list)
    connected: int = 0
    _free: list[Connection] = field(default_factory=list)
    _all: set[Connection] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _asks_again: bool = False
    _began: float = 0.0

    def note(self, wanted: Wanted, status: int, *, advises: bool = False, why: str = "") -> None:
        """What came of a request."""
        seconds = time.perf_counter() - wanted.due
        lag = wanted.sent - wanted.due
        wanted.into.append(Seen(wanted.at, seconds, status, advises, why, lag))

    def is_free(self, connection: Connection) -> None:
        """A connection has had its answer."""
        if self._asks_again:
            now = time.perf_counter()
            self._send(connection, now)
            return
        connection.idle_since = time.perf_counter()
        self._free.append(connection)

    def is_gone(self, connection: Connection) -> None:
        """A connection is closed."""
        self._all.discard(connection)
        if connection in self._free:
            self._free.remove(connection)
        if self._asks_again:
            self._arrive(time.perf_counter())

    def _wanted(self, due: float) -> Wanted:
        payload = random.choices(self.payloads, self.weights)[0]
        return Wanted(payload, due, due - self._began, time.perf_counter(), self.seen)

    def _send(self, connection: Connection, due: float) -> None:
        if not connection.ask(self._wanted(due)):
            self._arrive(due)

    def _arrive(self, due: float) -> None:
        wanted = self._wanted(due)
        while self._free:
            if self._free.pop().ask(wanted):
                return
        task = asyncio.get_running_loop().create_task(self._open(wanted))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open(self, wanted: Wanted) -> None:
        connection = Connection(self)
        connection.wanted = wanted
        self.connected += 1
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await loop.create_connection(lambda: connection, self.host, self.port)
        except (OSError, TimeoutError) as error:
            self.note(wanted, 0, why=f"no connection: {type(error).__name__}")
            return
        self._all.add(connection)

    def _tend(self) -> None:
        now = time.perf_counter()
        for each in list(self._all):
            if each.wanted is not None and now - each.wanted.due > _PATIENCE_SECONDS:
                each.give_up()
        while self._free and now - self._free[0].idle_since > _IDLE_SECONDS:
            self._free.pop(0).close()

    async def run(self, phase: dict[str, Any]) -> list[Seen]:
        """One phase; an open one ends with its last arrival, and not with its last answer."""
        self.seen = []
        self._began = began = time.perf_counter()
        until = began + phase["seconds"]
        if connections := phase.get("connections"):
            self._asks_again = True
            for _ in range(connections):
                self._arrive(time.perf_counter())
            while time.perf_counter() < until:
                await asyncio.sleep(0.05)
            self._asks_again = False
            return self.seen
        due, tended = began, began
        while due < until:
            now = time.perf_counter()
            while due <= now and due < until:
                self._arrive(due)
                due += random.expovariate(phase["rate"])
            if now - tended > 0.25:
                tended = now
                self._tend()
            await asyncio.sleep(min(_TICK_SECONDS, max(0.0, due - now)))
        return self.seen

    async def drain(self) -> None:
        """Wait for the answers that are still to come."""
        until = time.perf_counter() + _PATIENCE_SECONDS + 1
        while any(each.wanted for each in self._all) and time.perf_counter() < until:
            self._tend()
            await asyncio.sleep(0.05)
        for each in list(self._all):
            each.close()


async def _main(plan: dict[str, Any]) -> list[dict[str, Any]]:
    payloads = [base64.b64decode(each) for each in plan["payloads"]]
    load = Load(plan["host"], plan["port"], payloads, plan["weights"])
    phases = []
    for phase in plan["phases"]:
        before = load.connected
        seen = await load.run(phase)
        phases.append((phase, seen, load.connected - before))
    await load.drain()
    return [
        {**phase, "connected": connected, "seen": [list(vars(each).values()) for each in seen]}
        for phase, seen, connected in phases
    ]


def main() -> None:
    """Run the plan of standard input."""
    gc.disable()
    plan = json.load(sys.stdin)
    json.dump(uvloop.run(_main(plan)), sys.stdout)


if __name__ == "__main__":
    main()
