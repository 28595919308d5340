"""Keys wrapped and unwrapped by a store's custodian; nothing else asks him for either."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mycelium_fractal_net.security.blocking import SingleFlight
from mycelium_fractal_net.security.key_providers.base import Binding

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers.base import Custodian
    from mycelium_fractal_net.security.records.keys import Key, KeyVersion


class Wrapping:
    """Wraps under the master keys of one store.

    Nothing from a row chooses a key: a master key that the custodian does not hold by his own
    configuration is refused before he is asked for anything. Of threads that need the same key at
    once one has it unwrapped.
    """

    def __init__(self, custodian: Custodian, store_id: bytes) -> None:
        self.custodian = custodian
        self.store_id = store_id
        self._unwraps: SingleFlight[bytes] = SingleFlight()

    def holds(self, master_id: str) -> bool:
        """Whether that is a master key of this store, by the custodian's own configuration."""
        return self.custodian.holds(master_id)

    def wrap(self, master_id: str, material: bytes, binding: Binding) -> bytes:
        """``material`` under that master key. Raises :class:`MasterKeyError`."""
        self.custodian.check(master_id)
        return self.custodian.wrap(master_id, material, binding)

    def unwrap(self, master_id: str, wrapped: bytes, binding: Binding) -> bytes:
        """What was wrapped. Raises :class:`MasterKeyError`, :class:`StoreIntegrityError`."""
        self.custodian.check(master_id)
        return self._unwraps.fetch(
            (master_id, wrapped, binding),
            lambda: self.custodian.unwrap(master_id, wrapped, binding),
        )

    def rewrap(self, old_id: str, new_id: str, wrapped: bytes, binding: Binding) -> bytes:
        """The same material under another master key of this store."""
        return self.wrap(new_id, self.unwrap(old_id, wrapped, binding), binding)

    def binding_of_version(self, key: Key, version: KeyVersion) -> Binding:
        """What the material of that version is bound to."""
        return Binding(
            store_id=self.store_id,
            key_id=key.key_id,
            key_type=key.key_type.value,
            use=key.use.value,
            algorithm=key.algorithm,
            version=version.version,
            handle=version.handle,
        )

    def binding_of(self, key_type: str, algorithm: str) -> Binding:
        """What a key of the store itself is bound to.

        No named key has the type ``authority`` or ``audit``: no key's wrapping passes for one.
        """
        return Binding(
            store_id=self.store_id,
            key_id="",
            key_type=key_type,
            use="",
            algorithm=algorithm,
            version=0,
            handle=b"",
        )
