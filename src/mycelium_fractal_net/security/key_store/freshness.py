"""How old the store may be that a process has in memory.

Whatever is cached of the store is used only while its generation was read less than
:data:`STALE_SECONDS` ago: a suspended key or a revoked credential stops everywhere within that
time, or the caller gets :class:`StoreUnavailableError`. Ages are taken from the monotonic
clock. All caches of a process share one :class:`Freshness`, so that one reading serves them.
"""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from mycelium_fractal_net.security.blocking import about_to_block
from mycelium_fractal_net.security.errors import StoreUnavailableError
from mycelium_fractal_net.security.forking import in_child

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_store import KeyStore


REFRESH_SECONDS: Final = 2.0
STALE_SECONDS: Final = 5.0
_RETRY_SECONDS: Final = 0.2  # between reads while the store does not answer
_WAIT_SECONDS: Final = 1.0  # for somebody else's reading, once what is cached is stale
_SILENT: Final = "the key store does not answer, and what is known of it is too old"

NEVER: Final = float("-inf")  # before every reading of the monotonic clock


class StoreCache(Protocol):
    """What caches rows of the store."""

    def changed(self, since: int, *, moved: bool) -> None:
        """Drop, or read again, what changed after the generation ``since``.

        Called under :attr:`Freshness.lock`. ``moved`` says that the store went to another master
        key, or is another one, restored from a backup: then nothing of before is worth anything.
        Where this raises, it is called again with the same ``since`` at the next reading.
        """


class Freshness:
    """When the store's generation was last read, and who is told that it moved.

    ``until`` is the monotonic moment until which cached rows may be used. ``generation`` is that
    of the last reading, ``restored_at`` when by then the store had come from a backup, in
    microseconds: what keeps rows that it read takes ``lock`` to do so, and reads them
    again where the generation is another one than before it began.
    """

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self._closed = False
        self._listeners: list[StoreCache] = []
        self._master_id = ""
        self.restored_at: int | None = None
        self.generation = -1
        self._start()
        # A thread of the parent may hold the lock, and its reading may be older than it looks.
        in_child(self, Freshness._start)

    def _start(self) -> None:
        self.lock = threading.RLock()
        self.until = self._failed_at = NEVER
        self._last_read = NEVER
        self._cause: StoreUnavailableError | None = None

    def subscribe(self, listener: StoreCache) -> None:
        """From now on tell ``listener`` of every change. It lives as long as this does."""
        with self.lock:
            self._listeners.append(listener)

    def age(self) -> float | None:
        """Seconds since the store was last read; None where it never was."""
        return None if self._last_read == NEVER else monotonic() - self._last_read

    def left(self) -> float:
        """Seconds for which what is cached may be used yet, if the store is not read again."""
        return max(0.0, self._last_read + STALE_SECONDS - monotonic())

    def close(self) -> None:
        """From now on nothing that is cached may be used, and nothing is read again."""
        with self.lock:
            self._closed = True
            self.until = NEVER

    def ensure(self) -> None:
        """Read the store's generation if that is due.

        Raises :class:`StoreUnavailableError` once the last reading is stale. Of many threads one
        reads for all; where the store is silent the others do not wait as long as it may have to.
        """
        now = monotonic()
        if now < self.until:
            return
        self._check_open()
        about_to_block()
        left = STALE_SECONDS if self._last_read == NEVER else self._last_read + STALE_SECONDS - now
        if not self.lock.acquire(timeout=max(_WAIT_SECONDS, left)):
            raise self.silent()
        try:
            self._read_if_due(now)
        finally:
            self.lock.release()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailableError("the keyring was closed; open another one")

    def silent(self) -> StoreUnavailableError:
        """The error where the last reading is stale: with the cause that the last attempt met."""
        if self._cause is None:
            return StoreUnavailableError(_SILENT)
        return type(self._cause)(str(self._cause), detail=self._cause.detail)

    def _read_if_due(self, asked: float) -> None:
        """Read, unless somebody did, in vain or not, since the moment ``asked``."""
        if monotonic() < self.until:
            return
        if self._failed_at > asked:
            raise self.silent()
        try:
            self.refresh()
        except StoreUnavailableError as error:
            self._cause = error
            now = monotonic()  # to learn that nobody answers may have taken seconds
            if self._closed or now - self._last_read >= STALE_SECONDS:
                self._failed_at = now
                raise
            self.until = min(now + _RETRY_SECONDS, self._last_read + STALE_SECONDS)

    def refresh(self) -> None:
        """Read the store's generation now, and tell the listeners what moved.

        Raises :class:`StoreUnavailableError`, and :class:`StoreIntegrityError` where the tables
        are not as they were made: a trigger could hold the generation where it is.
        """
        about_to_block()
        with self.lock:
            self._check_open()
            now = monotonic()
            status = self._store.require_status()
            self._store.database.watch()
            if status.generation != self.generation:
                if self.generation >= 0:
                    former = (self._master_id, self.restored_at)
                    moved = (status.master_id, status.restored_at) != former
                    for listener in self._listeners:
                        listener.changed(self.generation, moved=moved)
                self.generation = status.generation
                self._master_id, self.restored_at = status.master_id, status.restored_at
            self._last_read = now
            self._cause = None
            self.until = now + REFRESH_SECONDS
