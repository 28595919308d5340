"""The log that a process writes: records in a chain, many of them durable with one sync.

*Durable* means that fdatasync returned. A record that is appended waits for a writer in a thread
of its own. The chain is opened with the first record, by each process for itself.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mycelium_fractal_net.security.audit.anchor_thread import AnchorThread
from mycelium_fractal_net.security.audit.events import (
    INTENT,
    OK,
    Event,
    current_actor,
    current_request,
)
from mycelium_fractal_net.security.audit.export import Exporter
from mycelium_fractal_net.security.audit.locked_chain import LockedChain, lock_free_chain
from mycelium_fractal_net.security.audit.queue import Queue
from mycelium_fractal_net.security.audit.segment_file import SegmentFile
from mycelium_fractal_net.security.audit.writer import RefusalCounts, Statistics, Writer
from mycelium_fractal_net.security.blocking import about_to_block
from mycelium_fractal_net.security.errors import (
    AuditUnavailableError,
    ConflictError,
    MfnError,
)
from mycelium_fractal_net.security.forking import OfOneProcess, in_child
from mycelium_fractal_net.security.key_store.audit_table import Acknowledged
from mycelium_fractal_net.security.key_store.finding_table import AcknowledgedFinding
from mycelium_fractal_net.security.key_store.rows import micros

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from mycelium_fractal_net.security.audit.chain import ChainKey
    from mycelium_fractal_net.security.audit.verification import ChainFault
    from mycelium_fractal_net.security.key_store import KeyStore

    Resolve = Callable[[list[dict[str, Any]]], Iterable[Event]]


@dataclass(frozen=True, slots=True)
class _Open:
    """What there is while a chain is open."""

    chain: LockedChain
    queue: Queue
    file: SegmentFile
    writer: Writer
    anchors: AnchorThread
    exporter: Exporter | None


class AuditLog(OfOneProcess):
    """One process's audit log. All methods may be called from any thread.

    ``key`` gives the store's audit key when the chain is opened, which is at the first record or
    by :meth:`open`. ``resolve`` turns open intents, as records, into their outcomes. ``sink``
    gets the lines that have become durable, in a thread of its own. ``listener`` is called by
    the writer after each sync with the last durable sequence and whether writing failed.
    """

    def __init__(
        self,
        folder: Path,
        store: KeyStore,
        key: Callable[[], ChainKey],
        *,
        segment_bytes: int = 67_108_864,
        sink: Callable[[list[bytes]], None] | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        self.folder = folder
        self.listener: Callable[[int, bool], None] | None = None
        self._store = store
        self._key = key
        self._segment_bytes = segment_bytes
        self._sink = sink
        self._resolve = resolve
        self._opening = threading.RLock()
        self._begin()
        in_child(self, AuditLog._leave)

    def _begin(self) -> None:
        self._open: _Open | None = None
        self._queue: Queue | None = None
        self._refusals = RefusalCounts()

    # Writing ------------------------------------------------------------------------------

    def open(self) -> None:
        """Take a chain, so that no record has to wait for that.

        Raises :class:`AuditUnavailableError` and :class:`StoreError`.
        """
        self._opened()

    def append(self, event: Event, *, wake: bool = True) -> int:
        """Put a record into the chain; returns its sequence, for :meth:`wait`. Never blocks.

        Only the first one may: it opens the chain. Without ``wake`` the writer is not called
        for it: do so with :meth:`wake` once all that belongs together is there.
        Raises :class:`AuditUnavailableError` while records cannot be written.
        """
        return (self._queue or self._opened()).put(event, wake=wake)

    def wake(self) -> None:
        """Call the writer for what was appended without."""
        if self._queue is not None:
            self._queue.wake.set()

    def wait(self, sequence: int, timeout: float = 30.0) -> None:
        """Return once that record is durable. Raises :class:`AuditUnavailableError`."""
        queue = self._queue
        if queue is None:
            raise AuditUnavailableError("the audit log is closed")
        about_to_block()
        queue.wait(sequence, timeout)

    def record(self, event: Event) -> int:
        """Put a record into the chain and return, with its sequence, once it is durable."""
        about_to_block()
        sequence = self.append(event)
        self.wait(sequence)
        return sequence

    def refused(self, reason: str) -> None:
        """Count a refusal before authentication; at most one record a second sums them up."""
        if self._refusals.count(reason) and self._queue is not None:
            self._queue.wake.set()

    # Changes ------------------------------------------------------------------------------

    def now(self, event: str, outcome: str = OK, **more: Any) -> int:
        """Record, durably, what the current actor does; returns the record's sequence."""
        actor, request = current_actor(), current_request()
        return self.record(Event(event, outcome, actor=actor, request=request, **more))

    @contextlib.contextmanager
    def change(self, event: str, **more: Any) -> Iterator[None]:
        """Record a change: its intent before the block runs, its outcome before this returns."""
        intent = self.now(event, INTENT, **more)
        named = {name: more[name] for name in ("key", "subject") if name in more}
        try:
            yield
        except ConflictError:
            self.now(event, "conflict", intent=intent, **named)
            raise
        except BaseException:
            # Whether the store has it is for the store to say, now or when it answers again.
            with contextlib.suppress(MfnError):
                self._settle([{**more, "event": event, "sequence": intent}])
            raise
        self.now(event, OK, intent=intent, **named)

    def acknowledge(self, faults: Sequence[ChainFault], reason: str, at: datetime) -> None:
        """Record that the current actor knows of these faults, and have the store keep it."""
        key, actor, micros_at = self._key(), current_actor(), micros(at)
        for chain, count in Counter(fault.chain for fault in faults).items():
            self.now("audit.acknowledge", subject=chain or None, reason=reason, count=count)
        rows = (Acknowledged(*fault[:3], reason, actor, micros_at) for fault in faults)
        self._store.acknowledge([key.authenticated(row) for row in rows])

    def acknowledge_finding(
        self, finding: str, subject: str, *, reason: str, at: datetime, until: datetime
    ) -> None:
        """Record that the current actor lives with a finding of doctor's, and have the store keep
        it. ``subject`` is empty for all findings of that check."""
        row = AcknowledgedFinding(
            finding, subject, reason, current_actor(), micros(at), micros(until)
        )
        ends = f"{until:%Y-%m-%dT%H:%M:%SZ}"
        named = f"{finding} {subject}".rstrip()
        self.now("finding.acknowledge", subject=named, reason=reason, until=ends)
        self._store.acknowledge_finding(self._key().authenticated(row))

    def withdraw_finding(self, finding: str, subject: str, *, reason: str | None) -> bool:
        """Record that this is a finding again, and have the store forget what was said of it.

        Returns whether anything was.
        """
        self.now("finding.withdraw", subject=f"{finding} {subject}".rstrip(), reason=reason)
        return self._store.withdraw_finding(finding, subject)

    def _settle(self, intents: list[dict[str, Any]]) -> None:
        for event in self._resolve(intents) if self._resolve is not None else ():
            self.record(event)

    # States -------------------------------------------------------------------------------

    @property
    def failing(self) -> bool:
        """Whether the last records could not be written."""
        queue = self._queue
        return queue is not None and queue.failing

    @property
    def healthy(self) -> bool:
        """Whether records are taken, as far as is known."""
        queue = self._queue
        return queue is None or not (queue.failing or queue.overdue)

    @property
    def stats(self) -> Statistics:
        """Figures for metrics."""
        opened = self._open
        return Statistics() if opened is None else opened.writer.statistics()

    # Opening and closing ------------------------------------------------------------------

    def _opened(self) -> Queue:
        about_to_block()
        with self._opening:
            if self._queue is not None:
                return self._queue
            try:
                chain = lock_free_chain(self.folder, self._store, self._key())
                queue = self._queue_of(chain)
            except OSError as error:
                raise AuditUnavailableError(
                    f"the audit folder {self.folder} cannot be used: {error.strerror}"
                ) from None
            file = SegmentFile(chain.folder, chain.tail.segment, self._segment_bytes)
            exporter = None if self._sink is None else Exporter(self._sink)
            writer = Writer(chain, queue, file, self._refusals, self._tell, exporter)
            anchors = AnchorThread(chain, queue, self._store)
            self._open = _Open(chain, queue, file, writer, anchors, exporter)
            self._queue = queue
            return queue

    def _queue_of(self, chain: LockedChain) -> Queue:
        try:
            intents = chain.open_intents()
            numbers = [intent["sequence"] for intent in intents]
            queue = Queue(chain.key.mac, chain.tail.sequence, chain.tail.mac, numbers)
            for event in self._first(chain, intents):
                queue.put(event)
        except BaseException:
            chain.release()
            raise
        return queue

    def _first(self, chain: LockedChain, intents: list[dict[str, Any]]) -> Iterator[Event]:
        """What a process records first: that it is here, and what the last one left undone.

        A chain that is begun in a store that came from a backup says so before everything else.
        """
        status = self._store.status() if chain.tail.sequence == 0 else None
        if status is not None and status.restored_from is not None:
            yield Event("store.restore", OK, actor=current_actor(), subject=status.restored_from)
        yield Event("audit.opened", OK, actor="system")
        if chain.tail.torn:
            yield Event("audit.torn", OK, actor="system", bytes=chain.tail.torn)
        if intents and self._resolve is not None:
            yield from self._resolve(intents)

    def _tell(self, durable: int, failed: bool) -> None:
        if self.listener is not None:
            self.listener(durable, failed)

    def close(self) -> None:
        """Write what waits, tell the store how far the chain has come, let go of it."""
        with self._opening:
            opened = self._open
            if opened is None:
                return
            opened.writer.close()
            opened.queue.end()
            opened.anchors.close()
            opened.chain.release()
            if opened.exporter is not None:
                opened.exporter.close()
            self._begin()

    def _leave(self) -> None:
        # The chain is the parent's: this process gets one of its own with its first record.
        opened = self._open
        self._opening = threading.RLock()  # a thread that is not here may have the former one
        self._begin()
        if opened is not None:
            opened.file.leave()
            opened.chain.leave()
