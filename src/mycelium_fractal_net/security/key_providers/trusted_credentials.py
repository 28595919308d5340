"""Credentials that are trusted: checked when they come out of the store, sealed when they go in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mycelium_fractal_net.security.errors import ConflictError
from mycelium_fractal_net.security.key_providers.authorities import ATTEMPTS, Authorities
from mycelium_fractal_net.security.key_store.authority import check_credential, seal_credential

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.security.key_store import StoredCredential
    from mycelium_fractal_net.security.records.credentials import Credential

__all__ = ["TrustedCredentials"]


class TrustedCredentials(Authorities):
    """The credentials of a store, each authenticated under its master key's authority."""

    def credential(self, credential_id: str) -> Credential:
        """The authenticated record of a credential. Raises :class:`KeyNotFoundError`."""
        return self._checked_credential(self.store.load_credential(credential_id))

    def credentials(
        self, after: str = "", limit: int = 1000, *, since: int = -1
    ) -> list[Credential]:
        """Up to ``limit`` credentials whose ids sort after ``after``, in order.

        Only those that changed after the store's generation ``since``.
        """
        page = self.store.page_of_credentials(after, limit, since=since)
        return [self._checked_credential(each) for each in page]

    def insert_credential(self, credential: Credential) -> Credential:
        """Store a credential under the present master key, authenticated."""
        master_id = self.store.require_pulse().master_id
        placed = replace(credential, master_id=master_id)
        mac = self._seal_credential(placed)
        with self._recorded("credential.create", mac, b"", subject=placed.credential_id):
            self.store.insert_credential(placed, mac)
        return placed

    def update_credential(
        self,
        credential_id: str,
        change: Callable[[Credential], Credential],
        event: str | None = None,
    ) -> Credential:
        """Swap a credential's record for what ``change`` makes of it, as :meth:`update` does.

        Raises :class:`KeyNotFoundError`.
        """
        for _ in range(ATTEMPTS):
            old = self.credential(credential_id)
            master_id = self.store.require_pulse().master_id
            new = change(old if old.master_id == master_id else replace(old, master_id=master_id))
            if new is old:
                return old
            new = replace(new, revision=old.revision + 1)
            mac, former = self._seal_credential(new), self._seal_credential(old)
            try:
                with self._recorded(event, mac, former, subject=credential_id):
                    self.store.replace_credential(old, new, mac)
            except ConflictError:
                continue
            return new
        raise ConflictError("the credential is being changed by many at once; try again")

    def _seal_credential(self, credential: Credential) -> bytes:
        authority = self._authority(credential.master_id)
        return seal_credential(authority, self.custodian.store_id, credential)

    def _checked_credential(self, stored: StoredCredential) -> Credential:
        authority = self._authority(stored.credential.master_id)
        check_credential(authority, self.custodian.store_id, stored.credential, stored.mac)
        return stored.credential
