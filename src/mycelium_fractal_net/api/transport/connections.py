"""The places of one process: how many connections it has, of whom, and who has to make room."""

from __future__ import annotations

import contextlib
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from mycelium_fractal_net.api.transport.addresses import grouped
from mycelium_fractal_net.api.transport.timeouts import LOOK_SECONDS, Pace, Wait

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Container

    from mycelium_fractal_net.api.transport.limits import Limits

_SEARCH_SECONDS: Final = 0.05  # between two searches for those who could make room


class Guest(Protocol):
    """A connection as it is looked at twice a second."""

    def waits_for(self) -> tuple[Wait, object, int]:
        """What the server waits for, of which message, and how many bytes have moved so far."""

    def give_up(self, wait: Wait) -> None:
        """End it, since what was waited for did not come in time."""

    def make_room(self, wait: Wait) -> None:
        """End it at once, since somebody else needs the place."""


class Place:
    """What one connection holds."""

    __slots__ = ("address", "guest", "pace")

    def __init__(self, address: str, guest: Guest, now: float) -> None:
        self.address = grouped(address)  # whoever has one of IPv6 has a network of them
        self.guest = guest
        self.pace = Pace(guest.waits_for()[0], now)


class Connections:
    """All places. Those who stall make room for those who come; if nobody does, it is full."""

    def __init__(
        self,
        limits: Limits,
        trusted: Container[str] = (),
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.limits = limits
        self._trusted = trusted
        self._clock = clock
        self._places: dict[Place, None] = {}
        self._of_address: dict[str, int] = {}
        self._stalled: list[tuple[Wait, Place]] = []  # the last one makes room first
        self._searched_at = float("-inf")
        self._looking: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._places)

    def has_too_many(self, address: str) -> bool:
        """Whether that address has all the connections that one may have."""
        most = self.limits.connections_per_address
        if most is None or address in self._trusted:
            return False
        return self._of_address.get(grouped(address), 0) >= most

    def has_room(self) -> bool:
        """Whether there is a place, perhaps since somebody who stalled has left it just now."""
        while len(self._places) >= self.limits.connections:
            if not self._stalled and not self._search():
                return False
            _, place = self._stalled.pop()
            if place in self._places and self._stalls(place, self._clock()):
                self.leave(place)
                place.guest.make_room(place.pace.wait)
        return True

    def _stalls(self, place: Place, now: float) -> bool:
        return place.pace.may_make_room(*place.guest.waits_for(), now, self.limits)

    def _search(self) -> bool:
        """Look for those who stall, those that have asked for nothing yet before all others."""
        now = self._clock()
        if now - self._searched_at < _SEARCH_SECONDS:
            return False
        self._searched_at = now
        for place in self._places:  # which begin with the oldest
            if self._stalls(place, now):
                self._stalled.append((place.pace.wait, place))
        self._stalled.reverse()
        self._stalled.sort(key=lambda each: -each[0])
        return bool(self._stalled)

    def enter(self, address: str, guest: Guest) -> Place:
        """Take a place."""
        place = Place(address, guest, self._clock())
        self._places[place] = None
        self._of_address[place.address] = self._of_address.get(place.address, 0) + 1
        return place

    def has(self, place: Place) -> bool:
        """Whether the place is still held."""
        return place in self._places

    def leave(self, place: Place) -> None:
        """Give a place back; to do so twice is once."""
        with contextlib.suppress(KeyError):
            del self._places[place]
            left = self._of_address[place.address] - 1
            if left:
                self._of_address[place.address] = left
            else:
                del self._of_address[place.address]

    def look(self) -> None:
        """Look at everybody once, and end what is too slow."""
        self._stalled.clear()  # nobody is held in memory for having stalled once
        now, limits = self._clock(), self.limits
        for place in list(self._places):
            wait, of, moved = place.guest.waits_for()
            if place.pace.look(wait, of, moved, now, limits):
                place.guest.give_up(wait)

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look at everybody twice a second from now on, until :meth:`close`."""
        self._looking = loop.call_later(LOOK_SECONDS, self._look_again, loop)

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        self.watch(loop)
        self.look()

    def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
