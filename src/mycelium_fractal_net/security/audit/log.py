"""The log that a process writes: records in a chain, many of them durable with one sync.

*Durable* means that fdatasync returned. A record that is appended waits for a writer in a thread
of its own, which takes all that wait, writes them at once, syncs once, and tells.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.security.audit.actor import current_actor, current_request
from mycelium_fractal_net.security.audit.chain import sealed
from mycelium_fractal_net.security.audit.events import INTENT, OK, Event, encode
from mycelium_fractal_net.security.audit.held_chain import OPENED, HeldChain, hold_chain
from mycelium_fractal_net.security.audit.segment_file import SegmentFile
from mycelium_fractal_net.security.blocking import about_to_block
from mycelium_fractal_net.security.errors import (
    AuditUnavailableError,
    ConflictError,
    MfnError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from mycelium_fractal_net.security.key_store import KeyStore
    from mycelium_fractal_net.security.key_store.authority import Mac

__all__ = ["AuditLog", "Statistics"]

_LOG: Final = logging.getLogger(__name__)
_MOST_PENDING: Final = 100_000  # records that wait for a disk that does not answer
_ANCHOR_SECONDS: Final = 1.0
_SUMMARY_SECONDS: Final = 1.0  # between records of refusals before authentication
_RETRY_SECONDS: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
_MOST_REASONS: Final = 64
_FAILED: Final = "the audit record cannot be written"


@dataclass(frozen=True, slots=True)
class Statistics:
    """For metrics: records that are not durable yet, segments given up, the last sync's time."""

    pending: int
    segments_abandoned: int
    sync_seconds: float


class AuditLog:
    """One process's audit log. All methods may be called from any thread.

    ``key`` gives the store's audit key when the chain is opened, which is at the first record or
    by :meth:`open`. ``resolve`` turns the open intents of a process that is gone into outcomes.
    ``export`` gets the lines that have become durable. ``listener`` is called by the writer
    after each sync with the sequence that is now durable and whether writing failed.
    """

    def __init__(
        self,
        folder: Path,
        store: KeyStore,
        store_id: bytes,
        key: Callable[[], Mac],
        *,
        segment_bytes: int = 67_108_864,
        export: Callable[[list[bytes]], None] | None = None,
        resolve: Callable[[list[dict[str, Any]]], Iterable[Event]] | None = None,
    ) -> None:
        self.folder = folder
        self.listener: Callable[[int, bool], None] | None = None
        self._store = store
        self._store_id = store_id
        self._load_key = key
        self._segment_bytes = segment_bytes
        self._export = export
        self._resolve = resolve
        self._start_anew()
        this = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _in_child(this()))

    def _start_anew(self) -> None:
        self._opening = threading.Lock()
        self._lock = threading.Lock()
        self._synced = threading.Condition(self._lock)
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._chain: HeldChain | None = None
        self._file: SegmentFile | None = None
        self._threads: list[threading.Thread] = []
        self._pending: list[tuple[int, bytes]] = []
        self._unsynced: list[tuple[int, bytes]] = []
        self._sequence = self._durable = self._refused_through = self._anchored = 0
        self._mac = self._durable_mac = b""
        self._failing = self._closed = False
        self._abandoned = 0
        self._sync_seconds = 0.0
        self._second, self._second_text = -1, ""
        self._refusals: dict[str, int] = {}
        self._next_summary = 0.0

    # Writing ------------------------------------------------------------------------------

    def open(self) -> None:
        """Take a chain, so that no record has to wait for that.

        Raises :class:`AuditUnavailableError` and :class:`StoreError`.
        """
        with self._opening:
            if self._chain is not None:
                return
            about_to_block()
            self._closed = False
            key = self._load_key()
            try:
                chain = hold_chain(self.folder, self._store, key, self._store_id)
            except OSError as error:
                raise AuditUnavailableError(
                    f"the audit folder {self.folder} cannot be used: {error.strerror}"
                ) from None
            tail = chain.tail
            self._sequence = self._durable = self._anchored = tail.sequence
            self._mac = self._durable_mac = tail.mac
            self._file = SegmentFile(chain.folder, tail.segment, self._segment_bytes)
            self._chain = chain
            for work in (self._write_loop, self._anchor_loop):
                thread = threading.Thread(target=work, name="mfn-audit", daemon=True)
                thread.start()
                self._threads.append(thread)
        self._tell_of_the_former(chain)

    def _tell_of_the_former(self, chain: HeldChain) -> None:
        intents = chain.open_intents()
        self.append(Event(OPENED, OK, actor="system"))
        if chain.tail.torn:
            self.append(Event("audit.torn", OK, actor="system", bytes=chain.tail.torn))
        if intents and self._resolve is not None:
            for event in self._resolve(intents):
                self.append(event)

    def append(self, event: Event) -> int:
        """Put a record into the chain; returns its sequence, for :meth:`wait`. Never blocks.

        Raises :class:`AuditUnavailableError` while records cannot be written.
        """
        if self._chain is None:
            self.open()
        encoded = encode(event)
        with self._lock:
            chain = self._chain
            if self._failing or chain is None or len(self._pending) >= _MOST_PENDING:
                raise AuditUnavailableError(_FAILED)
            sequence = self._sequence + 1
            body = b'{"sequence":%d,"time":"%b",%b' % (sequence, self._now(), encoded[1:-1])
            line, self._mac = sealed(body, self._mac, chain.key)
            self._sequence = sequence
            self._pending.append((sequence, line))
        if not self._wake.is_set():
            self._wake.set()
        return sequence

    def _now(self) -> bytes:
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        if seconds != self._second:
            self._second = seconds
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        return b"%b.%06dZ" % (self._second_text.encode(), nanoseconds // 1000)

    def wait(self, sequence: int, timeout: float = 30.0) -> None:
        """Return once that record is durable. Raises :class:`AuditUnavailableError`."""
        deadline = time.monotonic() + timeout
        with self._synced:
            while self._durable < sequence:
                left = deadline - time.monotonic()
                if self._refused_through >= sequence or self._chain is None or left <= 0:
                    raise AuditUnavailableError(_FAILED)
                self._synced.wait(left)

    def record(self, event: Event) -> int:
        """Put a record into the chain and return, with its sequence, once it is durable."""
        sequence = self.append(event)
        self.wait(sequence)
        return sequence

    def refused(self, reason: str) -> None:
        """Count a refusal before authentication; at most one record a second sums them up."""
        with self._lock:
            if reason in self._refusals or len(self._refusals) < _MOST_REASONS:
                self._refusals[reason] = self._refusals.get(reason, 0) + 1
        self._wake.set()

    # Changes ------------------------------------------------------------------------------

    def now(self, event: str, outcome: str = OK, **more: Any) -> int:
        """Record, durably, what the current actor does; returns the record's sequence."""
        actor, request = current_actor(), current_request()
        return self.record(Event(event, outcome, actor=actor, request=request, **more))

    @contextlib.contextmanager
    def change(self, event: str, **more: Any) -> Iterator[None]:
        """Record a change: its intent before the block runs, its outcome before this returns."""
        named = {name: more[name] for name in ("key", "subject") if name in more}
        intent = self.now(event, INTENT, **more)
        try:
            yield
        except BaseException as error:
            outcome = "conflict" if isinstance(error, ConflictError) else "failed"
            with contextlib.suppress(AuditUnavailableError):  # then the intent stays open
                self.now(event, outcome, intent=intent, **named)
            raise
        self.now(event, OK, intent=intent, **named)

    # States -------------------------------------------------------------------------------

    @property
    def healthy(self) -> bool:
        """Whether records can be written, as far as is known."""
        return not self._failing

    @property
    def stats(self) -> Statistics:
        """Figures for metrics."""
        return Statistics(self._sequence - self._durable, self._abandoned, self._sync_seconds)

    def close(self) -> None:
        """Write what waits, tell the store how far the chain has come, let go of it."""
        with self._opening:
            chain = self._chain
            if chain is None:
                return
            with self._lock:
                self._closed = True
            self._ended.set()
            self._wake.set()
            for thread in self._threads:
                thread.join()
            self._anchor(closed=not self._failing and self._durable == self._sequence)
            if self._file is not None:
                self._file.close()
            chain.release()
            self._start_anew()

    # The writer ---------------------------------------------------------------------------

    def _write_loop(self) -> None:
        tries = 0
        while True:
            self._wake.wait(self._patience(tries))
            self._wake.clear()
            self._sum_up_refusals()
            with self._lock:
                self._unsynced += self._pending
                self._pending = []
                closed = self._closed
            if self._unsynced:
                tries = 0 if self._write() else tries + 1
            if closed and (not self._pending or tries):
                return

    def _patience(self, tries: int) -> float | None:
        if self._closed:
            return 0.0
        if tries:
            return _RETRY_SECONDS[min(tries, len(_RETRY_SECONDS)) - 1]
        return _SUMMARY_SECONDS if self._refusals else None

    def _write(self) -> bool:
        """Make the records that wait durable; returns whether they are."""
        lines, file = self._unsynced, self._file
        if file is None:
            return False
        started = time.monotonic()
        failed = not file.write([line for _, line in lines], lines[0][0])
        self._sync_seconds = time.monotonic() - started
        with self._synced:
            if failed:
                if not self._failing:
                    _LOG.error(
                        "audit records cannot be written; nothing is answered until they can"
                    )
                self._failing = True
                self._abandoned += 1
                self._refused_through = self._sequence
            else:
                if self._failing:
                    _LOG.warning("audit records can be written again")
                self._failing = False
                self._durable, last = lines[-1]
                self._durable_mac = _mac_of(last)
                self._unsynced = []
            self._synced.notify_all()
        if self.listener is not None:
            self.listener(self._durable, failed)
        if not failed and self._export is not None:
            self._export([line for _, line in lines])
        return not failed

    def _sum_up_refusals(self) -> None:
        now = time.monotonic()
        if not self._refusals or self._failing or (now < self._next_summary and not self._closed):
            return
        with self._lock:
            counts, self._refusals = self._refusals, {}
        self._next_summary = now + _SUMMARY_SECONDS
        self.append(Event("refused", "unauthenticated", actor="anonymous", items={"-": counts}))

    # The anchor ---------------------------------------------------------------------------

    def _anchor_loop(self) -> None:
        while not self._ended.wait(_ANCHOR_SECONDS):
            self._anchor(closed=False)

    def _anchor(self, *, closed: bool) -> None:
        """Tell the store how far the chain has come. That it does not answer stops nothing."""
        chain = self._chain
        with self._lock:
            durable, mac = self._durable, self._durable_mac
        if chain is None or (durable == self._anchored and not closed):
            return
        try:
            self._store.anchor_chain(chain.anchor(durable, mac, closed=closed))
            self._anchored = durable
        except MfnError as error:
            _LOG.warning("the store was not told of the audit chain: %s", error)

    def _after_fork(self) -> None:
        # The chain is the parent's: this process gets one of its own with its first record.
        chain, file = self._chain, self._file
        self._start_anew()
        if file is not None:
            file.close()
        if chain is not None:
            chain.release()


def _mac_of(line: bytes) -> bytes:
    return bytes.fromhex(line[-67:-3].decode())


def _in_child(log: AuditLog | None) -> None:
    if log is not None:
        log._after_fork()
