"""Records in line for the writer: numbered and chained when they come, durable when it says so."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from mycelium_fractal_net.security.audit.chain import mac_of, sealed
from mycelium_fractal_net.security.audit.events import INTENT, Event, encode
from mycelium_fractal_net.security.audit.segments import LINE_BYTES
from mycelium_fractal_net.security.errors import AuditUnavailableError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mycelium_fractal_net.security.key_store.record_mac import Mac

MOST_PENDING: Final = 100_000  # records that wait for a disk that does not answer
OVERDUE_SECONDS: Final = 10.0  # a durable record that the store was not told of for so long
_MOST_BYTES: Final = LINE_BYTES - 1024  # of an event; the rest of its line takes less than that
_FAILED: Final = "the audit record cannot be written"
_OVERDUE: Final = "the key store cannot be told how far the audit records have come"


class ChainEnd(NamedTuple):
    """The last durable record and its MAC; whether no other waits; the first open intent."""

    sequence: int
    mac: bytes
    whole: bool
    open_from: int | None


class Queue:
    """The records of one chain that are not durable yet. All methods are for any thread.

    ``sequence`` is that of the last record, ``durable`` that of the last durable one,
    ``durable_mac`` its MAC, and ``anchored`` that of the last one that the store was told of.
    ``wake`` is set when there is something to write. ``intents`` are those whose outcome has not
    come.
    """

    def __init__(self, key: Mac, sequence: int, mac: bytes, intents: Iterable[int] = ()) -> None:
        self.sequence = self.durable = self.anchored = sequence
        self.durable_mac = mac
        self.wake = threading.Event()
        self.failing = False
        self.intents: set[int] = set(intents)
        self._key = key
        self._mac = mac
        self._lines: list[bytes] = []
        self._ended = False
        self._unanchored_since: float | None = None
        self._refused_through = 0
        self._synced = threading.Condition(threading.Lock())
        self._second, self._second_text = -1, b""

    def put(self, event: Event, *, wake: bool = True) -> int:
        """Put a record in line; returns its sequence. Never blocks.

        Without ``wake`` the writer may not come for it before somebody sets that.

        Raises :class:`AuditUnavailableError` while records cannot be written, or the store was
        not told of the last ones for :data:`OVERDUE_SECONDS`: they could be cut off unseen. And
        :class:`InvalidInputError` for one that nobody could read again.
        """
        try:
            encoded = encode(event)
        except UnicodeEncodeError:  # a lone surrogate, as in a file's name that is not UTF-8
            raise InvalidInputError("an audit record holds text that is not Unicode") from None
        if len(encoded) > _MOST_BYTES:
            raise InvalidInputError(f"an audit record has at most {_MOST_BYTES} bytes")
        with self._synced:
            if self.failing or self._ended or self.sequence - self.durable >= MOST_PENDING:
                raise AuditUnavailableError(_FAILED)
            since = self._unanchored_since
            if since is not None and time.monotonic() - since > OVERDUE_SECONDS:
                raise AuditUnavailableError(_OVERDUE)
            sequence = self.sequence + 1
            body = b'{"sequence":%d,"time":"%b",%b' % (sequence, self._now(), encoded[1:-1])
            line, self._mac = sealed(body, self._mac, self._key)
            self._lines.append(line)
            self.sequence = sequence
            if event.outcome == INTENT:
                self.intents.add(sequence)
            elif event.intent is not None:
                self.intents.discard(event.intent)
        if wake and not self.wake.is_set():
            self.wake.set()
        return sequence

    def _now(self) -> bytes:
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        if seconds != self._second:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
            self._second, self._second_text = seconds, text.encode()
        return b"%b.%06dZ" % (self._second_text, nanoseconds // 1000)

    def wait(self, sequence: int, timeout: float) -> None:
        """Return once that record is durable. Raises :class:`AuditUnavailableError`."""
        deadline = time.monotonic() + timeout
        with self._synced:
            while self.durable < sequence:
                left = deadline - time.monotonic()
                if self._refused_through >= sequence or self._ended or left <= 0:
                    raise AuditUnavailableError(_FAILED)
                self._synced.wait(left)

    # For the writer -----------------------------------------------------------------------

    def take(self) -> list[bytes]:
        """The lines that came since this was called last."""
        with self._synced:
            lines, self._lines = self._lines, []
            return lines

    def written(self, lines: list[bytes]) -> None:
        """Those lines, the next that were not durable, are."""
        with self._synced:
            self.durable += len(lines)
            self.durable_mac = mac_of(lines[-1])
            if self._unanchored_since is None:
                self._unanchored_since = time.monotonic()
            self.failing = False
            self._synced.notify_all()

    def failed(self) -> None:
        """What was written is not durable: refuse everybody who waits, and whoever comes."""
        with self._synced:
            self.failing = True
            self._refused_through = self.sequence
            self._synced.notify_all()

    def end(self) -> None:
        """Nothing is written any more."""
        with self._synced:
            self._ended = True
            self._synced.notify_all()

    # For the anchor -----------------------------------------------------------------------

    @property
    def anchor_age(self) -> float:
        """Seconds since a record is durable that the store was not told of, else 0."""
        since = self._unanchored_since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def overdue(self) -> bool:
        """Whether that is too long."""
        return self.anchor_age > OVERDUE_SECONDS

    def told(self, sequence: int, asked: float) -> None:
        """The store knows that record, which was the last durable one at that monotonic time."""
        with self._synced:
            self.anchored = sequence
            self._unanchored_since = asked if self.durable > sequence else None

    def end_of_chain(self) -> ChainEnd:
        """What the store is to be told."""
        with self._synced:
            whole = self.durable == self.sequence and not self.failing
            return ChainEnd(self.durable, self.durable_mac, whole, min(self.intents, default=None))
