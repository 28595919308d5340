"""Unwrapped keys, held for a while so that steady traffic asks neither store nor custodian.

What is cached is used only while it is fresh (:mod:`.freshness`): a suspended or compromised
key stops everywhere within seconds, or the caller gets :class:`StoreUnavailableError`. In a
thread that refuses to wait every miss raises :class:`WouldBlockError` (:mod:`.blocking`).
"""

from __future__ import annotations

import contextlib
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeVar

from mycelium_fractal_net.security.blocking import about_to_ask, about_to_block
from mycelium_fractal_net.security.errors import (
    KeyNotFoundError,
    KeyStateError,
    StoreUnavailableError,
)
from mycelium_fractal_net.security.forking import in_child
from mycelium_fractal_net.security.key_store.usage import PROTECT
from mycelium_fractal_net.security.keyring.at_exit import forget, write_at_exit, write_counts
from mycelium_fractal_net.security.keyring.candidates import check_type
from mycelium_fractal_net.security.keyring.counting import UseCounts
from mycelium_fractal_net.security.keyring.key_in_use import KeyInUse, nobody
from mycelium_fractal_net.security.keyring.named_handles import ABSENT, NamedHandles, may_use
from mycelium_fractal_net.security.records.keys import SEALS, Key, KeyType, parse_key_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.key_store import UsageStore
    from mycelium_fractal_net.security.key_store.freshness import Freshness
    from mycelium_fractal_net.security.records.open_options import Permit

_FLUSH_SECONDS: Final = 30.0

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
        self.counts = UseCounts(provider, usage, freshness)
        self._freshness = freshness
        self._lifetime = lifetime
        self._bound = bound
        self._nobody = nobody(provider)
        self._start()
        freshness.subscribe(self)
        provider.retirement.counters.add(self)
        provider.wrapping.holders.add(self)
        # It must not count its parent's uses again, nor share its block of raw messages.
        in_child(self, KeyCache._start)
        write_at_exit(self)

    def _start(self) -> None:
        self._lock = self._freshness.lock
        self._primaries: dict[str, KeyInUse] = {}
        self._by_handle: dict[bytes, KeyInUse] = {}
        self._records: dict[str, tuple[float, Key]] = {}
        self._named = NamedHandles(self._provider.keys.named, self._lifetime)
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
        if found.asks:
            about_to_ask()
        uses = found.protected
        if now >= uses.day_ends:
            self.counts.begin_day(found, uses, PROTECT)
        next(uses.ticks)
        return found

    def opening(self, handle: bytes, permit: Permit | None = None) -> KeyInUse:
        """The version with that handle; whether it may open is for the caller to check.

        With ``permit``, a version of a key that encrypts and that it lets pass. Raises
        :class:`KeyNotFoundError` after the same work whether there is none or it is out of reach.
        """
        now = monotonic()
        if now >= self._freshness.until:
            self._ensure_fresh()
        found = self._by_handle.get(handle, self._nobody)
        key = found.key
        # In this order, or what is not there would be looked at less than what is out of reach.
        if not may_use(permit, key.key_id, key.key_type in SEALS) or now >= found.deadline:
            found = self._find_by_handle(handle, permit, now)
        return found

    def opens(self, handle: bytes, key_id: str, key_type: KeyType) -> KeyInUse | None:
        """The active version of that key with that handle; counts one opening by it.

        None for any other, and where it was not at work yet, lately or today: :meth:`opening`
        finds it then, or says what is wrong.
        """
        found = self._by_handle.get(handle)
        if found is None or found.active_type is not key_type or found.key.key_id != key_id:
            return None
        now = monotonic()
        uses = found.opened
        if now >= found.deadline or now >= self._freshness.until or now >= uses.day_ends:
            return None
        next(uses.ticks)
        return found

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

    def named(self, key_id: str) -> Key:
        """The record of the key that an id or a version id names; the version must be there."""
        name, number = parse_key_id(key_id)
        return self.record(name).check_has(number)

    def _keep_record(self, key: Key, now: float) -> Key:
        self._make_room(self._records)
        self._records[key.key_id] = (now + self._lifetime, key)
        return key

    # Misses -------------------------------------------------------------------------------

    def _find_primary(self, key_id: str) -> KeyInUse:
        self._ensure_fresh()
        known = self._primaries.get(key_id)
        if known is not None and monotonic() < known.deadline:
            return known
        name, number = parse_key_id(key_id)
        while True:
            about_to_block()
            key = self.record(name)
            version = key.primary
            if number is not None and key.version(number) is not version:
                raise KeyStateError(
                    f"version {number} of key {name!r} protects nothing new;"
                    f" version {version.version} does"
                )
            found = self.opening(version.handle)
            with self._lock:
                if found.key.primary_or_none is found.version:
                    if self._by_handle.get(version.handle) is found:
                        self._make_room(self._primaries)
                        self._primaries[key_id] = found
                    return found
                # It was rotated, or taken out of use, since its record was read.
                self._records.pop(name, None)

    def _find_by_handle(self, handle: bytes, permit: Permit | None, now: float) -> KeyInUse:
        name = self._named.get(handle, now)
        if name is None and permit is not None:
            # Asked for the name alone, whatever there is: a key out of reach is not read for this.
            about_to_block()
            name = self._load(
                lambda: self._named.read([handle])[handle],
                lambda read: self._named.noted(handle, read, permit, now),
            )
        if name is not None and not name.is_reached(permit):
            raise KeyNotFoundError("no key version has that handle")
        about_to_block()
        before = self._freshness.generation
        try:
            return self._load(
                lambda: self._provider.keys.by_handle(handle),
                lambda key: self._keep_in_use(key, handle, now),
            )
        except KeyNotFoundError:
            with self._lock:
                if self._freshness.generation == before:
                    self._named.keep(handle, ABSENT, now)
            raise

    def look_up(self, handles: Iterable[bytes], permit: Permit | None) -> None:
        """Find out about many handles that messages name with what one of them costs.

        Where it is a single one that is not known, nothing is read: it takes what it takes alone.
        """
        self._ensure_fresh()
        now = monotonic()
        new = [each for each in handles if self._takes_a_read(each, permit, now)]
        if len(new) < 2:
            return
        about_to_block()
        before = self._freshness.generation
        names = self._named.read(new)
        reached = {each: name.key_id for each, name in names.items() if name.is_reached(permit)}
        there = self._provider.keys.by_names(set(reached.values()))
        with self._lock:
            if self._freshness.generation != before:
                return  # each is looked up by itself
            for handle, name in names.items():
                if handle not in reached:
                    self._named.keep(handle, name, now)
                    continue
                key = there.get(name.key_id)
                if key is not None and key.has_handle(handle) and handle not in self._by_handle:
                    self._keep_in_use(key, handle, now)

    def _takes_a_read(self, handle: bytes, permit: Permit | None, now: float) -> bool:
        """Whether that handle has to be asked for, as it has where its key is out of reach."""
        found = self._by_handle.get(handle, self._nobody)
        in_use = (
            may_use(permit, found.key.key_id, found.key.key_type in SEALS) and now < found.deadline
        )
        return not in_use and self._named.get(handle, now) is None

    def _keep_in_use(self, key: Key, handle: bytes, now: float) -> KeyInUse:
        found = KeyInUse(self._provider, key, key.by_handle(handle), now + self._lifetime)
        self._retire(self._by_handle.pop(handle, None))
        self._retire(self._make_room(self._by_handle))
        self._by_handle[handle] = found
        return found

    def _load(self, load: Callable[[], _V], keep: Callable[[_V], _T]) -> _T:
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
            dropped.forget()
            self._retired.append(dropped)
            for key_id in [k for k, v in self._primaries.items() if v is dropped]:
                del self._primaries[key_id]

    # Freshness ----------------------------------------------------------------------------

    def flush(self) -> None:
        """Write the counts of uses that are still in memory only, and drop what has expired."""
        now = monotonic()
        with self._lock:
            for handle in [k for k, v in self._by_handle.items() if now >= v.deadline]:
                self._retire(self._by_handle.pop(handle))
            self.counts.write((*self._by_handle.values(), *self._retired))
            self._retired.clear()
            self._last_flush = monotonic()

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
        self._named.forget()
        if moved:  # one that was restored may lack some of those that are here
            self._drop({*self._records, *(key.key_id for key in self._held())})
            self._provider.record_macs.forget()
            return
        self._drop(set(self._provider.store.keys.ids(since=since)))

    def _drop(self, changed: set[str]) -> None:
        for name in changed:
            self._records.pop(name, None)
        for handle in [k for k, v in self._by_handle.items() if v.key.key_id in changed]:
            self._retire(self._by_handle.pop(handle))

    def refused(self, master_id: str) -> None:
        """Drop what is under that master key, which its custodian refuses."""
        with self._lock:
            self._drop({k.key_id for k in self._held() if k.master_id == master_id})

    def _held(self) -> Iterator[Key]:
        return (held.key for held in self._by_handle.values())

    def close(self) -> None:
        """Write the counts, forget every key, and give out none any more."""
        self._freshness.close()
        forget(self)
        write_counts(self)
        for held in list(self._by_handle.values()):
            held.forget()
        self._start()
