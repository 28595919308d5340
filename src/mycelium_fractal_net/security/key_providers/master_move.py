"""The master key that a store is under: begun with, and moved from one to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mycelium_fractal_net.security.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mycelium_fractal_net.security.key_providers.audit_key import AuditKey
    from mycelium_fractal_net.security.key_providers.authenticated_table import AuthenticatedTable
    from mycelium_fractal_net.security.key_providers.journal import Journal
    from mycelium_fractal_net.security.key_providers.record_macs import RecordMacs


class MasterKeys:
    """Begins a store, and moves all that it holds to a new master key."""

    def __init__(
        self,
        record_macs: RecordMacs,
        journal: Journal,
        audit_key: AuditKey,
        keys: AuthenticatedTable[Any],
        others: Sequence[AuthenticatedTable[Any]],
    ) -> None:
        self._store = record_macs.store
        self._custodian = record_macs.wrapping.custodian
        self._record_macs = record_macs
        self._journal = journal
        self._audit_key = audit_key
        self._keys = keys
        self._others = others

    def begin(self) -> None:
        """Begin an empty store under the custodian's newest master key.

        Raises :class:`ConflictError` where it is somebody's already.
        """
        master_id = self._custodian.newest_id()
        self._store.begin(master_id, self._record_macs.make(master_id))

    def rotate(self, progress: Callable[[int], None] | None = None) -> str:
        """Move the whole store under a new master key; returns the new one's id.

        May be killed at any moment and called again: it goes on where it stopped, and at
        every step the custodian holds each master key that some row still needs. Processes
        that have the store open follow by themselves. ``progress`` gets 1 for each key.
        Raises :class:`ConflictError` while another process moves the store,
        :class:`ConfigurationError` where the custodian makes its master keys itself, and
        :class:`StoreIntegrityError` for a record under a former master key that is refused: it
        would be lost. What names a master key that is not here was refused before, and stays.
        """
        custodian, managing = self._custodian, self._custodian.managing()
        if managing is None:
            raise ConfigurationError(
                f"the master key is kept by another ({custodian.scheme}), which rotates it"
            )
        with (
            self._store.database.moving() as held,
            self._journal.recorded("master.rotate", b"", b""),
        ):
            current = self._store.require_status().master_id
            if custodian.newest_id() == current and not self.former(current):
                managing.add()
            newest = custodian.newest_id()
            if newest != current:
                self._store.move_to(current, newest, self._record_macs.make(newest))
            former = self.former(newest)
            self._keys.move_from(former, progress)
            for table in self._others:
                table.move_from(former)
            self._audit_key.move_to(newest)
            held()
            self._store.forget_masters(newest, former)
            managing.forget_all_but(newest)
            self._record_macs.forget()
            return newest

    def former(self, present: str) -> list[str]:
        """Other master keys of the custodian's that the store still has an authority key under."""
        return [
            each
            for each in self._store.record_mac_ids()
            if each != present and self._custodian.holds(each)
        ]
