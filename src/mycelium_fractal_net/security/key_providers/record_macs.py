"""Records that grant authority are authenticated: who can write to the database gains nothing.

A key is one record: its type, use, algorithm, policy and the states of all its versions are under
one HMAC-SHA-256, whose key is wrapped by the master key. So an edited state, a row brought over
from another store, and one version's row put back as it was last week are all refused. A rollback
of a key's whole record, or of the whole store, is not seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.errors import (
    InvalidSignatureError,
    StoreIntegrityError,
    UnknownMasterKeyError,
)
from mycelium_fractal_net.security.key_store.record_mac import encode_fields

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers.custodian import Binding
    from mycelium_fractal_net.security.key_providers.wrapping import Wrapping
    from mycelium_fractal_net.security.key_store import KeyStore, Stored
    from mycelium_fractal_net.security.key_store.kinds import R, RecordKind
    from mycelium_fractal_net.security.key_store.record_mac import Mac
    from mycelium_fractal_net.security.policy import Policy

RECORD_MAC_ALGORITHM: Final = "HMAC-SHA-256"


class RecordMacs:
    """Seals and checks the records of a store.

    What is authenticated is a label, the store id and each field, length-prefixed: no two records
    have the same encoding.
    """

    def __init__(self, store: KeyStore, wrapping: Wrapping, policy: Policy) -> None:
        self.store = store
        self.wrapping = wrapping
        self.policy = policy
        self._macs: dict[str, tuple[bytes, Mac]] = {}  # by master key: wrapped, and unwrapped
        self._adopted: dict[str, Mac] = {}

    def seal(self, kind: RecordKind[R], record: R) -> bytes:
        """The MAC of a record under the MAC key of its master key, as the store has it now.

        A store that was moved away and back has another one than before.
        """
        return self.of(record.master_id, now=True).tag(self._encoded(kind, record))

    def check(self, kind: RecordKind[R], stored: Stored[R]) -> R:
        """The record, which is authentic. Raises :class:`StoreIntegrityError`, naming it.

        A record whose MAC key cannot be read is refused alone, as one whose MAC is wrong. Only
        where the store's own master key is not here nothing can be checked: that is a
        :class:`MasterKeyError`.
        """
        record = stored.record
        try:
            known = self._macs.get(record.master_id)
            mac = self.of(record.master_id)
            if not self._is_under(mac, kind, stored) and known is not None:
                mac = self.of(record.master_id, now=True)
        except StoreIntegrityError as error:
            raise type(error)(f"{kind.named(record)} is refused: {error}") from None
        if not self._is_under(mac, kind, stored):
            raise StoreIntegrityError(
                f"{kind.named(record)} fails its authentication: its rows were changed outside of"
                " this software, or come from another store"
            ) from None
        return record

    def _is_under(self, mac: Mac, kind: RecordKind[R], stored: Stored[R]) -> bool:
        try:
            mac.verify(self._encoded(kind, stored.record), stored.mac)
        except (InvalidSignatureError, TypeError):  # of a kind that no field has
            return False
        return True

    def _encoded(self, kind: RecordKind[R], record: R) -> bytes:
        return encode_fields((kind.domain, self.wrapping.store_id, *kind.fields(record)))

    def of(self, master_id: str, *, now: bool = False) -> Mac:
        """The MAC key under that master key; ``now`` has the store asked whether it is the same.

        Raises :class:`StoreIntegrityError`, and :class:`MasterKeyError` where it is the store's
        own master key that is not here.
        """
        adopted = self._adopted.get(master_id)
        if adopted is not None:
            return adopted
        known = self._macs.get(master_id)
        if known is not None and not now:
            return known[1]
        present = self.wrapping.custodian.holds(master_id)
        if not present and self.store.require_status().master_id != master_id:
            raise UnknownMasterKeyError(
                "it names a master key that is neither the store's nor a former one"
            )
        try:
            wrapped = self.store.record_mac_key(master_id)
        except StoreIntegrityError:
            if known is None:
                raise
            return known[1]  # the store has moved on; what is sealed under this is not written
        if known is None or known[0] != wrapped:
            known = self._macs[master_id] = wrapped, self._unwrapped(master_id, wrapped)
        return known[1]

    def adopt(self, master_id: str, wrapped: bytes) -> None:
        """Use that MAC key for what is under ``master_id`` in a store that has not got it yet.

        Raises :class:`MasterKeyError`, :class:`StoreIntegrityError`.
        """
        self._adopted[master_id] = self._unwrapped(master_id, wrapped)

    def knows(self, master_id: str) -> bool:
        """Whether the MAC key under that master key was read or adopted."""
        return master_id in self._macs or master_id in self._adopted

    def _unwrapped(self, master_id: str, wrapped: bytes) -> Mac:
        material = self.wrapping.unwrap(master_id, wrapped, self.binding)
        return self.policy.mac(RECORD_MAC_ALGORITHM, material)

    def make(self, master_id: str) -> bytes:
        """A fresh MAC key, wrapped by that master key."""
        material = self.policy.generate_key_material(RECORD_MAC_ALGORITHM)
        return self.wrapping.wrap(master_id, material, self.binding)

    def forget(self) -> None:
        """Forget the MAC keys: the store has moved to another master key, or is closed."""
        self._macs.clear()

    @property
    def binding(self) -> Binding:
        """What every one of them is bound to."""
        return self.wrapping.binding_of("authority", RECORD_MAC_ALGORITHM)
