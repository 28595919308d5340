"""What Prometheus may know: counts, times and states; never a key's name or a caller's."""

from __future__ import annotations

import os
import threading
from bisect import bisect_left
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from mycelium_fractal_net.api.service.counts import Counts, read_counts
from mycelium_fractal_net.security.key_providers.call_statistics import BUCKETS as CALL_BUCKETS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from prometheus_client.core import Metric

# Seconds. A request of some microseconds of cryptography waits for one sync of the audit log.
_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_BOUNDS: Final = (*map(str, _BUCKETS), "+Inf")
CUSTODIAN_BOUNDS: Final = (*map(str, CALL_BUCKETS), "+Inf")
_REQUESTS: Final = "requests"
_SECONDS: Final = "seconds"
_BUCKET: Final = "bucket"
_STATE: Final = "state"

OVERLOADED: Final = "overloaded"
CUSTODIAN_CALLS: Final = "custodian-calls"
CUSTODIAN_RETRIES: Final = "custodian-retries"
CUSTODIAN_SECONDS: Final = "custodian-seconds"
CUSTODIAN_BUCKET: Final = "custodian-bucket"

COUNTS: Final = {
    _REQUESTS: ("mfn_requests", "Requests by operation and status", ("operation", "status")),
    "items": ("mfn_items", "Items of batches by operation and outcome", ("operation", "outcome")),
    OVERLOADED: (
        "mfn_overloaded_requests",
        "Requests that were refused since they had waited too long for their turn",
        (),
    ),
    "xor": ("mfn_xor_opened", "Messages of the XOR cipher that were opened", ()),
    "pending-uses": (
        "mfn_pending_destruction_uses",
        "Uses of key versions whose destruction is pending",
        (),
    ),
    CUSTODIAN_CALLS: (
        "mfn_custodian_calls",
        "Calls to the custodian of the master key, by call and outcome",
        ("call", "outcome"),
    ),
    CUSTODIAN_RETRIES: (
        "mfn_custodian_retries",
        "Attempts of calls to the custodian beyond the first",
        (),
    ),
    "rotations": ("mfn_rotations", "Rotations of keys that were due, by outcome", ("outcome",)),
}
"""Each counter by its kind: its name, what it says, and its labels."""

STATES: Final[dict[str, tuple[str, Callable[[list[float]], float]]]] = {
    "mfn_audit_pending_records": ("Audit records that are not yet durable", sum),
    "mfn_audit_healthy": ("1 while every worker can write audit records", min),
    "mfn_audit_abandoned_segments": (
        "Audit segments that were given up: a write or sync failed, or somebody took them away",
        sum,
    ),
    "mfn_audit_unanchored_records": ("Audit records that the key store was not told of yet", sum),
    "mfn_audit_anchor_age_seconds": (
        "Time since a record was durable that the key store was not told of, of the worker that"
        " waits longest; from 10 s on nothing is answered",
        max,
    ),
    "mfn_store_read_age_seconds": (
        "Time since the key store was last read, of the worker that waits longest",
        max,
    ),
    "mfn_custodian_outage_seconds": (
        "Time since the custodian of the master key answers no more, of the worker that waits"
        " longest; 0 where it answers",
        max,
    ),
    "mfn_custodian_refuses": ("1 while the custodian refuses what some worker asks it for", max),
    "mfn_custodian_breaker_open": ("Workers that leave the custodian alone for a while", sum),
    "mfn_custodian_stuck_threads": (
        "Threads that wait for an answer of the custodian's which comes too late",
        sum,
    ),
    "mfn_custodian_key_age_seconds": (
        "Time since the custodian gave a key that serves on without it, of the oldest; 0 where"
        " there is none",
        max,
    ),
    "mfn_store_writable": ("1 while every worker can write to the key store", min),
    "mfn_keys_overdue": ("Keys that are due and could not be rotated", max),
    "mfn_rotation_look_age_seconds": (
        "Time since keys were last looked over, of the worker that waits longest",
        max,
    ),
    "mfn_credentials_due": ("Credentials that are due for rotation", max),
    "mfn_connections": ("Connections that are open, TLS handshakes among them", sum),
    "mfn_workers": ("Processes that serve", sum),
}
"""Each state with what it says, and how those of several processes are put together."""


class Metrics:
    """The metrics of one process; :meth:`render` sums up all workers that share the folder."""

    def __init__(self, shared_folder: Path | None = None) -> None:
        self._shared = shared_folder
        self._counts = Counts(self._shared)
        self._values: memoryview[float] = self._counts.values
        self._slots: dict[tuple[str, int], tuple[int, int, list[int]]] = {}
        self._states: Callable[[], Mapping[str, float]] | None = None
        self._elsewhere: Callable[[], Mapping[str, float]] | None = None
        self._counting = threading.Lock()

    def watch(
        self,
        states: Callable[[], Mapping[str, float]],
        counts: Callable[[], Mapping[str, float]] | None = None,
    ) -> None:
        """From now on ``states`` gives the states of this process, by names of ``STATES``.

        ``counts`` gives what is counted elsewhere: a kind of ``COUNTS`` and its labels, or
        ``CUSTODIAN_SECONDS`` and ``CUSTODIAN_BUCKET`` with theirs, joined by spaces.
        """
        self._states, self._elsewhere = states, counts
        self.note_states()

    def observe(self, operation: str, status: int, seconds: float) -> None:
        """Count one request."""
        slots = self._slots.get((operation, status))
        if slots is None:
            slots = self._slots[operation, status] = self._slots_of(operation, status)
        requests, total, buckets = slots
        self._values[requests] += 1
        self._values[total] += seconds
        self._values[buckets[bisect_left(_BUCKETS, seconds)]] += 1

    def _slots_of(self, operation: str, status: int) -> tuple[int, int, list[int]]:
        slot = self._counts.slot
        return (
            slot(f"{_REQUESTS} {operation} {status}"),
            slot(f"{_SECONDS} {operation}"),
            [slot(f"{_BUCKET} {operation} {bound}") for bound in _BOUNDS],
        )

    def count(self, kind: str, *labels: str, count: int = 1) -> None:
        """Count what happens beside requests: ``kind`` is one of ``COUNTS``."""
        slot = self._counts.slot(" ".join((kind, *labels)))
        with self._counting:  # threads count too
            self._values[slot] += count

    def note_states(self) -> None:
        """Note the states of this process, of which another worker may be asked."""
        if self._states is not None:
            for name, value in self._states().items():
                self._values[self._counts.slot(f"{_STATE} {name}")] = value
        if self._elsewhere is not None:
            for name, value in self._elsewhere().items():
                self._values[self._counts.slot(name)] = value

    def render(self) -> bytes:
        """Everything in the text format 0.0.4."""
        self.note_states()
        if self._shared is None:
            processes = [(os.getpid(), self._counts.read())]
        else:
            processes = list(read_counts(self._shared))
        registry = CollectorRegistry()
        registry.register(_Sums(processes))
        return generate_latest(registry)


def _lives(process: int) -> bool:
    """Not asked of /proc: a unit of systemd may hide there what is not dumpable, as we are."""
    try:
        os.kill(process, 0)
    except OSError:  # it is gone, or its number is another user's by now
        return False
    return True


class _Sums:
    """The sums of several processes, as the library takes them.

    Of a process that is gone the counts stay, so that none goes backwards, and its states do not.
    """

    def __init__(self, processes: list[tuple[int, dict[str, float]]]) -> None:
        self._total: dict[tuple[str, ...], float] = {}
        self._states: dict[str, list[float]] = {}
        for process, numbers in processes:
            lives = _lives(process)
            for name, value in numbers.items():
                kind, *labels = name.split(" ")
                if kind != _STATE:
                    known = self._total.get((kind, *labels), 0.0)
                    self._total[kind, *labels] = known + value
                elif lives:
                    self._states.setdefault(labels[0], []).append(value)

    def _of(self, kind: str) -> list[tuple[list[str], float]]:
        return [(list(name[1:]), v) for name, v in sorted(self._total.items()) if name[0] == kind]

    def collect(self) -> Iterator[Metric]:
        """The families, in the order in which they are shown."""
        for kind, (name, text, labels) in COUNTS.items():
            if found := self._of(kind):
                counter = CounterMetricFamily(name, text, labels=labels)
                for values, value in found:
                    counter.add_metric(values, value)
                yield counter
        text = "Time from a request's first byte to its answer"
        yield self._seconds("mfn_request_seconds", text, "operation", (_SECONDS, _BUCKET, _BOUNDS))
        if self._of(CUSTODIAN_SECONDS):
            text = "Time that a call to the custodian of the master key took"
            kinds = (CUSTODIAN_SECONDS, CUSTODIAN_BUCKET, CUSTODIAN_BOUNDS)
            yield self._seconds("mfn_custodian_call_seconds", text, "call", kinds)
        for state, (text, together) in STATES.items():
            if state in self._states:
                yield GaugeMetricFamily(state, text, value=together(self._states[state]))

    def _seconds(
        self, name: str, text: str, label: str, kinds: tuple[str, str, tuple[str, ...]]
    ) -> Metric:
        total, bucket, bounds = kinds
        family = HistogramMetricFamily(name, text, labels=[label])
        for labels, seconds in self._of(total):
            reached, buckets = 0.0, []
            for bound in bounds:
                reached += self._total.get((bucket, *labels, bound), 0.0)
                buckets.append((bound, reached))
            family.add_metric(labels, buckets, seconds)
        return family
