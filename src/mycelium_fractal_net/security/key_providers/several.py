"""Several custodians at once, while a store moves from one to another.

Each wraps and unwraps under the master keys that it holds by its own configuration. New material
is wrapped by the one that comes first. A rewrap from one to another takes the keys through this
process, and no two keys are ever known under one id.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from mycelium_fractal_net.security.errors import ConfigurationError
from mycelium_fractal_net.security.key_providers.custodian import Custodian

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mycelium_fractal_net.security.byte_io.buffers import Octets
    from mycelium_fractal_net.security.key_providers.call_statistics import CustodianStatistics
    from mycelium_fractal_net.security.key_providers.custodian import (
        Binding,
        CustodianStatus,
        ManagesMasterKeys,
    )


class SeveralCustodians(Custodian):
    """The custodian ``present``, and beside it ``former`` ones.

    Raises :class:`ConfigurationError` where two would answer to the id of one master key that is
    another to each: which of them wrapped a key could not be told. Two regions of AWS that have one
    key are asked in their order.
    """

    def __init__(self, present: Custodian, former: Sequence[Custodian]) -> None:
        self._parts = (present, *former)
        self.scheme = present.scheme  # type: ignore[misc]
        for one in self._parts:
            for other in self._parts:
                if one is other or one.is_one_key_everywhere:
                    continue
                if other.holds(one.newest_id()):
                    raise ConfigurationError(
                        f"two custodians have a master key called {one.newest_id()}; give one of"
                        " the two another name: security.key_management.former"
                    )

    @property
    def parts(self) -> tuple[Custodian, ...]:
        """Each custodian for itself, the present one first."""
        return self._parts

    def newest_id(self) -> str:
        """That of the present one."""
        return self._parts[0].newest_id()

    def holds(self, kek_id: str) -> bool:
        """Whether one of them does."""
        return any(each.holds(kek_id) for each in self._parts)

    def wrap_many(self, kek_id: str, items: Sequence[tuple[Octets, Binding]]) -> list[bytes]:
        """By the one that holds that master key."""
        return self._holder(kek_id).wrap_many(kek_id, items)

    def unwrap_many(self, kek_id: str, items: Sequence[tuple[bytes, Binding]]) -> Sequence[Octets]:
        """By the one that holds that master key."""
        return self._holder(kek_id).unwrap_many(kek_id, items)

    def rewrap_many(
        self, from_id: str, to_id: str, items: Sequence[tuple[bytes, Binding]]
    ) -> list[bytes]:
        """By the one that holds both; else unwrapped by the one and wrapped by the other."""
        holder = self._holder(from_id)
        if holder is self._holder(to_id):
            return holder.rewrap_many(from_id, to_id, items)
        return super().rewrap_many(from_id, to_id, items)

    def ping(self) -> None:
        """See that the present one answers."""
        self._parts[0].ping()

    def inspect(self) -> CustodianStatus:
        """What the present one says of itself."""
        return self._parts[0].inspect()

    def managing(self) -> ManagesMasterKeys | None:
        """What makes and forgets the master keys of the present one."""
        return self._parts[0].managing()

    def statistics(self) -> CustodianStatistics | None:
        """What was asked of the present one."""
        return self._parts[0].statistics()

    def close(self) -> None:
        """Close all."""
        with contextlib.ExitStack() as stack:
            for each in self._parts:
                stack.callback(each.close)

    def _holder(self, kek_id: str) -> Custodian:
        self.check(kek_id)
        return next(each for each in self._parts if each.holds(kek_id))
