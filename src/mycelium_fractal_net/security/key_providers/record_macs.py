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
        self._macs: dict[str, Mac] = {}

    def seal(self, kind: RecordKind[R], record: R) -> bytes:
        """The MAC of a record under the MAC key of its master key."""
        return self.of(record.master_id).tag(self._encoded(kind, record))

    def check(self, kind: RecordKind[R], stored: Stored[R]) -> R:
        """The record, which is authentic. Raises :class:`StoreIntegrityError`, naming it.

        A record whose MAC key cannot be read is refused alone, as one whose MAC is wrong. Only
        where the store's own master key is not here nothing can be checked: that is a
        :class:`MasterKeyError`.
        """
        record = stored.record
        try:
            mac = self.of(record.master_id)
        except StoreIntegrityError as error:
            raise type(error)(f"{kind.named(record)} is refused: {error}") from None
        try:
            mac.verify(self._encoded(kind, record), stored.mac)
        except (InvalidSignatureError, TypeError):  # of a kind that no field has
            raise StoreIntegrityError(
                f"{kind.named(record)} fails its authentication: its rows were changed outside of"
                " this software, or come from another store"
            ) from None
        return record

    def _encoded(self, kind: RecordKind[R], record: R) -> bytes:
        return encode_fields((kind.domain, self.wrapping.store_id, *kind.fields(record)))

    def of(self, master_id: str) -> Mac:
        """The MAC key under that master key.

        Raises :class:`StoreIntegrityError`, and :class:`MasterKeyError` where it is the store's
        own master key that is not here.
        """
        found = self._macs.get(master_id)
        if found is None:
            present = self.wrapping.custodian.holds(master_id)
            if not present and self.store.require_status().master_id != master_id:
                raise UnknownMasterKeyError(
                    "it names a master key that is neither the store's nor a former one"
                )
            found = self.adopt(master_id, self.store.record_mac_key(master_id))
        return found

    def adopt(self, master_id: str, wrapped: bytes) -> Mac:
        """Use that MAC key for what is under ``master_id``, whether or not the store has it yet.

        Raises :class:`MasterKeyError`, :class:`StoreIntegrityError`.
        """
        material = self.wrapping.unwrap(master_id, wrapped, self.binding)
        found = self._macs[master_id] = self.policy.mac(RECORD_MAC_ALGORITHM, material)
        return found

    def knows(self, master_id: str) -> bool:
        """Whether the MAC key under that master key was read or adopted."""
        return master_id in self._macs

    def make(self, master_id: str) -> bytes:
        """A fresh MAC key, wrapped by that master key."""
        material = self.policy.generate_key_material(RECORD_MAC_ALGORITHM)
        return self.wrapping.wrap(master_id, material, self.binding)

    def forget(self) -> None:
        """Forget the MAC keys; the store has moved to another master key."""
        self._macs.clear()

    @property
    def binding(self) -> Binding:
        """What every one of them is bound to."""
        return self.wrapping.binding_of("authority", RECORD_MAC_ALGORITHM)
