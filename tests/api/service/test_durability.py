"""Waiting on the event loop for a record, where the writer is faster, or fails."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net.api.service.durability import Durability
from mycelium_fractal_net.security.audit import Event
from mycelium_fractal_net.security.errors import AuditUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

EVENT = Event("encrypt", "ok")


class FastLog:
    """A log whose writer has told how far it is before the one who appends knows his place."""

    def __init__(self, *, fails: bool) -> None:
        self.failing = False
        self.listener: Callable[[int, bool], None] | None = None
        self._fails = fails
        self._sequence = 0

    def append(self, _event: Event, *, wake: bool = True) -> int:
        self._sequence += 1
        self.failing = self._fails
        assert self.listener is not None
        self.listener(0 if self._fails else self._sequence, self._fails)
        return self._sequence

    def wake(self) -> None:
        """Nobody is left to be called."""


def recorded(log: Any) -> None:
    """One record, on a loop of its own, which nothing else ever wakes."""

    async def record() -> None:
        await Durability(log, asyncio.get_running_loop()).record(EVENT)

    asyncio.run(asyncio.wait_for(record(), 5))


def test_who_is_durable_before_he_waits_does_not_wait() -> None:
    """Nobody would tell him: the writer's word went to those who waited then."""
    recorded(FastLog(fails=False))


def test_who_has_failed_before_he_waits_is_refused() -> None:
    """And does not wait until the disk is mended."""
    with pytest.raises(AuditUnavailableError):
        recorded(FastLog(fails=True))
