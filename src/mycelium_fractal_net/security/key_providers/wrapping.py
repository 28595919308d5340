"""Keys wrapped and unwrapped by a store's custodian; nothing else asks it for either."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.blocking import SingleFlight
from mycelium_fractal_net.security.errors import CustodianDeniedError, CustodianUnavailableError
from mycelium_fractal_net.security.key_providers.custodian import Binding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mycelium_fractal_net.security.key_providers.custodian import Custodian
    from mycelium_fractal_net.security.records.keys import Key, KeyVersion

_MOST_REMEMBERED: Final = 4096  # keys, for an outage
_AT_ONCE: Final = 64  # keys that a custodian is asked to rewrap; Vault takes 240, KMS one each

_Unwrap = tuple[str, bytes, Binding]


class Wrapping:
    """Wraps under the master keys of one store.

    Nothing from a row chooses a key: a master key that the custodian does not hold by its own
    configuration is refused before it is asked for anything. Of threads that need the same key at
    once one has it unwrapped.

    What was unwrapped within ``outage_seconds`` is given once more while the custodian does not
    answer: whether the key may be used at all the store says, not the custodian. Where that
    refuses, what is remembered is forgotten.
    """

    def __init__(
        self, custodian: Custodian, store_id: bytes, *, outage_seconds: float = 0.0
    ) -> None:
        self.custodian = custodian
        self.store_id = store_id
        self._outage_seconds = outage_seconds
        self._unwraps: SingleFlight[bytes] = SingleFlight()
        self._remembered: OrderedDict[_Unwrap, tuple[float, bytes]] = OrderedDict()

    def wrap(self, master_id: str, material: bytes, binding: Binding) -> bytes:
        """``material`` under that master key. Raises :class:`MasterKeyError`."""
        self.custodian.check(master_id)
        return self.custodian.wrap_many(master_id, [(material, binding)])[0]

    def unwrap(self, master_id: str, wrapped: bytes, binding: Binding) -> bytes:
        """What was wrapped. Raises :class:`MasterKeyError`, :class:`StoreIntegrityError`."""
        self.custodian.check(master_id)
        asked = (master_id, wrapped, binding)
        return self._unwraps.fetch(asked, lambda: self._fetched(asked))

    def rewrap(
        self, from_id: str, to_id: str, items: Sequence[tuple[bytes, Binding]]
    ) -> list[bytes]:
        """The same materials under another master key of this store, each seen to unwrap there.

        Some at a time, since a custodian has a deadline for what it is asked at once. Raises
        :class:`StoreIntegrityError` for one that does not unwrap, before or after.
        """
        for master_id in (from_id, to_id):
            self.custodian.check(master_id)
        rewrapped: list[bytes] = []
        for start in range(0, len(items), _AT_ONCE):
            some = items[start : start + _AT_ONCE]
            found = self.custodian.rewrap_many(from_id, to_id, some)
            bindings = (binding for _, binding in some)
            self.custodian.unwrap_many(to_id, list(zip(found, bindings, strict=True)))
            rewrapped += found
        return rewrapped

    def _fetched(self, asked: _Unwrap) -> bytes:
        master_id, wrapped, binding = asked
        try:
            (material,) = self.custodian.unwrap_many(master_id, [(wrapped, binding)])
        except CustodianUnavailableError:
            since, material = self._remembered.get(asked, (float("-inf"), b""))
            if monotonic() - since >= self._outage_seconds:
                raise
        except CustodianDeniedError:
            self._remembered.clear()
            raise
        else:
            self._remember(asked, material)
        return material

    def _remember(self, asked: _Unwrap, material: bytes) -> None:
        if self._outage_seconds <= 0:
            return
        self._remembered.pop(asked, None)
        if len(self._remembered) >= _MOST_REMEMBERED:
            with suppress(KeyError):  # another thread was first
                self._remembered.popitem(last=False)
        self._remembered[asked] = (monotonic(), material)

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

    def binding_of(self, key_type: str, algorithm: str, handle: bytes = b"") -> Binding:
        """What a key of the store itself is bound to.

        No named key has the type ``authority``, ``audit`` or ``backup``: no key's wrapping passes
        for one of those.
        """
        return Binding(
            store_id=self.store_id,
            key_id="",
            key_type=key_type,
            use="",
            algorithm=algorithm,
            version=0,
            handle=handle,
        )
