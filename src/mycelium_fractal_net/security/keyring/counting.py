"""Counts the uses of key versions, per version, day and kind.

The first use of a day is durable before its answer; the rest are added up in memory and written
now and then, so a crash can lose counts and never the fact of use. Raw messages are counted
durably against their limit, in blocks that a process reserves.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.blocking import about_to_block
from mycelium_fractal_net.security.key_store.rows import day_of, start_of_day
from mycelium_fractal_net.security.key_store.usage import (
    LEASE,
    OPEN,
    PROTECT,
    RAW_MESSAGES_ROTATE,
    REFUSED,
)
from mycelium_fractal_net.security.records.keys import KeyState

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.key_store import UsageStore
    from mycelium_fractal_net.security.key_store.freshness import Freshness
    from mycelium_fractal_net.security.keyring.key_in_use import KeyInUse, Uses

_RAW_BLOCK: Final = 2**16  # raw messages that a process reserves at once, at most
_RAW_GROWTH: Final = 16
_LEASE_DAYS: Final = 1  # the longest that a client uses a data key, client.lease_state


class UseCounts:
    """The counts that one cache of keys keeps. May be called from any thread."""

    def __init__(
        self, provider: StoredKeyProvider, usage: UsageStore, freshness: Freshness
    ) -> None:
        self._provider = provider
        self._usage = usage
        self._freshness = freshness

    def opened(self, found: KeyInUse) -> None:
        """Count one opening or verifying, after the state was checked, before the answer."""
        uses = found.opened
        if monotonic() >= uses.day_ends:
            self.begin_day(found, uses, OPEN)
        next(uses.ticks)

    def protected(self, found: KeyInUse) -> None:
        """Count one sealing by a version of which its caller knows that it is the newest."""
        uses = found.protected
        if monotonic() >= uses.day_ends:
            self.begin_day(found, uses, PROTECT)
        next(uses.ticks)

    def leased(self, found: KeyInUse) -> None:
        """Count one data key that may be used where nobody counts, until the end of tomorrow."""
        uses = found.leased
        if monotonic() >= uses.day_ends:
            self.begin_day(found, uses, LEASE, _LEASE_DAYS)
        next(uses.ticks)

    def pending(self, found: KeyInUse) -> None:
        """Count and alarm one use of a version, if its destruction is pending.

        Raises :class:`AuditUnavailableError`.
        """
        if found.version.state is not KeyState.PENDING_DESTRUCTION:
            return
        if self._provider.retirement.is_alarm_due(found.version):
            about_to_block()
        uses = found.refused
        if monotonic() >= uses.day_ends:
            self.begin_day(found, uses, REFUSED)
        next(uses.ticks)
        self._provider.retirement.alarm_pending_use(found.key, found.version)

    def raw(self, found: KeyInUse) -> None:
        """Count one raw message against the version's limit, durably, in blocks.

        Raises :class:`UsageLimitError` past 2^32, and rotates the key from 2^31 on.
        """
        while next(found.raw_block, None) is None:
            self._reserve_raw(found)

    def _reserve_raw(self, found: KeyInUse) -> None:
        about_to_block()
        size = found.raw_block_size
        reserved = self._usage.reserve_raw(found.version.handle, size)
        found.raw_block = iter(range(size))
        found.raw_block_size = min(size * _RAW_GROWTH, _RAW_BLOCK)
        if reserved >= RAW_MESSAGES_ROTATE:
            self._provider.keys.rotate_from(found.version_id)
            self._freshness.refresh()

    def begin_day(self, found: KeyInUse, uses: Uses, kind: str, ahead: int = 0) -> None:
        """Make the first use of a day durable, and write what was counted on the day before."""
        about_to_block()
        with self._freshness.lock:
            now = self._provider.clock()
            today = day_of(now)
            if monotonic() < uses.day_ends and uses.day == today + ahead:
                return
            self._write({(found.version.handle, uses.day, kind): uses.take()})
            self._usage.begin_day(found.version.handle, today + ahead, kind)
            uses.day = today + ahead
            uses.day_ends = monotonic() + _seconds_left(now, today)

    def write(self, keys: Iterable[KeyInUse]) -> None:
        """Write the counts of uses of these that are still in memory only."""
        counts: dict[tuple[bytes, int, str], int] = {}
        for found in keys:
            for uses, kind in (
                (found.protected, PROTECT),
                (found.opened, OPEN),
                (found.leased, LEASE),
                (found.refused, REFUSED),
            ):
                name = (found.version.handle, uses.day, kind)
                counts[name] = counts.get(name, 0) + uses.take()
        self._write(counts)

    def _write(self, counts: dict[tuple[bytes, int, str], int]) -> None:
        self._usage.add({name: count for name, count in counts.items() if count})


def _seconds_left(now: datetime, today: int) -> float:
    return (start_of_day(today + 1) - now).total_seconds()
