"""The scheduler: rotates keys that are due, activates versions, sees old ones out.

Any number of them work on one store, on any number of machines. The schedule is part of the key's
record, which is swapped whole and only if it is still what was seen: so a due key is rotated
exactly once, and a crash leaves the old version newest or the new one. One key that fails does
not stop the others, and is tried again after a pause that all schedulers share.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.audit import acting_as
from mycelium_fractal_net.security.errors import (
    KeyNotFoundError,
    KeyUsageError,
    MfnError,
)
from mycelium_fractal_net.security.key_store import UsageStore
from mycelium_fractal_net.security.key_store.scheduler_table import SchedulerTable
from mycelium_fractal_net.security.key_store.usage import RAW_MESSAGES_ROTATE
from mycelium_fractal_net.security.lifecycle import retention
from mycelium_fractal_net.security.lifecycle.due import ScheduledKey, reason_to_rotate
from mycelium_fractal_net.security.lifecycle.look import RotationLook, RunReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from threading import Event

    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.records.keys import Key, RotationPolicy
    from mycelium_fractal_net.security.records.retention import CleanupReport

__all__ = ["SCHEDULER", "KeyRotationScheduler", "RunReport", "ScheduledKey"]

_LOG: Final = logging.getLogger(__name__)
SCHEDULER: Final = "scheduler"  # who acts, in the audit log
_CREDENTIAL_DAYS: Final = 90  # the plan's table
_CHUNK: Final = 500  # keys in memory at once


class KeyRotationScheduler:
    """Manages automated key rotation over one provider.

    ``credential_days`` is how long an API key serves before it counts as due; ``clock`` gives
    the store's time, which all schedulers share, and is that of the database by default.
    ``listener`` is told of each look that has ended, or with None of one that could not be. All
    methods may be called from any thread; they raise :class:`StoreUnavailableError` where the
    store does not answer, and :class:`AuditUnavailableError`.
    """

    def __init__(
        self,
        provider: StoredKeyProvider,
        *,
        credential_days: int = _CREDENTIAL_DAYS,
        clock: Callable[[], datetime] | None = None,
        listener: Callable[[RunReport | None], None] | None = None,
    ) -> None:
        self._provider = provider
        self._usage = UsageStore(provider.store.database)
        self._table = SchedulerTable(provider.store.database)
        self._credential_days = credential_days
        self._clock = clock or provider.store.database.now
        self._listener = listener
        self._ended_at = monotonic()
        self._healthy = True

    # The plan's interface -------------------------------------------------------------------

    def schedule_rotation(self, key_id: str, interval_days: int) -> Key:
        """Have the key rotated every so many days, counted from its newest version; returns it.

        Raises :class:`InvalidInputError` outside of 1 to 36,500 days, :class:`KeyNotFoundError`,
        and :class:`KeyUsageError` for a credential.
        """
        return self._scheduled(
            key_id, lambda policy: replace(policy, interval_days=interval_days, automatic=True)
        )

    def execute_rotation(self, key_id: str) -> str:
        """Rotate a key now, due or not; returns the id of the new version, such as ``orders:v3``.

        Raises :class:`KeyNotFoundError`, and :class:`KeyUsageError` for a credential, whose
        secret nobody has but its holder.
        """
        try:
            newest = self._provider.rotate_key(key_id)
        except KeyNotFoundError:
            self._refuse_credential(key_id)
            raise
        self._table.forget_failures([newest.partition(":")[0]])
        return newest

    def cleanup_old_versions(self, key_id: str, retain_count: int) -> CleanupReport:
        """Propose what is older than the newest ``retain_count`` versions for destruction.

        Moves to pending destruction what may go without an operator's word; see
        :mod:`.retention`. Raises :class:`InvalidInputError` for less than 1.
        """
        return retention.cleanup_old_versions(
            self._provider, self._usage, key_id, retain_count, now=self._clock()
        )

    def unschedule_rotation(self, key_id: str) -> Key:
        """Leave a key to be rotated by hand, and by use; returns it."""
        return self._scheduled(key_id, lambda policy: replace(policy, automatic=False))

    def _scheduled(self, key_id: str, changed: Callable[[RotationPolicy], RotationPolicy]) -> Key:
        try:
            policy = self._provider.keys.get(key_id).rotation
            return self._provider.keys.set_rotation(key_id, changed(policy))
        except KeyNotFoundError:
            self._refuse_credential(key_id)
            raise

    def _refuse_credential(self, key_id: str) -> None:
        try:
            self._provider.credentials.get(key_id)
        except KeyNotFoundError:
            return
        raise KeyUsageError(
            f"{key_id} is a credential, whose secret is its holder's alone: that one calls"
            f" POST /credentials/self/rotate, or: mfn credential rotate {key_id}"
        )

    # What is due ----------------------------------------------------------------------------

    def status(self) -> Iterator[tuple[str, ScheduledKey | MfnError]]:
        """Every key, in order of name, with when it is due; of a damaged record its error."""
        return self._seen(self._provider.keys.each())

    def due(self) -> Iterator[tuple[str, ScheduledKey | MfnError]]:
        """The keys that a look would rotate now, or that wait for the end of their pause.

        And, as its error, a record that could not be read when something was due. Not all keys
        are read for it.
        """
        now, failures = self._clock(), self._table.failures()
        names = sorted({*self._table.due_keys(now), *failures})
        for name, seen in self._seen(self._provider.keys.some(names)):
            if isinstance(seen, MfnError) or seen.reason:
                yield name, seen

    def _seen(
        self, found: Iterator[tuple[str, Key | MfnError]]
    ) -> Iterator[tuple[str, ScheduledKey | MfnError]]:
        now, failures = self._clock(), self._table.failures()
        used_up = self._usage.raw_reserved_from(RAW_MESSAGES_ROTATE)
        for name, key in found:
            if isinstance(key, MfnError):
                yield name, key
                continue
            reason = reason_to_rotate(key, now, used_up)
            in_use = key.primary_or_none is not None
            yield name, ScheduledKey(key, reason, in_use, failures.get(name))

    # A look ---------------------------------------------------------------------------------

    def run_once(self) -> RunReport:
        """Do all that is due now; says what was done, and what failed.

        Raises :class:`StoreUnavailableError` and :class:`AuditUnavailableError`: these are not
        a key's own failure.
        """
        with acting_as(SCHEDULER):
            try:
                report = self._look()
            except BaseException:
                self._ended(None)
                raise
        self._ended(report)
        return report

    def _look(self) -> RunReport:
        self._provider.store.require_status()
        look = RotationLook(self._provider, self._usage, self._table, self._clock)
        due = {*self._table.due_keys(look.now), *self._table.next_keys(), *look.failing}
        if not self._provider.keys.require_backup:  # what waited for a backup waits no more
            due.update(self._provider.store.keys_that_wait(for_backups=True))
        names = sorted(due)
        for start in range(0, len(names), _CHUNK):
            chunk = names[start : start + _CHUNK]
            times = self._table.due_times(chunk)
            found = list(self._provider.keys.some(chunk))
            look.look_up([key for _, key in found if not isinstance(key, MfnError)])
            for name, key in found:
                look.process(name, key, times[name])
            self._table.put_due_times(look.due_times())
        report = look.end(self._credentials_due(look.now))
        self._provider.imports.purge()
        if self._provider.store.database.needs_scrub:
            self._provider.store.database.scrub()
        return report

    def _credentials_due(self, now: datetime) -> int:
        ids = self._table.due_credentials(now, self._credential_days)
        found = self._provider.credentials.some(ids)
        return sum(not isinstance(each, MfnError) for _, each in found)

    # Running --------------------------------------------------------------------------------

    def run(self, stop: Event, look_seconds: float) -> None:
        """Look again and again, with so many seconds between two looks, until ``stop`` is set.

        Nothing that goes wrong ends it: it is logged, and shown by :attr:`healthy`.
        """
        while not stop.is_set():
            try:
                self.run_once()
            except Exception as error:
                what = str(error) if isinstance(error, MfnError) else type(error).__name__
                _LOG.error("keys cannot be rotated: %s", what)
            stop.wait(look_seconds)

    def _ended(self, report: RunReport | None) -> None:
        self._healthy = report is not None and report.ok
        if report is not None:
            self._ended_at = monotonic()
        if self._listener is not None:
            self._listener(report)

    @property
    def healthy(self) -> bool:
        """Whether the last look ended well, and left no key waiting for another attempt."""
        return self._healthy

    @property
    def look_age(self) -> float:
        """Seconds since a look of this process ended, or since it began to exist."""
        return monotonic() - self._ended_at
