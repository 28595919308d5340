"""Keys wrapped and unwrapped by a store's custodian; nothing else asks it for either."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

from mycelium_fractal_net.security.blocking import SingleFlight
from mycelium_fractal_net.security.byte_io.secret_bytes import SecretBytes
from mycelium_fractal_net.security.errors import (
    CustodianUnavailableError,
    MfnError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.forking import in_child
from mycelium_fractal_net.security.key_providers.custodian import Binding
from mycelium_fractal_net.security.key_providers.refreshing import Refreshing, Unwrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mycelium_fractal_net.security.byte_io.buffers import Octets
    from mycelium_fractal_net.security.key_providers.custodian import Custodian
    from mycelium_fractal_net.security.records.keys import Key, KeyVersion

_MOST_REMEMBERED: Final = 4096  # keys, for an outage
_AT_ONCE: Final = 64  # keys that a custodian is asked to rewrap; Vault takes 240, KMS one each


class _Remembered:
    __slots__ = ("is_asked_for", "material", "since")

    def __init__(self, material: SecretBytes, since: float) -> None:
        self.material = material
        self.since = since
        self.is_asked_for = False  # again, beside traffic


class Holder(Protocol):
    """What holds keys in memory that were unwrapped."""

    def refused(self, master_id: str) -> None:
        """Drop what is under that master key: its custodian refuses it."""


class Wrapping:
    """Wraps under the master keys of one store.

    Nothing from a row chooses a key: a master key that the custodian does not hold by its own
    configuration is refused before it is asked for anything. Of threads that need the same key at
    once one has it unwrapped.

    What was unwrapped within ``outage_seconds`` is given once more while the custodian does not
    answer: whether the key may be used at all the store says, not the custodian. Where that
    refuses, what is remembered under that master key is forgotten, and ``holders`` are told.
    """

    def __init__(
        self, custodian: Custodian, store_id: bytes, *, outage_seconds: float = 0.0
    ) -> None:
        self.custodian = custodian
        self.store_id = store_id
        self.holders: weakref.WeakSet[Holder] = weakref.WeakSet()
        self._outage_seconds = outage_seconds
        self._unwraps: SingleFlight[SecretBytes] = SingleFlight()
        self._remembered: OrderedDict[Unwrap, _Remembered] = OrderedDict()
        self._refreshing = Refreshing(self._fetch)
        self._start_anew()
        in_child(self, Wrapping._start_anew)

    def _start_anew(self) -> None:
        self._lock = threading.Lock()

    def wrap(self, master_id: str, material: Octets, binding: Binding) -> bytes:
        """``material`` under that master key. Raises :class:`MasterKeyError`."""
        self.custodian.check(master_id)
        return self.custodian.wrap_many(master_id, [(material, binding)])[0]

    def unwrap(self, master_id: str, wrapped: bytes, binding: Binding) -> SecretBytes:
        """What was wrapped. Raises :class:`MasterKeyError`, :class:`StoreIntegrityError`."""
        self.custodian.check(master_id)
        asked = (master_id, wrapped, binding)
        return self._unwraps.fetch(asked, lambda: self._fetched(asked))

    def unwrap_in_use(self, master_id: str, wrapped: bytes, binding: Binding) -> SecretBytes:
        """The same of a key that carries traffic, which does not wait for the custodian again.

        What was unwrapped before is given at once, and asked for anew beside it: an outage is not
        felt, and a refusal as soon as it is known.
        """
        asked = (master_id, wrapped, binding)
        with self._lock:
            found = self._remembered.get(asked)
            if found is not None:
                found.is_asked_for = True
        if found is None or self._age(found) >= self._outage_seconds:
            return self.unwrap(master_id, wrapped, binding)
        self._refreshing.ask(asked)
        return found.material

    def longest_unconfirmed(self) -> float:
        """For how long the custodian has not given a key again that serves; zero for none."""
        with self._lock:
            ages = [self._age(each) for each in self._remembered.values() if each.is_asked_for]
        return max((age for age in ages if age < self._outage_seconds), default=0.0)

    def rewrap(
        self, from_id: str, to_id: str, items: Sequence[tuple[bytes, Binding]]
    ) -> list[bytes]:
        """The same materials under another master key of this store.

        Some at a time: a custodian has a deadline for what it is asked at once. One on another
        machine is seen to unwrap what it wrapped. Raises :class:`StoreIntegrityError` for what does
        not unwrap.
        """
        for master_id in (from_id, to_id):
            self.custodian.check(master_id)
        rewrapped: list[bytes] = []
        for start in range(0, len(items), _AT_ONCE):
            some = items[start : start + _AT_ONCE]
            rewrapped += self.custodian.rewrap_many(from_id, to_id, some)
        return rewrapped

    def _fetched(self, asked: Unwrap) -> SecretBytes:
        try:
            (material,) = self._fetch([asked])
        except CustodianUnavailableError:
            with self._lock:
                found = self._remembered.get(asked)
            if found is None or self._age(found) >= self._outage_seconds:
                raise
            return found.material
        return material

    def _fetch(self, some: Sequence[Unwrap]) -> list[SecretBytes]:
        """Have those unwrapped, which are under one master key, and remember them."""
        master_id = some[0][0]
        try:
            found = self.custodian.unwrap_many(master_id, [each[1:] for each in some])
        except CustodianUnavailableError:
            raise
        except MfnError as error:
            self._forget(error, some)
            raise
        materials = [each if type(each) is SecretBytes else SecretBytes(each) for each in found]
        for asked, material in zip(some, materials, strict=True):
            self._remember(asked, material)
        return materials

    def _remember(self, asked: Unwrap, material: SecretBytes) -> None:
        if self._outage_seconds <= 0:
            return
        with self._lock:
            self._remembered.pop(asked, None)
            self._remembered[asked] = _Remembered(material, monotonic())
            oldest = next(iter(self._remembered))
            while (
                len(self._remembered) > _MOST_REMEMBERED
                or self._age(self._remembered[oldest]) >= self._outage_seconds
            ):
                del self._remembered[oldest]
                oldest = next(iter(self._remembered))

    def _forget(self, error: MfnError, some: Sequence[Unwrap]) -> None:
        if isinstance(error, StoreIntegrityError):
            with self._lock:
                for asked in some if len(some) == 1 else ():
                    self._remembered.pop(asked, None)
            return
        master_id = some[0][0]
        with self._lock:
            for asked in [each for each in self._remembered if each[0] == master_id]:
                del self._remembered[asked]
        for holder in list(self.holders):
            holder.refused(master_id)

    def forget(self) -> None:
        """Forget all that was unwrapped."""
        with self._lock:
            self._remembered.clear()

    def _age(self, remembered: _Remembered) -> float:
        return monotonic() - remembered.since

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
