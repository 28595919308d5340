"""What an operator, or the time, does to the states of key versions: SP 800-57 part 1 section 7."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.errors import (
    CustodianDeniedError,
    CustodianUnavailableError,
    InvalidInputError,
    KeyStateError,
    MasterKeyError,
)
from mycelium_fractal_net.security.key_store import UsageStore
from mycelium_fractal_net.security.key_store.rows import day_of
from mycelium_fractal_net.security.key_store.usage import KEPT
from mycelium_fractal_net.security.records.keys import (
    DESTRUCTION_WINDOW_DAYS,
    Key,
    KeyState,
    KeyVersion,
    Verb,
    parse_key_id,
    version_id,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from mycelium_fractal_net.security.key_providers.keys import Keys
    from mycelium_fractal_net.security.key_store import Database

_WINDOW_DAYS: Final = range(7, 366)


class KeyStates:
    """The states of key versions, changed one record at a time."""

    def __init__(self, keys: Keys, database: Database) -> None:
        self._keys = keys
        self._database = database
        self._usage = UsageStore(database)

    def apply(
        self,
        verb: Verb,
        key_id: str,
        *,
        window_days: int = DESTRUCTION_WINDOW_DAYS,
        reason: str | None = None,
        only_if: Callable[[Key, KeyVersion], bool] | None = None,
    ) -> Key:
        """Change the state of one version: the version named, or of a bare name the newest.

        ``destroy`` begins a window of ``window_days`` (7 to 365) in which it can be cancelled.
        ``reason`` goes to the audit log. Nothing is changed where ``only_if`` says no to the
        record that would be.
        Raises :class:`KeyStateError` where the change is not legal; the newest version that
        still protects data is not destroyed, rotate or deactivate it first. A version that waits
        for a backup is not activated before there is one.
        """
        if window_days not in _WINDOW_DAYS:
            raise InvalidInputError("window_days must be between 7 and 365")
        name, number = parse_key_id(key_id)

        def change(key: Key) -> Key:
            version = key.latest if number is None else key.version(number)
            if only_if is not None and not only_if(key, version):
                return key
            changed = self._changed(key, version, verb, window_days)
            versions = (changed if each is version else each for each in key.versions)
            return replace(key, versions=tuple(versions))

        return self._keys.update(name, change, f"key.{verb.value}", reason=reason)

    def _changed(self, key: Key, version: KeyVersion, verb: Verb, window_days: int) -> KeyVersion:
        state = version.state_after(verb)
        if verb is Verb.ACTIVATE and version not in self._free_to_protect([version]):
            raise KeyStateError(
                f"version {version.version} of key {key.key_id!r} is activated once a backup holds"
                " it (rotation.require_backup); which also activates it: mfn backup FILE"
            )
        if verb is Verb.DESTROY:
            if version is key.primary_or_none:
                raise KeyStateError(
                    f"version {version.version} of key {key.key_id!r} protects new data;"
                    f" first: mfn key rotate {key.key_id}, or"
                    f" mfn key deactivate {version_id(key.key_id, version.version)}"
                )
            destroy_at = self._keys.clock() + timedelta(days=window_days)
            return replace(version, state=state, destroy_at=destroy_at)
        if verb is Verb.COMPROMISE:
            return replace(version, state=state, compromised=True)
        if verb is Verb.CANCEL_DESTRUCTION:
            # Whoever keeps it means to: it does not go again for the reason for which it went.
            day = day_of(self._keys.clock())
            self._usage.add({(version.handle, day, KEPT): 1})
            return replace(version, state=state, destroy_at=None, rewrapped_at=None)
        return replace(version, state=state, activate_at=None)

    def erase_due(self, key_id: str, *, now: datetime | None = None) -> Key:
        """Erase the material of the key's versions whose recovery window has passed.

        By this machine's clock and by the store's, which is ``now`` where it was read already.
        Public keys and the record of the version stay. There is no way back; what is left in
        the files is for :meth:`Database.scrub`. The key of an external version is destroyed with
        the custodian once the record says that the version is: nobody cancels it in between. Where
        that fails the next call does it, and raises what the custodian does.
        """
        now = min(self._keys.clock(), now or self._database.now())

        def erased(version: KeyVersion) -> KeyVersion:
            due = version.destroy_at is not None and version.destroy_at <= now
            if version.state is not KeyState.PENDING_DESTRUCTION or not due:
                return version
            return replace(version, state=KeyState.DESTROYED, wrapped=b"")

        def change(key: Key) -> Key:
            versions = tuple(erased(each) for each in key.versions)
            return key if versions == key.versions else replace(key, versions=versions)

        key = self._keys.update_named(key_id, change, "key.erase")
        for version in key.versions:
            if version.lingers:
                key = self._destroy_external(key, version)
        return key

    def abandon(self, key_id: str, *, reason: str) -> Key:
        """Ask no more for the key of a destroyed external version to be destroyed.

        That is the end of one whose custodian is gone for good, or another's now: what is there
        of it nobody here knows. It is asked for once more; where that is done, it counts as every
        other. ``reason`` goes to the audit log. Raises :class:`KeyStateError` where the version is
        not destroyed, or its key was.
        """
        name, number = parse_key_id(key_id)
        if number is None or not reason.strip():
            raise InvalidInputError("a version is named as orders:v2, and a reason is given")
        key = self._keys.get(name)
        version = key.version(number)
        if not version.lingers:
            raise KeyStateError(
                f"version {number} of key {name!r} is no destroyed one whose private key is with a"
                " custodian still"
            )
        try:
            return self._destroy_external(key, version)
        except (CustodianDeniedError, CustodianUnavailableError, MasterKeyError):
            return self._gone(key, version, "key.abandon", reason)

    def _destroy_external(self, key: Key, version: KeyVersion) -> Key:
        self._keys.external.destroy(version)
        return self._gone(key, version, "key.erase-external")

    def _gone(self, key: Key, version: KeyVersion, event: str, reason: str | None = None) -> Key:
        gone_at = self._keys.clock()

        def change(key: Key) -> Key:
            versions = tuple(
                replace(each, external_gone_at=gone_at)
                if each.handle == version.handle and each.lingers
                else each
                for each in key.versions
            )
            return key if versions == key.versions else replace(key, versions=versions)

        return self._keys.update(key.key_id, change, event, reason=reason)

    def activate_due(
        self, key_id: str, *, now: datetime | None = None, reason: str | None = None
    ) -> Key:
        """Make the versions active that were to be by ``now``, the store's time if it is given.

        And that a backup holds, where it must; one without a day waits for a backup alone.
        """
        now = now or self._keys.clock()

        def change(key: Key) -> Key:
            due = [each for each in key.versions if key.is_to_activate(each, now)]
            free = self._free_to_protect(due)
            if not free:
                return key
            versions = (
                replace(each, state=KeyState.ACTIVE, activate_at=None) if each in free else each
                for each in key.versions
            )
            return replace(key, versions=tuple(versions))

        return self._keys.update_named(key_id, change, "key.activate", reason=reason)

    def _free_to_protect(self, versions: list[KeyVersion]) -> list[KeyVersion]:
        """Those of these versions that need not wait for a backup, or no longer."""
        new = [each.handle for each in versions if each.state is KeyState.PRE_ACTIVATION]
        if not self._keys.require_backup or not new:
            return versions
        held = self._usage.backed_up(new)
        return [each for each in versions if each.handle in held or each.handle not in new]
