"""What a record becomes in a store that came from a backup: it starts closed.

The backup may be older than what was decided since: a credential that was revoked, a destruction
that was cancelled, messages that were counted. So nothing of that is taken up again by itself.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from mycelium_fractal_net.security.errors import KeyStateError, StoreIntegrityError
from mycelium_fractal_net.security.key_providers.audited import AUTHORITY_ALGORITHM
from mycelium_fractal_net.security.key_providers.state_management import DESTRUCTION_WINDOW_DAYS
from mycelium_fractal_net.security.key_providers.trusted import TrustedRecords
from mycelium_fractal_net.security.records.credentials import CredentialState
from mycelium_fractal_net.security.records.keys import Key, KeyState, KeyType, KeyVersion

if TYPE_CHECKING:
    from datetime import datetime

    from mycelium_fractal_net.security.key_store import StoredCredential, StoredKey
    from mycelium_fractal_net.security.key_store.audit_table import StoredAuditKey
    from mycelium_fractal_net.security.key_store.authority import Mac
    from mycelium_fractal_net.security.records.credentials import Credential

__all__ = ["ClosedKey", "RestoredStore"]


class ClosedKey(NamedTuple):
    """A key as it was in the backup, as it is in the restored store, and the MAC of that."""

    old: Key
    new: Key
    mac: bytes


class RestoredStore(TrustedRecords):
    """Closes the records of a backup while they are put into an empty store."""

    if TYPE_CHECKING:

        def _with_new_version(self, key: Key) -> Key: ...

    def adopt_authority(self, master_id: str, wrapped: bytes) -> None:
        """Use the MAC key of rows under ``master_id``, which the store has not got yet.

        Raises :class:`MasterKeyError`, :class:`StoreIntegrityError`.
        """
        material = self.custodian.unwrap(master_id, wrapped, self._authority_binding())
        self._authorities[master_id] = self.policy.mac(AUTHORITY_ALGORITHM, material)

    def audit_key_of(self, stored: StoredAuditKey) -> Mac:
        """The MAC key of the audit log in a backup."""
        return self.policy.mac(AUTHORITY_ALGORITHM, self._unwrapped_audit_key(stored))

    def closed_credential(self, stored: StoredCredential) -> tuple[Credential, bytes] | None:
        """The record, unconfirmed, and its MAC; None where it stays as it is.

        That is where it was not active, and where it is not authentic, so that it is refused.
        """
        try:
            found = self._checked_credential(stored)
        except StoreIntegrityError:
            return None
        if found.state is not CredentialState.ACTIVE:
            return None
        closed = replace(found, state=CredentialState.UNCONFIRMED, revision=found.revision + 1)
        return closed, self._seal_credential(closed)

    def closed_key(self, stored: StoredKey, *, used_raw: bool, now: datetime) -> ClosedKey | None:
        """The record with what has to be done at once done; None where there is nothing.

        A key that encrypted raw messages gets a new version: how many there were since the
        backup nobody counted. Destruction that is pending begins anew, so that there is time to
        cancel it once more. None also for a record that is not authentic.
        """
        try:
            key = new = self._checked(stored)
        except StoreIntegrityError:
            return None
        window = now + timedelta(days=DESTRUCTION_WINDOW_DAYS)
        new = replace(key, versions=tuple(_kept_until(each, window) for each in key.versions))
        if used_raw and key.key_type is KeyType.ENCRYPTION:
            new = self._rotated(new)
        if new == key:
            return None
        new = replace(new, revision=key.revision + 1)
        return ClosedKey(key, new, self._seal(new))

    def _rotated(self, key: Key) -> Key:
        try:
            primary = key.primary
        except KeyStateError:
            return key  # it protects nothing as it is
        if self.require_backup:
            # The new version waits for a backup, and until then nothing may be protected.
            ended = replace(primary, state=KeyState.DEACTIVATED)
            versions = (ended if each is primary else each for each in key.versions)
            key = replace(key, versions=tuple(versions))
        return self._with_new_version(key)


def _kept_until(version: KeyVersion, moment: datetime) -> KeyVersion:
    if version.state is not KeyState.PENDING_DESTRUCTION or version.destroy_at is None:
        return version
    return replace(version, destroy_at=max(version.destroy_at, moment))
