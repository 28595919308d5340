"""What Prometheus may know: counts, times and states; never a key's name or a caller's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from mycelium_fractal_net.api.service import Service

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

# Seconds. A request of some microseconds of cryptography waits for one sync of the audit log.
_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """The metrics of one process; :meth:`render` sums up all workers of one machine."""

    def __init__(self, shared_folder: str | None = None) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        self._shared_folder = shared_folder
        self._requests = Counter(
            "mfn_requests", "Requests by operation and status", ["operation", "status"],
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "mfn_request_seconds", "Time from a request's first byte to its answer", ["operation"],
            buckets=_BUCKETS, registry=registry,
        )  # fmt: skip
        self._items = Counter(
            "mfn_items", "Items of batches by operation and outcome", ["operation", "outcome"],
            registry=registry,
        )  # fmt: skip
        self._audit_pending = Gauge(
            "mfn_audit_pending_records", "Audit records that are not yet durable",
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self._audit_healthy = Gauge(
            "mfn_audit_healthy", "1 while audit records can be written",
            registry=registry, multiprocess_mode="livemin",
        )  # fmt: skip
        self._store_age = Gauge(
            "mfn_store_read_age_seconds", "Time since the key store was last read",
            registry=registry, multiprocess_mode="livemax",
        )  # fmt: skip
        self._due = Gauge(
            "mfn_credentials_due", "Credentials that are due for rotation",
            registry=registry, multiprocess_mode="livemax",
        )  # fmt: skip
        self._counters: dict[tuple[str, int], Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        self._service: Service | None = None

    def watch(self, service: Service) -> None:
        """From now on states are read from ``service``."""
        self._service = service
        self.read_states()

    def observe(self, operation: str, status: int, seconds: float) -> None:
        """Count one request."""
        name = (operation, status)
        counter = self._counters.get(name)
        if counter is None:
            counter = self._counters[name] = self._requests.labels(operation, str(status))
            self._histograms[operation] = self._seconds.labels(operation)
        counter.inc()
        self._histograms[operation].observe(seconds)

    def count_items(self, operation: str, outcome: str, count: int) -> None:
        """Count the items of a batch that ended alike."""
        self._items.labels(operation, outcome).inc(count)

    def render(self) -> bytes:
        """Everything in the text format 0.0.4."""
        self.read_states()
        registry = self._registry
        if self._shared_folder is not None:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, path=self._shared_folder)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def read_states(self) -> None:
        """Note the states of this process, of which another worker may be asked."""
        service = self._service
        if service is None:
            return
        log = service.audit
        self._audit_pending.set(log.stats.pending)
        self._audit_healthy.set(1 if log.healthy else 0)
        age = service.keyring.freshness.age()
        self._store_age.set(-1 if age is None else age)
        self._due.set(service.directory.due_count())
