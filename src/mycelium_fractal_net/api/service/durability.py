"""Waiting, on the event loop, until an audit record is durable.

The log writes and syncs in a thread of its own, many records at once; it tells how far it is
after each sync, and everyone whose record is among them goes on.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from mycelium_fractal_net.security.errors import AuditUnavailableError

if TYPE_CHECKING:
    import asyncio

    from mycelium_fractal_net.security.audit import AuditLog, Event


class Durability:
    """Records events and waits for them. Used on the loop's thread alone, which made it."""

    def __init__(self, log: AuditLog, loop: asyncio.AbstractEventLoop) -> None:
        self._log = log
        self._loop = loop
        self._durable = 0
        self._calling = False
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        log.listener = self._from_writer

    async def record(self, event: Event) -> None:
        """Return once ``event`` is durable. Raises :class:`AuditUnavailableError`."""
        sequence = self._log.append(event, wake=False)
        if not self._calling:
            self._calling = True
            self._loop.call_soon(self._call_writer)
        future = self._loop.create_future()
        self._waiting.append((sequence, future))
        # The writer may have been faster, have seen nobody who waits, and told nobody.
        if sequence <= self._durable or self._log.failing:
            self._settle(self._durable, self._log.failing)
        await future

    def _call_writer(self) -> None:
        """Call the writer once for all records of one round of the loop: one sync serves them."""
        self._calling = False
        self._log.wake()

    def _from_writer(self, durable: int, failed: bool) -> None:
        self._durable = durable
        if self._waiting and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._settle, durable, failed)

    def _settle(self, durable: int, failed: bool) -> None:
        waiting = self._waiting
        while waiting and waiting[0][0] <= durable:
            future = waiting.popleft()[1]
            if not future.done():
                future.set_result(None)
        while failed and waiting:
            future = waiting.popleft()[1]
            if not future.done():
                future.set_exception(AuditUnavailableError("the audit record cannot be written"))
