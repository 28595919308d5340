"""Unwrapped keys, held for a while so that steady traffic asks neither store nor custodian.

What is cached is used only while it is fresh (:mod:`.freshness`): a suspended or compromised
key stops everywhere within seconds, or the caller gets :class:`StoreUnavailableError`. In a
thread that refuses to wait every miss raises :class:`WouldBlockError` (:mod:`.blocking`).

Uses are counted per version, day and kind. The first use of a day is durable before its
answer; the rest are added up in memory and written now and then, so a crash can lose counts
and never the fact of use.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from mycelium_fractal_net.security.blocking import about_to_block
from mycelium_fractal_net.security.errors import (
    KeyStateError,
    KeyUsageError,
    StoreUnavailableError,
)
from mycelium_fractal_net.security.key_store.rows import day_of, moment_of_day
from mycelium_fractal_net.security.key_store.usage import (
    LEASE,
    OPEN,
    PROTECT,
    RAW_MESSAGES_ROTATE,
    REFUSED,
)
from mycelium_fractal_net.security.keyring.key_in_use import KeyInUse, Uses
from mycelium_fractal_net.security.records.keys import (
    Key,
    KeyState,
    KeyType,
    KeyVersion,
    parse_key_id,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.key_store import UsageStore
    from mycelium_fractal_net.security.key_store.freshness import Freshness

_FLUSH_SECONDS: Final = 30.0
_RAW_BLOCK: Final = 2**16  # raw messages that a process reserves at once, at most
_RAW_GROWTH: Final = 16
_LEASE_DAYS: Final = 1  # the longest that a client uses a data key, client.lease_state

_T = TypeVar("_T")
_K = TypeVar("_K")
_V = TypeVar("_V")


class KeyCache:
    """Keys in use, at most ``bound`` of them, each for at most ``lifetime`` seconds."""

    def __init__(
        self,
        provider: StoredKeyProvider,
        usage: UsageStore,
        freshness: Freshness,
        *,
        lifetime: float,
        bound: int,
    ) -> None:
        self._provider = provider
        self._usage = usage
        self._freshness = freshness
        self._lifetime = lifetime
        self._bound = bound
        self._start()
        freshness.subscribe(self)
        provider.retirement.counting.add(self)
        this = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _start_anew(this()))

    def _start(self) -> None:
        self._lock = self._freshness.lock
        self._primaries: dict[str, KeyInUse] = {}
        self._by_handle: dict[bytes, KeyInUse] = {}
        self._records: dict[str, tuple[float, Key]] = {}
        self._retired: list[KeyInUse] = []
        self._last_flush = monotonic()

    # The hot path -------------------------------------------------------------------------

    def protecting(self, key_id: str, key_type: KeyType) -> KeyInUse:
        """The version that protects new data under ``key_id``; counts one use of it.

        Raises :class:`KeyNotFoundError`, :class:`KeyUsageError`, :class:`KeyStateError`.
        """
        found = self._primaries.get(key_id)
        now = monotonic()
        if found is None or now >= found.deadline or now >= self._freshness.until:
            found = self._find_primary(key_id)
        if found.key.key_type is not key_type:
            check_type(found.key, key_type)
        uses = found.protected
        if now >= uses.day_ends:
            self._begin_day(found, uses, PROTECT)
        next(uses.ticks)
        return found

    def opening(self, handle: bytes) -> KeyInUse:
        """The version with that handle; whether it may open is for the caller to check.

        Raises :class:`KeyNotFoundError`.
        """
        found = self._by_handle.get(handle)
        now = monotonic()
        if found is None or now >= found.deadline or now >= self._freshness.until:
            found = self._find_by_handle(handle)
        return found

    def count_opened(self, found: KeyInUse) -> None:
        """Count one opening or verifying, after the state was checked, before the answer."""
        uses = found.opened
        if monotonic() >= uses.day_ends:
            self._begin_day(found, uses, OPEN)
        next(uses.ticks)

    def count_lease(self, found: KeyInUse) -> None:
        """Count one data key that may be used where nobody counts, until the end of tomorrow."""
        uses = found.leased
        if monotonic() >= uses.day_ends:
            self._begin_day(found, uses, LEASE, _LEASE_DAYS)
        next(uses.ticks)

    def count_pending(self, found: KeyInUse) -> None:
        """Count and alarm one use of a version, if its destruction is pending.

        Raises :class:`AuditUnavailableError`.
        """
        if found.version.state is not KeyState.PENDING_DESTRUCTION:
            return
        if self._provider.retirement.is_alarm_due(found.version):
            about_to_block()
        uses = found.refused
        if monotonic() >= uses.day_ends:
            self._begin_day(found, uses, REFUSED)
        next(uses.ticks)
        self._provider.retirement.alarm_pending_use(found.key, found.version)

    def take_raw(self, found: KeyInUse) -> None:
        """Count one raw message against the version's limit, durably, in blocks.

        Raises :class:`UsageLimitError` past 2^32, and rotates the key from 2^31 on.
        """
        while next(found.raw_block, None) is None:
            self._reserve_raw(found)

    def record(self, key_id: str) -> Key:
        """A key's record, as fresh as what is cached of it. Raises :class:`KeyNotFoundError`."""
        found = self._records.get(key_id)
        now = monotonic()
        if found is None or now >= found[0] or now >= self._freshness.until:
            self._ensure_fresh()
            found = self._records.get(key_id)
            if found is None or now >= found[0]:
                about_to_block()
                return self._load(
                    lambda: self._provider.keys.get(key_id), lambda key: self._keep_record(key, now)
                )
        return found[1]

    def _keep_record(self, key: Key, now: float) -> Key:
        self._make_room(self._records)
        self._records[key.key_id] = (now + self._lifetime, key)
        return key

    # Misses -------------------------------------------------------------------------------

    def _find_primary(self, key_id: str) -> KeyInUse:
        self._ensure_fresh()
        found = self._primaries.get(key_id)
        if found is None or monotonic() >= found.deadline:
            about_to_block()
            name, number = parse_key_id(key_id)
            key = self.record(name)
            version = key.primary
            if number is not None and key.version(number) is not version:
                raise KeyStateError(
                    f"version {number} of key {name!r} protects nothing new;"
                    f" version {version.version} does"
                )
            found = self.opening(version.handle)
            with self._lock:
                if self._by_handle.get(version.handle) is found:
                    self._make_room(self._primaries)
                    self._primaries[key_id] = found
        return found

    def _find_by_handle(self, handle: bytes) -> KeyInUse:
        self._ensure_fresh()
        found = self._by_handle.get(handle)
        now = monotonic()
        if found is None or now >= found.deadline:
            about_to_block()
            return self._load(
                lambda: self._provider.keys.by_handle(handle),
                lambda key: self._keep_in_use(key, handle, now),
            )
        return found

    def _keep_in_use(self, key: Key, handle: bytes, now: float) -> KeyInUse:
        found = KeyInUse(self._provider, key, key.by_handle(handle), now + self._lifetime)
        self._retire(self._by_handle.pop(handle, None))
        self._retire(self._make_room(self._by_handle))
        self._by_handle[handle] = found
        return found

    def _load(self, load: Callable[[], Key], keep: Callable[[Key], _T]) -> _T:
        """Keep what ``load`` reads; read again if a change was noticed meanwhile."""
        while True:
            before = self._freshness.generation
            loaded = load()
            with self._lock:
                if self._freshness.generation == before:
                    return keep(loaded)

    def _make_room(self, cache: dict[_K, _V]) -> _V | None:
        return cache.pop(next(iter(cache))) if len(cache) >= self._bound else None

    def _retire(self, dropped: KeyInUse | None) -> None:
        # A thread may still be counting on it; its counts are written with the next flush.
        if dropped is not None:
            self._retired.append(dropped)
            for key_id in [k for k, v in self._primaries.items() if v is dropped]:
                del self._primaries[key_id]

    # Counting -----------------------------------------------------------------------------

    def _begin_day(self, found: KeyInUse, uses: Uses, kind: str, ahead: int = 0) -> None:
        about_to_block()
        with self._lock:
            now = self._provider.clock()
            today = day_of(now)
            if monotonic() < uses.day_ends and uses.day == today + ahead:
                return
            self._write_counts({(found.version.handle, uses.day, kind): uses.take()})
            self._usage.begin_day(found.version.handle, today + ahead, kind)
            uses.day = today + ahead
            uses.day_ends = monotonic() + _seconds_left(now, today)

    def _reserve_raw(self, found: KeyInUse) -> None:
        about_to_block()
        size = found.raw_block_size
        reserved = self._usage.reserve_raw(found.version.handle, size)
        found.raw_block = iter(range(size))
        found.raw_block_size = min(size * _RAW_GROWTH, _RAW_BLOCK)
        if reserved >= RAW_MESSAGES_ROTATE:
            self._provider.keys.rotate_from(found.version_id)
            self.refresh()

    def flush(self) -> None:
        """Write the counts of uses that are still in memory only."""
        with self._lock:
            counts: dict[tuple[bytes, int, str], int] = {}
            for found in (*self._by_handle.values(), *self._retired):
                for uses, kind in (
                    (found.protected, PROTECT),
                    (found.opened, OPEN),
                    (found.leased, LEASE),
                    (found.refused, REFUSED),
                ):
                    name = (found.version.handle, uses.day, kind)
                    counts[name] = counts.get(name, 0) + uses.take()
            self._write_counts(counts)
            self._retired.clear()
            self._last_flush = monotonic()

    def _write_counts(self, counts: dict[tuple[bytes, int, str], int]) -> None:
        self._usage.add({name: count for name, count in counts.items() if count})

    # Freshness ----------------------------------------------------------------------------

    def _ensure_fresh(self) -> None:
        """Read the store's generation if that is due; fail once the last reading is stale."""
        if monotonic() < self._freshness.until:
            return
        self._freshness.ensure()
        with contextlib.suppress(StoreUnavailableError):  # the counts wait for the next reading
            self._flush_if_due()

    def refresh(self) -> None:
        """Read the store's generation now, and drop what changed since the last reading.

        Raises :class:`StoreUnavailableError`.
        """
        self._freshness.refresh()
        self._flush_if_due()

    def _flush_if_due(self) -> None:
        if monotonic() - self._last_flush >= _FLUSH_SECONDS:
            self.flush()

    def changed(self, since: int, *, moved: bool) -> None:
        """Drop the keys that changed after the generation ``since``, or all if the store moved."""
        if moved:  # one that was restored may lack some of those that are here
            self._drop({*self._records, *(held.key.key_id for held in self._by_handle.values())})
            self._provider.authorities.forget()
            return
        self._drop(set(self._provider.store.keys.ids(since=since)))

    def _drop(self, changed: set[str]) -> None:
        for name in changed:
            self._records.pop(name, None)
        for handle in [k for k, v in self._by_handle.items() if v.key.key_id in changed]:
            self._retire(self._by_handle.pop(handle))

    def clear(self) -> None:
        """Write the counts and forget every key."""
        try:
            self.flush()
        finally:
            self._start()


class _Check(Protocol):
    def __call__(self, version: KeyVersion, *, allow_compromised: bool = ...) -> None: ...


def candidates(
    key: Key, number: int | None, check: _Check, allow_compromised: bool
) -> Iterator[KeyVersion]:
    """The versions to try, newest first; a version that was named must be permitted.

    Raises :class:`KeyStateError` where no version's state permits it.
    """
    if number is not None:
        version = key.version(number)
        check(version, allow_compromised=allow_compromised)
        yield version
        return
    refusal: KeyStateError | None = None
    permitted = False
    for version in reversed(key.versions):
        try:
            check(version, allow_compromised=allow_compromised)
        except KeyStateError as error:
            refusal = refusal or error
            continue
        permitted = True
        yield version
    if refusal is not None and not permitted:
        raise refusal


def check_type(key: Key, key_type: KeyType) -> None:
    """Raise :class:`KeyUsageError` unless the key is of that type."""
    if key.key_type is not key_type:
        raise KeyUsageError(
            f"key {key.key_id!r} is of type {key.key_type}; this needs one of type {key_type}"
        )
    if key.is_legacy:
        raise KeyUsageError(f"key {key.key_id!r} only opens what the XOR cipher wrote")


def _seconds_left(now: datetime, today: int) -> float:
    return (moment_of_day(today + 1) - now).total_seconds()


def _start_anew(cache: KeyCache | None) -> None:
    # A child must not count its parent's uses again, nor share its block of raw messages.
    if cache is not None:
        cache._start()
