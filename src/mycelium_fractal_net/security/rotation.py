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

from mycelium_fractal_net.security import retention
from mycelium_fractal_net.security.audit import acting_as
from mycelium_fractal_net.security.audit.outcomes import outcome_of
from mycelium_fractal_net.security.credentials import CredentialState
from mycelium_fractal_net.security.errors import (
    AuditUnavailableError,
    KeyNotFoundError,
    KeyUsageError,
    MasterKeyError,
    MfnError,
    StoreIntegrityError,
    StoreUnavailableError,
)
from mycelium_fractal_net.security.key_store import UsageStore
from mycelium_fractal_net.security.key_store.rotation_table import RotationFailure, RotationTable
from mycelium_fractal_net.security.key_store.usage import RAW_MESSAGES_ROTATE
from mycelium_fractal_net.security.rotation_due import (
    Reason,
    ScheduledKey,
    may_retry,
    pause_after,
    protecting,
    reason_to_rotate,
    to_activate,
    to_erase,
    too_far,
)
from mycelium_fractal_net.security.rotation_report import Looking, RunReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from threading import Event

    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.keys import Key, RotationPolicy
    from mycelium_fractal_net.security.retention import CleanupReport

__all__ = ["SCHEDULER", "KeyRotationScheduler", "RunReport", "ScheduledKey"]

_LOG: Final = logging.getLogger(__name__)
SCHEDULER: Final = "scheduler"  # who acts, in the audit log
_CREDENTIAL_DAYS: Final = 90  # the plan's table


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
        self._table = RotationTable(provider.store.database)
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
            policy = self._provider.key(key_id).rotation
            return self._provider.set_rotation(key_id, changed(policy))
        except KeyNotFoundError:
            self._refuse_credential(key_id)
            raise

    def _refuse_credential(self, key_id: str) -> None:
        try:
            self._provider.credential(key_id)
        except KeyNotFoundError:
            return
        raise KeyUsageError(
            f"{key_id} is a credential, whose secret is its holder's alone: he calls"
            f" POST /credentials/self/rotate, or runs mfn credential rotate {key_id}"
        )

    # What is due ----------------------------------------------------------------------------

    def status(self) -> Iterator[tuple[str, ScheduledKey | MfnError]]:
        """Every key, in order of name, with when it is due; of a damaged record its error."""
        now, failures, used_up = self._clock(), self._table.failures(), self._used_up()
        for name, key in self._provider.authentic_keys():
            if isinstance(key, MfnError):
                yield name, key
                continue
            reason = reason_to_rotate(key, now, used_up)
            in_use = protecting(key) is not None
            yield name, ScheduledKey(key, reason, in_use, failures.get(name))

    def due(self) -> list[ScheduledKey]:
        """The keys that a look would rotate now, or that wait for the end of their pause."""
        found = (each for _, each in self.status())
        return [each for each in found if isinstance(each, ScheduledKey) and each.reason]

    def _used_up(self) -> frozenset[bytes]:
        return self._usage.raw_reserved_from(RAW_MESSAGES_ROTATE)

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
        now = self._clock()
        held_until = self._table.note_look(now).held_until
        looking = Looking(now, held_until, self._used_up(), self._table.failures())
        names = set()
        for name, key in self._provider.authentic_keys():
            names.add(name)
            if isinstance(key, MfnError):
                self._failed(looking, name, key)
                continue
            self._attend(looking, key)
        self._table.forget_failures(
            [each for each in looking.failures if each not in names or each in looking.mended]
        )
        if self._provider.store.database.needs_scrub:
            self._provider.store.database.scrub()
        return looking.report(self._credentials_due(looking.now))

    def _attend(self, looking: Looking, key: Key) -> None:
        """Do what is due for one key, whatever becomes of it."""
        name = key.key_id
        if not may_retry(looking.failures.get(name), looking.now):
            looking.waiting.append(name)
            return
        try:
            key = self._set_back(looking, self._activated(looking, key))
            self._retire(looking, self._rotated(looking, key))
        except (StoreUnavailableError, AuditUnavailableError):
            raise
        except Exception as error:
            self._failed(looking, name, error)
        else:
            looking.mended.add(name)

    def _activated(self, looking: Looking, key: Key) -> Key:
        if not to_activate(key, looking.now):
            return key
        after = self._provider.activate_due(key.key_id, now=looking.now, reason=Reason.DUE)
        looking.note_activated(key, after)
        return after

    def _set_back(self, looking: Looking, key: Key) -> Key:
        next_due = too_far(key, looking.now)
        if next_due is None:
            return key
        looking.set_back.append(key.key_id)
        return self._provider.set_rotate_at(
            key.key_id,
            next_due,
            only_if=lambda present: too_far(present, looking.now) is not None,
            reason="a clock ran ahead",
        )

    def _rotated(self, looking: Looking, seen: Key) -> Key:
        reason = reason_to_rotate(seen, looking.now, looking.used_up)
        if reason is None:
            return seen

        def still(key: Key) -> bool:
            same = key.latest.version == seen.latest.version and key.rotate_at == seen.rotate_at
            return same and reason_to_rotate(key, looking.now, looking.used_up) is reason

        newest = self._provider.rotate_if(seen.key_id, still, now=looking.now, reason=reason)
        if newest is not None:  # else another scheduler, or an operator, was first
            looking.rotated.append(newest)
        return self._provider.key(seen.key_id)

    def _retire(self, looking: Looking, key: Key) -> None:
        if to_erase(key, looking.now):
            looking.erased += retention.erase_due(self._provider, key.key_id, now=looking.now)
        if not retention.past_retained(key, key.rotation.retain_count):
            return
        report = retention.cleanup_old_versions(
            self._provider, self._usage, key.key_id, key.rotation.retain_count, now=looking.now
        )
        looking.pending += report.moved
        proposed = (each.version_id for each in report.proposals)
        looking.proposed += (each for each in proposed if each not in report.moved)

    def _failed(self, looking: Looking, name: str, error: Exception) -> None:
        """Note the failure of one key: in the report, the log, the audit log, the store."""
        known = looking.failures.get(name)
        if not may_retry(known, looking.now):
            looking.waiting.append(name)
            return
        reason = str(error) if isinstance(error, MfnError) else type(error).__name__
        looking.failed.append((name, reason))
        _LOG.warning("key %s is not rotated: %s", name, reason)
        if self._provider.audit is not None:
            self._provider.audit.now("key.rotate", outcome_of(error), key=name)
        if isinstance(error, MasterKeyError):
            return  # of this machine, perhaps; another one need not wait for it
        count = 1 if known is None else known.failures + 1
        since = looking.now if known is None else known.since
        retry_at = looking.now + pause_after(count)
        self._table.record_failure(RotationFailure(name, count, since, retry_at, reason))

    def _credentials_due(self, now: datetime) -> int:
        return sum(
            credential.state is CredentialState.ACTIVE
            and (credential.expires_at is None or credential.expires_at > now)
            and credential.due_at(self._credential_days) <= now
            for _, credential in self._provider.authentic_credentials()
            if not isinstance(credential, StoreIntegrityError)
        )

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
