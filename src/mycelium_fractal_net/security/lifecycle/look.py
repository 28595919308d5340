"""One look of a scheduler: what is done for each key, what if that fails, and its report."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.security.errors import (
    AuditUnavailableError,
    CustodianDeniedError,
    CustodianUnavailableError,
    MasterKeyError,
    MfnError,
    StoreUnavailableError,
    UnknownMasterKeyError,
    kind_of,
)
from mycelium_fractal_net.security.key_store.rows import micros, micros_or_none
from mycelium_fractal_net.security.key_store.scheduler_table import (
    DueTime,
    RotationFailure,
    is_late,
)
from mycelium_fractal_net.security.key_store.usage import RAW_MESSAGES_ROTATE
from mycelium_fractal_net.security.lifecycle import retention
from mycelium_fractal_net.security.lifecycle.due import (
    Reason,
    may_retry,
    pause_after,
    reason_to_rotate,
    to_activate,
    to_erase,
    too_far,
)
from mycelium_fractal_net.security.records.keys import KeyState, version_id
from mycelium_fractal_net.security.records.retention import due_at, past_retained

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from datetime import datetime

    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.key_store import UsageStore
    from mycelium_fractal_net.security.key_store.scheduler_table import SchedulerTable
    from mycelium_fractal_net.security.records.keys import Key

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What one look did, by version ids (``orders:v3``) and names of keys. Times are the store's.

    ``failed`` has each key with what went wrong, ``waiting`` those that failed before and are
    tried again later, ``set_back`` those whose due time came from a clock that ran ahead.
    ``pending`` were moved to pending destruction; ``proposed``, of the keys that it came by, stay
    until an operator says so.
    Nothing is erased before ``held_until``. ``credentials_due`` counts API keys that their
    holders are to renew.
    """

    looked_at: datetime
    rotated: tuple[str, ...] = ()
    activated: tuple[str, ...] = ()
    set_back: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    waiting: tuple[str, ...] = ()
    proposed: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    erased: tuple[str, ...] = ()
    credentials_due: int = 0
    held_until: datetime | None = None

    @property
    def ok(self) -> bool:
        """Whether no key failed or waits for another attempt."""
        return not self.failed and not self.waiting


class RotationLook:
    """A look by the store's ``clock``: :meth:`process` what may be due, then :meth:`end`."""

    def __init__(
        self,
        provider: StoredKeyProvider,
        usage: UsageStore,
        table: SchedulerTable,
        clock: Callable[[], datetime],
    ) -> None:
        self._clock = clock
        self.now = now = clock()
        self._provider = provider
        self._usage = usage
        self._table = table
        _, self._held_until, self._seen_until = table.note_look(now)
        self._failures = table.failures()
        self._used_up = usage.raw_reserved_from(RAW_MESSAGES_ROTATE)
        self._held: Collection[bytes] = ()
        self._names: set[str] = set()
        self._due_times: list[DueTime] = []
        self._mended: set[str] = set()
        self._done: defaultdict[str, list[Any]] = defaultdict(list)  # as the report has it

    @property
    def failing(self) -> list[str]:
        """The keys whose rotation failed and has not worked since."""
        return list(self._failures)

    def look_up(self, keys: Iterable[Key]) -> None:
        """See, for all of these at once, which versions that wait for a backup one holds by now."""
        waiting = [
            each.handle
            for key in keys
            for each in key.versions
            if each.state is KeyState.PRE_ACTIVATION
        ]
        if waiting and self._provider.keys.require_backup:
            self._held = self._usage.backed_up(waiting)

    def process(self, name: str, key: Key | MfnError, stored: DueTime) -> None:
        """Do what is due for one key, whatever becomes of it.

        ``stored`` is its due time in the store. Raises :class:`StoreUnavailableError`,
        :class:`CustodianUnavailableError` and :class:`AuditUnavailableError`: they are not
        the key's own.
        """
        self._names.add(name)
        if not may_retry(self._failures.get(name), self.now):
            self._done["waiting"].append(name)
            return
        try:
            if isinstance(key, MfnError):
                raise key
            key = self._rotate(self._correct(self._activate(key)))
            self._retire(key)
        except (StoreUnavailableError, CustodianUnavailableError, AuditUnavailableError):
            raise
        except Exception as error:
            self._fail(name, error)
        else:
            self._mended.add(name)
            self._due_times += self._better(stored, key)

    def _better(self, stored: DueTime, key: Key) -> Iterator[DueTime]:
        """When to process the key next, where what is stored has passed or is too late."""
        at = micros_or_none(due_at(key, processed=self.now))
        passed = stored.due_at is not None and stored.due_at <= micros(self.now)
        if stored.due_at != at and (passed or is_late(stored.due_at, at)):
            yield DueTime(key.key_id, key.revision, at)

    def due_times(self) -> list[DueTime]:
        """When to process keys next, where the store says otherwise; each is given once."""
        found, self._due_times = self._due_times, []
        return found

    def end(self, credentials_due: int) -> RunReport:
        """What it did. Failures of keys that work again, or are gone, are forgotten."""
        over = (each for each in self._failures if each in self._mended or each not in self._names)
        self._table.forget_failures(list(over))
        return RunReport(
            looked_at=self.now,
            credentials_due=credentials_due,
            held_until=self._held_until,
            **{name: tuple(found) for name, found in self._done.items()},
        )

    # For one key ----------------------------------------------------------------------------

    def _activate(self, key: Key) -> Key:
        if not to_activate(key, self.now):
            return key
        waited = {each.handle for each in key.versions if each.state is KeyState.PRE_ACTIVATION}
        if self._provider.keys.require_backup and waited.isdisjoint(self._held):
            return key
        after = self._provider.states.activate_due(key.key_id, now=self.now, reason=Reason.DUE)
        self._done["activated"] += (
            version_id(after.key_id, each.version)
            for each in after.versions
            if each.handle in waited and each.state is not KeyState.PRE_ACTIVATION
        )
        return after

    def _correct(self, key: Key) -> Key:
        if too_far(key, self.now, self._seen_until) is None:
            return key
        # The clock anew, and after the record: who was stopped for days since its look began would
        # take for a clock ahead what others have done in the meantime.
        corrected = self._provider.keys.reschedule(
            key.key_id,
            lambda present: too_far(present, self._clock(), self._seen_until),
            reason="a clock ran ahead",
        )
        if corrected.rotate_at != key.rotate_at:
            self._done["set_back"].append(key.key_id)
        return corrected

    def _rotate(self, seen: Key) -> Key:
        reason = reason_to_rotate(seen, self.now, self._used_up)
        if reason is None:
            return seen

        def still(key: Key) -> datetime | None:
            same = key.latest.version == seen.latest.version and key.rotate_at == seen.rotate_at
            now = self._clock()
            due = same and reason_to_rotate(key, now, self._used_up) is reason
            return now if due else None

        newest = self._provider.keys.rotate_if(seen.key_id, still, reason=reason)
        if newest is not None:  # else another scheduler, or an operator, was first
            self._done["rotated"].append(newest)
        return self._provider.keys.get(seen.key_id)

    def _retire(self, key: Key) -> None:
        if to_erase(key, self.now):
            self._done["erased"] += retention.erase_due(self._provider, key.key_id, now=self.now)
        retained = key.rotation.retain_count
        old = past_retained(key, retained)
        moved: tuple[str, ...] = ()
        # Otherwise only an operator's word moves them, and their use need not be looked up.
        if any(key.rotation.auto_destroy or each.rewrapped_at is not None for each in old):
            moved = retention.cleanup_old_versions(
                self._provider, self._usage, key.key_id, retained, now=self.now
            ).moved
        self._done["pending"] += moved
        names = (version_id(key.key_id, each.version) for each in old)
        self._done["proposed"] += (each for each in names if each not in moved)

    def _fail(self, name: str, error: Exception) -> None:
        """Note the failure of one key: in the report, the log, the audit log, the store."""
        reason = str(error) if isinstance(error, MfnError) else type(error).__name__
        self._done["failed"].append((name, reason))
        _LOG.warning("key %s is not rotated: %s", name, reason)
        if self._provider.audit is not None:
            self._provider.audit.now("key.rotate", kind_of(error).slug, key=name)
        if isinstance(error, (MasterKeyError, UnknownMasterKeyError, CustodianDeniedError)):
            return  # of this machine, perhaps; another one need not wait for it
        known = self._failures.get(name)
        count = 1 if known is None else known.failures + 1
        since = self.now if known is None else known.since
        retry_at = self.now + pause_after(count)
        self._table.record_failure(RotationFailure(name, count, since, retry_at, reason))
