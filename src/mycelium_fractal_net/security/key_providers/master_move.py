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

    Progress = Callable[[int], None]


class MasterKeys:
    """Begins a store, and moves all that it holds to another master key.

    Every move may be killed at any moment and called again: it goes on where it stopped, and at
    every step some custodian here holds each master key that a row still needs. Processes that
    have the store open follow by themselves, if they hold both. What is rewrapped is seen to
    unwrap before its row is swapped. ``progress`` gets 1 for each key.
    Moves raise :class:`ConflictError` while another process moves the store, and
    :class:`StoreIntegrityError` for a record under a former master key that is refused: it
    would be lost. What names a master key that is not here was refused before, and stays.
    """

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

    def check(self) -> None:
        """See that what is configured here opens this store, by its authority key.

        Raises :class:`MasterKeyError` where its master key is not here, and
        :class:`StoreIntegrityError` where it is another key, or the store another one.
        """
        self._record_macs.of(self._store.require_status().master_id)

    # Moving -------------------------------------------------------------------------------

    def rotate(self, progress: Progress | None = None) -> str:
        """Move the whole store under a new master key; returns the new one's id.

        The former ones are forgotten by the custodian. Raises :class:`ConfigurationError` where
        it is not this application that makes its master keys.
        """
        present = self._custodian.parts[0]
        managing = present.managing()
        if managing is None:
            raise ConfigurationError(
                f"the master key is kept by another ({present.scheme}), which rotates it; what a"
                " rotation there left under the former version is moved by: mfn master rewrap"
            )

        def made() -> str:
            current = self._store.require_status().master_id
            if present.newest_id() == current and not self.former(current):
                return managing.add()
            return present.newest_id()

        return self._moved("master.rotate", made, progress, managing.forget_all_but)

    def rewrap(self, progress: Progress | None = None) -> str:
        """Move what is under former versions of the custodian's master key to its newest one.

        Returns the newest one's id. Raises :class:`ConfigurationError` where the store is under
        another custodian's.
        """
        present = self._custodian.parts[0]
        if not present.holds(self._store.require_status().master_id):
            raise ConfigurationError(
                "the store is under the master key of another custodian; to move it here:"
                f" mfn master migrate --to {present.scheme}"
            )
        return self._moved("master.rewrap", present.newest_id, progress)

    def migrate(self, progress: Progress | None = None) -> str:
        """Move the whole store to the custodian that comes first; returns its master key's id.

        Nothing is forgotten by those that it was under.
        """
        return self._moved("master.migrate", self._custodian.newest_id, progress)

    def _moved(
        self,
        event: str,
        target: Callable[[], str],
        progress: Progress | None,
        forget_all_but: Callable[[str], None] | None = None,
    ) -> str:
        with (
            self._store.database.moving() as held,
            self._journal.recorded(event, b"", b""),
        ):
            newest = target()
            current = self._store.require_status().master_id
            if newest != current:
                self._begin_move(current, newest)
            former = self.former(newest)
            self._keys.move_from(former, progress)
            for table in self._others:
                table.move_from(former)
            self._audit_key.move_to(newest)
            held()
            self._store.forget_masters(newest, former)
            if forget_all_but is not None:
                forget_all_but(newest)
            self._record_macs.forget()
            return newest

    def _begin_move(self, current: str, newest: str) -> None:
        """From now on everything is written under the newest master key."""
        self._record_macs.of(current)  # nothing leaves a store that does not open here
        wrapped: bytes | None = None
        if newest in self._store.record_mac_ids():  # a move that was cut off is turned round
            self._record_macs.of(newest)
        else:
            wrapped = self._record_macs.make(newest)
        self._store.move_to(current, newest, wrapped)

    def way_on(self) -> str:
        """The command that brings all of the store under its newest master key here."""
        present, current = self._custodian.parts[0], self._store.require_status().master_id
        if present.managing() is not None:
            return "mfn master rotate"
        if present.holds(current):
            return "mfn master rewrap"
        return f"mfn master migrate --to {present.scheme}"

    def former(self, present: str) -> list[str]:
        """Other master keys of the custodian's that the store still has an authority key under."""
        return [
            each
            for each in self._store.record_mac_ids()
            if each != present and self._custodian.holds(each)
        ]
