"""The MAC keys under which the store's rows grant authority, one for each master key in use."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.key_providers.audited import AUTHORITY_ALGORITHM, AuditedStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.security.key_providers.base import Binding, Custodian
    from mycelium_fractal_net.security.key_store import KeyStore
    from mycelium_fractal_net.security.key_store.authority import Mac
    from mycelium_fractal_net.security.policy import Policy

__all__ = ["ATTEMPTS", "Authorities"]

ATTEMPTS: Final = 8  # compare-and-swap rounds before a writer gives up


def _now() -> datetime:
    return datetime.now(UTC)


class Authorities(AuditedStore):
    """What seals and checks rows. ``clock`` gives the time in UTC."""

    def __init__(
        self,
        store: KeyStore,
        custodian: Custodian,
        policy: Policy,
        *,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        super().__init__(store, custodian, policy)
        self.clock = clock
        self._authorities: dict[str, Mac] = {}

    def _authority(self, master_id: str) -> Mac:
        found = self._authorities.get(master_id)
        if found is None:
            wrapped = self.store.authority_key(master_id)
            material = self.custodian.unwrap(master_id, wrapped, self._authority_binding())
            found = self.policy.mac(AUTHORITY_ALGORITHM, material)
            self._authorities[master_id] = found
        return found

    def forget_authorities(self) -> None:
        """Forget the MAC keys of rows; the store has moved to another master key."""
        self._authorities.clear()

    def _authority_binding(self) -> Binding:
        return self._binding_of("authority")
