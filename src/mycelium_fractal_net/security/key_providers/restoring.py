"""What a record becomes in a store that came from a backup: it starts closed.

The backup may be older than what was decided since: a credential that was revoked, a destruction
that was cancelled, messages that were counted. So nothing of that is taken up again by itself.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from mycelium_fractal_net.security.errors import KeyStateError, StoreIntegrityError
from mycelium_fractal_net.security.key_providers.keys import NewVersion
from mycelium_fractal_net.security.records.credentials import CredentialState
from mycelium_fractal_net.security.records.keys import (
    DESTRUCTION_WINDOW_DAYS,
    Key,
    KeyState,
    KeyType,
    KeyVersion,
)

if TYPE_CHECKING:
    from datetime import datetime

    from mycelium_fractal_net.security.key_providers.authenticated_table import AuthenticatedTable
    from mycelium_fractal_net.security.key_providers.credentials import Credentials
    from mycelium_fractal_net.security.key_providers.keys import Keys
    from mycelium_fractal_net.security.key_store import Stored
    from mycelium_fractal_net.security.key_store.kinds import R
    from mycelium_fractal_net.security.records.credentials import Credential


class ClosedKey(NamedTuple):
    """A key as it was in the backup, as it is in the restored store, and the MAC of that."""

    old: Key
    new: Key
    mac: bytes


class Restoring:
    """Closes the records of a backup while they are put into an empty store."""

    def __init__(self, keys: Keys, credentials: Credentials) -> None:
        self._keys = keys
        self._credentials = credentials

    def adopt_record_mac(self, master_id: str, wrapped: bytes) -> None:
        """Use the MAC key of rows under ``master_id``, which the store has not got yet.

        One that is not of this store's master keys is left alone, and so is what names it: such
        records are refused. Raises :class:`MasterKeyError`, :class:`StoreIntegrityError`.
        """
        record_macs = self._keys.record_macs
        if record_macs.wrapping.custodian.holds(master_id):
            record_macs.adopt(master_id, wrapped)

    def closed_credential(self, stored: Stored[Credential]) -> tuple[Credential, bytes] | None:
        """The record, unconfirmed, and its MAC; None where it stays as it is.

        That is where it was not active, and where it is not authentic, so that it is refused.
        """
        found = self._authentic(self._credentials, stored)
        if found is None or found.state is not CredentialState.ACTIVE:
            return None
        closed = replace(found, state=CredentialState.UNCONFIRMED, revision=found.revision + 1)
        return closed, self._credentials.sealed(closed)

    def closed_key(self, stored: Stored[Key], *, used_raw: bool, now: datetime) -> ClosedKey | None:
        """The record with what has to be done at once done; None where there is nothing.

        A key that encrypted raw messages gets a new version: how many there were since the
        backup nobody counted. Destruction that is pending begins anew, so that there is time to
        cancel it once more. None also for a record that is not authentic.
        """
        key = self._authentic(self._keys, stored)
        if key is None:
            return None
        window = now + timedelta(days=DESTRUCTION_WINDOW_DAYS)
        new = replace(key, versions=tuple(_kept_until(each, window) for each in key.versions))
        if used_raw and key.key_type is KeyType.ENCRYPTION:
            new = self._rotated(new)
        if new == key:
            return None
        new = replace(new, revision=key.revision + 1)
        return ClosedKey(key, new, self._keys.sealed(new))

    def _authentic(self, table: AuthenticatedTable[R], stored: Stored[R]) -> R | None:
        if not self._keys.record_macs.knows(stored.record.master_id):
            return None
        with suppress(StoreIntegrityError):
            return table.checked(stored)
        return None

    def _rotated(self, key: Key) -> Key:
        try:
            primary = key.primary
        except KeyStateError:
            return key  # it protects nothing as it is
        if self._keys.require_backup:
            # The new version waits for a backup, and until then nothing may be protected.
            ended = replace(primary, state=KeyState.DEACTIVATED)
            versions = (ended if each is primary else each for each in key.versions)
            key = replace(key, versions=tuple(versions))
        return NewVersion(self._keys).to(key)


def _kept_until(version: KeyVersion, moment: datetime) -> KeyVersion:
    if version.state is not KeyState.PENDING_DESTRUCTION or version.destroy_at is None:
        return version
    return replace(version, destroy_at=max(version.destroy_at, moment))
