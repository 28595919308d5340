"""Whether a client moves: a look at each connection twice a second, nothing while it is served.

A request that is being read or an answer that is being sent is given up when nothing moves for
the gap, or less than the least rate over ten seconds; a head when it is not whole in time. So a
drip does not hold a slot.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mycelium_fractal_net.api.transport.limits import ClientLimits

CHECK_SECONDS: Final = 0.5
LINGER_SECONDS: Final = 2.0  # for a client to read the answer that refused it
_RATE_SECONDS: Final = 10.0  # over which a rate is taken
_STALLED_SECONDS: Final = 0.5  # after which one may have to make room,
_UNKNOWN_SECONDS: Final = 0.25  # and one that has not yet asked for anything


class Wait(enum.IntEnum):
    """What the server waits for; those that make room first come first."""

    HANDSHAKE = 0  # TLS
    FIRST = 1  # the first byte of a connection
    HEAD = 2
    LINGER = 3  # the end of a connection that was refused
    BODY = 4
    READER = 5
    IDLE = 6  # the next request
    NOTHING = 7  # it is the server's own turn


class Progress:
    """How one client moved since it was first looked at."""

    __slots__ = (
        "_moved",
        "_moved_at",
        "_of",
        "_since",
        "_window",
        "_window_moved",
        "wait",
    )

    def __init__(self, wait: Wait, now: float) -> None:
        self.wait = wait
        self._of: object = None
        self._begin(0, now)

    def _begin(self, moved: int, now: float) -> None:
        self._since = self._moved_at = self._window = now
        self._moved = self._window_moved = moved

    def check(self, wait: Wait, of: object, moved: int, now: float, limits: ClientLimits) -> bool:
        """Whether to wait no longer for ``of``, of which ``moved`` bytes have moved so far."""
        if wait is not self.wait or of is not self._of:
            since = self._since if wait is Wait.FIRST else now  # a silent one was so from the start
            self.wait, self._of = wait, of
            self._begin(moved, now)
            self._since = since
            return False
        passed = now - self._since
        if wait >= Wait.IDLE:
            return wait is Wait.IDLE and passed >= limits.idle_seconds
        if wait is Wait.HEAD or wait is Wait.FIRST:
            return passed >= limits.header_seconds
        if wait is Wait.LINGER:
            return passed >= LINGER_SECONDS
        if wait is Wait.HANDSHAKE:
            return passed >= limits.handshake_seconds
        return self._is_too_slow(moved, now, limits)

    def _is_too_slow(self, moved: int, now: float, limits: ClientLimits) -> bool:
        if moved != self._moved:
            self._moved, self._moved_at = moved, now
        elif now - self._moved_at >= limits.gap_seconds:
            return True
        window = now - self._window
        if window < _RATE_SECONDS:
            return False
        if moved - self._window_moved < limits.least_rate * window:
            return True
        self._window, self._window_moved = now, moved
        return False

    def may_make_room(
        self, wait: Wait, of: object, moved: int, now: float, limits: ClientLimits
    ) -> bool:
        """Whether this one stalls, so that somebody who moves may have its slot."""
        if wait is not self.wait or of is not self._of:
            self.check(wait, of, moved, now, limits)
        waited = now - self._since
        if wait <= Wait.LINGER:
            return waited >= _UNKNOWN_SECONDS
        if wait is Wait.NOTHING or waited < _STALLED_SECONDS:
            return False
        if wait is Wait.IDLE:
            return True
        if moved == self._moved and now - self._moved_at >= _STALLED_SECONDS:
            return True
        window = now - self._window
        moved_since = moved - self._window_moved
        return window >= _STALLED_SECONDS and moved_since < limits.least_rate * window
