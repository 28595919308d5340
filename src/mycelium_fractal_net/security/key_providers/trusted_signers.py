"""Signers that are trusted: checked when they come out of the store, sealed when they go in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mycelium_fractal_net.security.errors import ConflictError, StoreIntegrityError
from mycelium_fractal_net.security.key_providers.authorities import ATTEMPTS, Authorities
from mycelium_fractal_net.security.key_store.authority import check_signer, seal_signer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mycelium_fractal_net.security.key_store import StoredSigner
    from mycelium_fractal_net.security.records.signers import Signer

__all__ = ["TrustedSigners"]

_PAGE = 1000


class TrustedSigners(Authorities):
    """The signers of a store, each authenticated under its master key's authority."""

    def signer(self, name: str) -> Signer:
        """The authenticated record of a signer. Raises :class:`KeyNotFoundError`."""
        return self._checked_signer(self.store.load_signer(name))

    def signers(self, after: str = "", limit: int = 1000, *, since: int = -1) -> list[Signer]:
        """Up to ``limit`` signers whose names sort after ``after``, in order.

        Only those that changed after the store's generation ``since``.
        """
        page = self.store.page_of_signers(after, limit, since=since)
        return [self._checked_signer(each) for each in page]

    def authentic_signers(
        self, since: int = -1
    ) -> Iterator[tuple[str, Signer | StoreIntegrityError]]:
        """Every signer that changed after the store's generation ``since``, by name.

        A record that fails its authentication is given as its error.
        """
        after = ""
        while names := self.store.signer_names(after, _PAGE, since=since):
            for name in names:
                try:
                    yield name, self.signer(name)
                except StoreIntegrityError as error:
                    yield name, error
            after = names[-1]

    def insert_signer(self, signer: Signer) -> Signer:
        """Store a signer under the present master key, authenticated."""
        placed = replace(signer, master_id=self.store.require_pulse().master_id)
        mac = self._seal_signer(placed)
        with self._recorded("signer.add", mac, b"", subject=placed.name):
            self.store.insert_signer(placed, mac)
        return placed

    def update_signer(
        self, name: str, change: Callable[[Signer], Signer], event: str | None = None
    ) -> Signer:
        """Swap a signer's record for what ``change`` makes of it, and try again if it lost a race.

        Raises :class:`KeyNotFoundError`.
        """
        for _ in range(ATTEMPTS):
            old = self.signer(name)
            master_id = self.store.require_pulse().master_id
            new = change(old if old.master_id == master_id else replace(old, master_id=master_id))
            if new is old:
                return old
            new = replace(new, revision=old.revision + 1)
            mac, former = self._seal_signer(new), self._seal_signer(old)
            try:
                with self._recorded(event, mac, former, subject=name):
                    self.store.replace_signer(old, new, mac)
            except ConflictError:
                continue
            return new
        raise ConflictError("the signer is being changed by many at once; try again")

    def _seal_signer(self, signer: Signer) -> bytes:
        return seal_signer(self._authority(signer.master_id), self.custodian.store_id, signer)

    def _checked_signer(self, stored: StoredSigner) -> Signer:
        authority = self._authority(stored.signer.master_id)
        check_signer(authority, self.custodian.store_id, stored.signer, stored.mac)
        return stored.signer
