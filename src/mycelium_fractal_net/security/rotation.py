"""The scheduler: rotates keys that are due, activates versions, sees old ones out.

Any number of them work on one store, on any number of machines. The schedule is part of the key's
record, which is swapped whole and only if it is still what was seen: so a due key is rotated
exactly once, and a crash leaves the old version newest or the new one. One key that fails does
not stop the others, and is tried again after a pause that all schedulers share.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security import retention
from mycelium_fractal_net.security.audit import acting_as
from mycelium_fractal_net.security.errors import (
    KeyNotFoundError,
    KeyUsageError,
    MfnError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_store import UsageStore
from mycelium_fractal_net.security.key_store.rotation_table import RotationTable
from mycelium_fractal_net.security.key_store.usage import RAW_MESSAGES_ROTATE
from mycelium_fractal_net.security.lifecycle.due import (
    ScheduledKey,
    protecting,
    reason_to_rotate,
)
from mycelium_fractal_net.security.lifecycle.look import RotationLook
from mycelium_fractal_net.security.lifecycle.report import RunReport
from mycelium_fractal_net.security.records.credentials import CredentialState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from threading import Event

    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.records.keys import Key, RotationPolicy
    from mycelium_fractal_net.security.retention import CleanupReport

__all__ = ["SCHEDULER", "KeyRotationScheduler", "RunReport", "ScheduledKey"]

_LOG: Final = logging.getLogger(__name__)
SCHEDULER: Final = "scheduler"  # who acts, in the audit log
_CREDENTIAL_DAYS: Final = 90  # the plan's table
_LONGEST_CALM: Final = timedelta(hours=1)  # for what changes without a word: days, edited rows


@dataclass(frozen=True, slots=True)
class _Calm:
    """A look after which nothing was left to do, and until when that holds if nothing changes.

    A look at every key each minute, by each worker, would cost more than a service's requests.
    """

    generation: int
    used_up: frozenset[bytes]
    since: datetime
    until: datetime
    report: RunReport

    def holds(self, generation: int, used_up: frozenset[bytes], now: datetime) -> bool:
        """Whether the store is the same, and the clock neither there nor back before."""
        same = (generation, used_up) == (self.generation, self.used_up)
        return same and self.since <= now < self.until


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
        self._calm: _Calm | None = None

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
            f"{key_id} is a credential, whose secret is its holder's alone: he calls"
            f" POST /credentials/self/rotate, or runs mfn credential rotate {key_id}"
        )

    # What is due ----------------------------------------------------------------------------

    def status(self) -> Iterator[tuple[str, ScheduledKey | MfnError]]:
        """Every key, in order of name, with when it is due; of a damaged record its error."""
        now, failures, used_up = self._clock(), self._table.failures(), self._used_up()
        for name, key in self._provider.keys.each():
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
        generation = self._provider.store.require_pulse().generation
        look = RotationLook(self._provider, self._usage, self._table, self._clock)
        calm = self._calm
        if calm is not None and calm.holds(generation, look.used_up, look.now):
            return look.nothing_new(calm.report)
        for name, key in self._provider.keys.each():
            look.attend(name, key)
        report = look.end(self._credentials_due(look))
        if self._provider.store.database.needs_scrub:
            self._provider.store.database.scrub()
        until = min(look.next_event or look.now + _LONGEST_CALM, look.now + _LONGEST_CALM)
        self._calm = _Calm(generation, look.used_up, look.now, until, report) if report.ok else None
        return report

    def _credentials_due(self, look: RotationLook) -> int:
        count = 0
        for _, credential in self._provider.credentials.each():
            if isinstance(credential, StoreIntegrityError):
                continue
            ended = credential.expires_at is not None and credential.expires_at <= look.now
            if ended or credential.state is not CredentialState.ACTIVE:
                continue
            due_at = credential.due_at(self._credential_days)
            if due_at <= look.now:
                count += 1
            else:
                look.note_event(due_at)
        return count

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
