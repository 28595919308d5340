"""The connections of one process: how many, of which addresses, and which has to make room."""

from __future__ import annotations

import contextlib
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from mycelium_fractal_net.api.transport.addresses import grouped
from mycelium_fractal_net.api.transport.timeouts import CHECK_SECONDS, Progress, Wait

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Container

    from mycelium_fractal_net.api.transport.limits import ClientLimits

_SEARCH_SECONDS: Final = 0.05  # between two searches for those who could make room


class Peer(Protocol):
    """A connection as it is looked at twice a second."""

    def waits_for(self) -> tuple[Wait, object, int]:
        """What the server waits for, of which message, and how many bytes have moved so far."""

    def give_up(self, wait: Wait) -> None:
        """End it, since what was waited for did not come in time."""

    def make_room(self, wait: Wait) -> None:
        """End it at once, since somebody else needs the slot."""


class Slot:
    """What one connection holds."""

    __slots__ = ("address", "held", "peer", "progress")

    def __init__(self, address: str, peer: Peer, now: float) -> None:
        self.address = grouped(address)  # whoever has one of IPv6 has a network of them
        self.peer = peer
        self.held = 0  # bytes in memory, of bodies and answers
        self.progress = Progress(peer.waits_for()[0], now)


class Connections:
    """All connections. One that stalls makes room for a new one; where none does, it is full."""

    def __init__(
        self,
        limits: ClientLimits,
        trusted: Container[str] = (),
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.limits = limits
        self._trusted = trusted
        self._clock = clock
        self._slots: dict[Slot, None] = {}
        self._of_address: dict[str, int] = {}
        self._stalled: list[tuple[Wait, Slot]] = []  # the last one makes room first
        self._searched_at = float("-inf")
        self.held = 0
        self._checking: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._slots)

    def has_too_many(self, address: str) -> bool:
        """Whether that address has all the connections that one may have."""
        most = self.limits.connections_per_address
        if most is None or address in self._trusted:
            return False
        return self._of_address.get(grouped(address), 0) >= most

    def has_room(self) -> bool:
        """Whether there is a slot, perhaps since somebody who stalled has left it just now."""
        while len(self._slots) >= self.limits.connections:
            if not self._stalled and not self._search():
                return False
            _, slot = self._stalled.pop()
            if slot in self._slots and self._stalls(slot, self._clock()):
                self.leave(slot)
                slot.peer.make_room(slot.progress.wait)
        return True

    def _stalls(self, slot: Slot, now: float) -> bool:
        return slot.progress.may_make_room(*slot.peer.waits_for(), now, self.limits)

    def _search(self) -> bool:
        """Look for those who stall, those that have asked for nothing yet before all others."""
        now = self._clock()
        if now - self._searched_at < _SEARCH_SECONDS:
            return False
        self._searched_at = now
        for slot in self._slots:  # which begin with the oldest
            if self._stalls(slot, now):
                self._stalled.append((slot.progress.wait, slot))
        self._stalled.reverse()
        self._stalled.sort(key=lambda each: -each[0])
        return bool(self._stalled)

    def hold(self, slot: Slot, count: int) -> bool:
        """Count bytes that are in memory for a connection; False where there is no room for them.

        Whoever stalls with the most bytes makes room first.
        """
        while self.held + count > self.limits.buffered_bytes:
            now = self._clock()
            stalled = [
                each
                for each in self._slots
                if each.held and each is not slot and self._stalls(each, now)
            ]
            if not stalled:
                return False
            most = max(stalled, key=lambda each: each.held)
            self.let_go(most, most.held)
            most.peer.make_room(most.progress.wait)
        if slot in self._slots:
            slot.held += count
            self.held += count
        return True

    def let_go(self, slot: Slot, count: int) -> None:
        """Bytes of a connection are in memory no more."""
        count = min(count, slot.held)
        slot.held -= count
        self.held -= count

    def enter(self, address: str, peer: Peer) -> Slot:
        """Take a slot."""
        slot = Slot(address, peer, self._clock())
        self._slots[slot] = None
        self._of_address[slot.address] = self._of_address.get(slot.address, 0) + 1
        return slot

    def has(self, slot: Slot) -> bool:
        """Whether the slot is still held."""
        return slot in self._slots

    def leave(self, slot: Slot) -> None:
        """Give a slot back; to do so twice is once."""
        with contextlib.suppress(KeyError):
            del self._slots[slot]
            self.let_go(slot, slot.held)
            left = self._of_address[slot.address] - 1
            if left:
                self._of_address[slot.address] = left
            else:
                del self._of_address[slot.address]

    def check(self) -> None:
        """Look at everybody once, and end what is too slow."""
        self._stalled.clear()  # nobody is held in memory for having stalled once
        now, limits = self._clock(), self.limits
        for slot in list(self._slots):
            wait, of, moved = slot.peer.waits_for()
            if slot.progress.check(wait, of, moved, now, limits):
                slot.peer.give_up(wait)

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look at everybody twice a second from now on, until :meth:`close`."""
        self._checking = loop.call_later(CHECK_SECONDS, self._check_again, loop)

    def _check_again(self, loop: asyncio.AbstractEventLoop) -> None:
        self.watch(loop)
        self.check()

    def close(self) -> None:
        """Look no more."""
        if self._checking is not None:
            self._checking.cancel()
            self._checking = None
