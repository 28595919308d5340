"""The thread that makes records durable, many with one sync, and tells who waits for them."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.audit.events import Event
from mycelium_fractal_net.security.errors import AuditUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.security.audit.export import Exporter
    from mycelium_fractal_net.security.audit.locked_chain import LockedChain
    from mycelium_fractal_net.security.audit.queue import Queue
    from mycelium_fractal_net.security.audit.segment_file import SegmentFile

_LOG: Final = logging.getLogger(__name__)
_LOOK_SECONDS: Final = 1.0  # between two looks at the lock
_RETRY_SECONDS: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
_REFUSALS_SECONDS: Final = 1.0  # between two records of refusals
_MOST_REASONS: Final = 64
_OTHER: Final = "other"


@dataclass(frozen=True, slots=True)
class Statistics:
    """For metrics: records that are not durable yet, segments given up, the last sync's time.

    ``unanchored`` durable records lie past what the store was told, the oldest for ``anchor_age``
    seconds.
    """

    pending: int = 0
    segments_abandoned: int = 0
    sync_seconds: float = 0.0
    unanchored: int = 0
    anchor_age: float = 0.0


class RefusalCounts:
    """Refusals before authentication, summed up by reason: a stranger must not fill the disk."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._next = 0.0

    def count(self, reason: str) -> bool:
        """Count one; returns whether it is the first of those that are summed up."""
        with self._lock:
            first = not self._counts
            if reason not in self._counts and len(self._counts) >= _MOST_REASONS:
                reason = _OTHER
            self._counts[reason] = self._counts.get(reason, 0) + 1
            return first

    def patience(self) -> float | None:
        """Seconds until a record is due; None where nothing was counted."""
        return max(0.0, self._next - time.monotonic()) if self._counts else None

    def due(self, *, at_once: bool) -> Event | None:
        """The record that is due, or ``at_once`` if there is anything to tell."""
        now = time.monotonic()
        with self._lock:
            if not self._counts or (now < self._next and not at_once):
                return None
            counts, self._counts = self._counts, {}
            self._next = now + _REFUSALS_SECONDS
        return Event("refused", "unauthenticated", actor="anonymous", items={"-": counts})


class Writer:
    """Takes all that waits, writes it at once, syncs once, and tells; then begins again.

    There is no linger: while one sync lasts, the records for the next one gather. ``told`` is
    called after each with the last durable sequence and whether writing failed.
    """

    def __init__(
        self,
        chain: LockedChain,
        queue: Queue,
        file: SegmentFile,
        refusals: RefusalCounts,
        told: Callable[[int, bool], None],
        exporter: Exporter | None,
    ) -> None:
        self._sync_seconds = 0.0
        self._looked = 0.0  # at the chain's lock, by the monotonic clock
        self._kept = True
        self._chain = chain
        self._queue = queue
        self._file = file
        self._refusals = refusals
        self._told = told
        self._exporter = exporter
        self._unsynced: list[bytes] = []
        self._tries = 0
        self._ending = threading.Event()
        # A program that ends without closing its keyring must end; nobody was told of the rest.
        self._thread = threading.Thread(target=self._run, name="mfn-audit", daemon=True)
        self._thread.start()

    def statistics(self) -> Statistics:
        """The figures now."""
        queue = self._queue
        return Statistics(
            queue.sequence - queue.durable,
            self._file.given_up,
            self._sync_seconds,
            queue.durable - queue.anchored,
            queue.anchor_age,
        )

    def close(self) -> None:
        """Write what waits, with one more try where the disk refused, and end."""
        self._ending.set()
        self._queue.wake.set()
        self._thread.join()
        self._file.close()

    def _run(self) -> None:
        while True:
            if self._tries:
                # Not the queue's word: refusals that are counted must not make the disk busy.
                self._ending.wait(_RETRY_SECONDS[min(self._tries, len(_RETRY_SECONDS)) - 1])
            else:
                self._queue.wake.wait(self._refusals.patience())
            ending = self._ending.is_set()
            self._queue.wake.clear()
            if not self._queue.failing and (event := self._refusals.due(at_once=ending)):
                with contextlib.suppress(AuditUnavailableError):  # the line is full
                    self._queue.put(event)
            self._unsynced += self._queue.take()
            if self._unsynced:
                self._tries = 0 if self._write() else self._tries + 1
            if ending:
                return

    def _is_kept(self) -> bool:
        """Whether the chain is this process's, as a look once a second says."""
        now = time.monotonic()
        if self._kept and now - self._looked < _LOOK_SECONDS:
            return True
        self._looked = now
        was_kept, self._kept = self._kept, False
        with contextlib.suppress(OSError):
            self._kept = self._chain.is_kept(self._file.path)
        if was_kept and not self._kept:
            _LOG.error("the lock of audit chain %s is lost", self._chain.folder.name)
        return self._kept

    def _write(self) -> bool:
        """Make the records that wait durable; returns whether they are."""
        lines, started = self._unsynced, time.monotonic()
        written = self._is_kept() and self._file.write(lines, self._queue.durable + 1)
        self._sync_seconds = time.monotonic() - started
        if written:
            if self._queue.failing:
                _LOG.warning("audit records can be written again")
            self._unsynced = []
            self._queue.written(lines)
        else:
            if not self._queue.failing:
                _LOG.error("audit records cannot be written; nothing is answered until they can")
            self._queue.failed()
        try:
            self._told(self._queue.durable, not written)
        except Exception:
            _LOG.exception("who listens to the audit log failed")
        if written and self._exporter is not None:
            self._exporter.put(lines)
        return written
