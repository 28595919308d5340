"""The key that chains the audit log's records: in the store, wrapped by its master key."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.audit.chain import ChainKey
from mycelium_fractal_net.security.errors import ConflictError, StoreIntegrityError
from mycelium_fractal_net.security.key_providers.record_macs import RECORD_MAC_ALGORITHM
from mycelium_fractal_net.security.key_store.audit_table import ChainCount, StoredAuditKey

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.secret_bytes import SecretBytes
    from mycelium_fractal_net.security.key_providers.record_macs import RecordMacs
    from mycelium_fractal_net.security.key_store.record_mac import Mac

_FIRST: Final = 1  # there is one audit key; a number leaves room for the next


class AuditKey:
    """The audit key of a store. No scope reaches it."""

    def __init__(self, record_macs: RecordMacs) -> None:
        self._store = record_macs.store
        self._wrapping = record_macs.wrapping
        self._policy = record_macs.policy
        self._binding = self._wrapping.binding_of("audit", RECORD_MAC_ALGORITHM)

    def mac(self) -> Mac:
        """The MAC key of the audit log, which is made where the store has none yet.

        Raises :class:`StoreIntegrityError` where chains were counted under one that is gone.
        """
        stored = self._store.audit_key()
        while stored is None:
            if self._store.chain_count() is not None and self._store.audit_key() is None:
                raise StoreIntegrityError("the store counts audit records, and their key is gone")
            master_id = self._store.require_status().master_id
            material = self._policy.generate_key_material(RECORD_MAC_ALGORITHM)
            wrapped = self._wrapping.wrap(master_id, material, self._binding)
            with contextlib.suppress(ConflictError):  # somebody was first, or the master key moved
                mac = self._policy.mac(RECORD_MAC_ALGORITHM, material)
                none = ChainKey(self._wrapping.store_id, mac).authenticated(ChainCount(0))
                self._store.insert_audit_key(StoredAuditKey(_FIRST, wrapped, master_id), none)
            stored = self._store.audit_key()
        return self.of(stored)

    def chain_key(self) -> ChainKey:
        """The same, with the id of the store: what chains and rows of the audit log hang on."""
        return ChainKey(self._wrapping.store_id, self.mac())

    def count_chains(self) -> None:
        """Count the chains of a store that was made by a release which did not."""
        if self._store.audit_key() is not None and self._store.chain_count() is None:
            key = self.chain_key()
            self._store.count_chains(lambda known: key.authenticated(ChainCount(known)))

    def of(self, stored: StoredAuditKey) -> Mac:
        """The MAC key of the audit log of a row, which may be one of a backup."""
        return self._policy.mac(RECORD_MAC_ALGORITHM, self.unwrapped(stored))

    def unwrapped(self, stored: StoredAuditKey) -> SecretBytes:
        """The bytes of the key. Raises :class:`MasterKeyError`, :class:`StoreIntegrityError`."""
        return self._wrapping.unwrap(stored.master_id, stored.wrapped, self._binding)

    def move_to(self, master_id: str) -> None:
        """Wrap the audit key by the store's new master key."""
        stored = self._store.audit_key()
        if stored is None or stored.master_id == master_id:
            return
        items = [(stored.wrapped, self._binding)]
        (wrapped,) = self._wrapping.rewrap(stored.master_id, master_id, items)
        self._store.replace_audit_key(stored, StoredAuditKey(stored.number, wrapped, master_id))
