"""On the way out: a rewrap that has finished, and uses of what waits for its destruction."""

from __future__ import annotations

import logging
import weakref
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from mycelium_fractal_net.security.errors import InvalidInputError, KeyStateError, KeyUsageError
from mycelium_fractal_net.security.key_store import UsageStore
from mycelium_fractal_net.security.key_store.rows import day_of, start_of_day
from mycelium_fractal_net.security.key_store.usage import LEASE, REFUSED
from mycelium_fractal_net.security.records.keys import (
    Key,
    KeyState,
    KeyType,
    KeyVersion,
    parse_key_id,
    version_id,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.security.key_providers.keys import Keys

_LOG: Final = logging.getLogger(__name__)
_ALARM_SECONDS: Final = 60.0  # between two alarms of one version, in one process

# What a rewrap can open. Of other states it leaves data behind, whatever it reports.
_MOVED_FROM: Final = (KeyState.ACTIVE, KeyState.DEACTIVATED, KeyState.COMPROMISED)


class UseCounter(Protocol):
    """What counts uses of keys in memory."""

    def flush(self) -> None:
        """Write the counts."""


class Retirement:
    """What is recorded of versions that are to go, and of their uses after all.

    ``on_pending_use`` is called for each use of a version whose destruction is pending. What
    counts uses in memory is in ``counters``, so that they are written before they are judged.
    """

    def __init__(self, keys: Keys, usage: UsageStore) -> None:
        self._keys = keys
        self._usage = usage
        self.on_pending_use: Callable[[], None] | None = None
        self.counters: weakref.WeakSet[UseCounter] = weakref.WeakSet()
        self._alarms: dict[bytes, float] = {}  # until when a version is not alarmed about again

    def record_rewrap(self, key_id: str, *, reason: str, newest: int | None = None) -> Key:
        """Record that no data is under the key's older versions any more; they may then go.

        It says nothing of versions that are suspended or whose destruction is pending: what they
        sealed was not opened, so it was not moved. ``reason`` goes to the audit log. Uses that
        are counted from now on take it back. Raises :class:`KeyStateError` where a later use
        is on record already: of another day, or while a data key under a version may be in use;
        and where ``newest`` is given, the version that all was moved to, and is no longer so.
        """
        name, number = parse_key_id(key_id)
        if number is not None:
            raise InvalidInputError("a rewrap is recorded for a key by its name, without a version")
        if not reason.strip():
            raise InvalidInputError("a finished rewrap is recorded with a reason")
        for counter in list(self.counters):
            counter.flush()

        def change(key: Key) -> Key:
            older = _moved(key)
            if newest not in (None, key.primary.version):
                raise KeyStateError(
                    f"key {key.key_id!r} was rotated meanwhile; rewrap once more, and record that"
                )
            now = self._keys.clock()
            self._refuse_later_uses(key, older, day_of(now))
            self._usage.mark_rewrapped([each.handle for each in older], day_of(now))
            versions = (
                replace(each, rewrapped_at=now) if each in older else each for each in key.versions
            )
            return replace(key, versions=tuple(versions)) if older else key

        return self._keys.update(name, change, "key.rewrapped", reason=reason)

    def _refuse_later_uses(self, key: Key, older: list[KeyVersion], today: int) -> None:
        names = {each.handle: version_id(key.key_id, each.version) for each in older}
        for use in self._usage.summaries(names):
            if use.last_day <= today:
                continue
            day = f"{start_of_day(use.last_day):%Y-%m-%d}"
            if use.kind == LEASE:
                raise KeyStateError(
                    f"a data key under {names[use.handle]} may be in use until the end of {day}:"
                    " move what it seals, and record the rewrap after that day"
                )
            raise KeyStateError(
                f"a use of {names[use.handle]} is on record for {day}, which is later than today:"
                " set the clocks right, and record the rewrap after that day"
            )

    # Uses of what waits for its destruction -----------------------------------------------------

    def is_alarm_due(self, version: KeyVersion) -> bool:
        """Whether :meth:`alarm_pending_use` would write to the log and the audit log."""
        return monotonic() >= self._alarms.get(version.handle, 0.0)

    def alarm_pending_use(self, key: Key, version: KeyVersion) -> None:
        """Say that somebody needs a version that is about to be destroyed.

        Each use counts for the metrics; log and audit log tell of a version once a minute.
        Raises :class:`AuditUnavailableError`.
        """
        if self.on_pending_use is not None:
            self.on_pending_use()
        if not self.is_alarm_due(version):
            return
        named = version_id(key.key_id, version.version)
        if self._keys.journal.log is not None:
            self._keys.journal.log.now("key.pending-use", "key-state", key=named)
        self._alarms[version.handle] = monotonic() + _ALARM_SECONDS
        _LOG.warning(
            "%s was used while its destruction is pending; to keep it:"
            " mfn key cancel-destruction %s", named, named,
        )  # fmt: skip

    def refuse_pending(self, key: Key, version: KeyVersion) -> None:
        """Count and alarm a use outside of every keyring, if the version's destruction is pending.

        The count is durable when this returns.
        """
        if version.state is KeyState.PENDING_DESTRUCTION:
            day = day_of(self._keys.clock())
            self._usage.add({(version.handle, day, REFUSED): 1})
            self.alarm_pending_use(key, version)


def _moved(key: Key) -> list[KeyVersion]:
    """The versions whose data a finished rewrap has moved to the newest."""
    if key.key_type is not KeyType.ENCRYPTION:
        raise KeyUsageError(f"key {key.key_id!r} is of type {key.key_type}: it seals nothing")
    newest = key.primary.version
    return [each for each in key.versions if each.version < newest and each.state in _MOVED_FROM]
