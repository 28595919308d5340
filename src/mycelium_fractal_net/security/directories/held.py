"""What a process holds in memory of a store's records.

It is as fresh as the caches of keys (:mod:`.freshness`): a record that is revoked stops within
seconds in every process, or the process stops answering.
"""

from __future__ import annotations

from abc import abstractmethod
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar

from mycelium_fractal_net.security.blocking import about_to_block

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.key_store.freshness import Freshness

T = TypeVar("T")


class Held(Generic[T]):
    """Records in memory. Every method may be called from any thread.

    All may raise :class:`StoreUnavailableError` where what is in memory can no longer be known to
    be good.
    """

    def __init__(self, provider: StoredKeyProvider, freshness: Freshness) -> None:
        self._provider = provider
        self._freshness = freshness
        self._held: T | None = None
        freshness.subscribe(self)

    @abstractmethod
    def _read(self, before: T | None, since: int) -> T:
        """What is there, where ``before`` was there at the store's generation ``since``."""

    def load(self) -> T:
        """Read everything, so that no request has to wait for that."""
        about_to_block()
        self._freshness.ensure()
        while True:
            before = self._freshness.generation
            read = self._read(None, -1)
            with self._freshness.lock:
                if self._freshness.generation == before:
                    self._held = read
                    return read

    def _fresh(self) -> T:
        if monotonic() >= self._freshness.until:
            self._freshness.ensure()
        held = self._held
        return self.load() if held is None else held

    def changed(self, since: int, *, moved: bool) -> None:
        """Read again what changed after ``since``, or all where the store moved."""
        if self._held is not None:
            # A store that was restored may lack some of those that are here.
            self._held = self._read(None, -1) if moved else self._read(self._held, since)
