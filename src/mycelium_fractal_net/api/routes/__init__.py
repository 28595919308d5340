"""Every operation of the service, one file per group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.api.routes import (
    audit,
    batch,
    credentials,
    crypto,
    health,
    key_states,
    keys,
    leases,
    retention,
    signers,
    streams,
    transport,
)

if TYPE_CHECKING:
    from mycelium_fractal_net.api.endpoints.spec import Spec

SPECS: Final[tuple[Spec, ...]] = tuple(
    spec
    for group in (
        crypto,
        leases,
        batch,
        streams,
        keys,
        key_states,
        transport,
        retention,
        credentials,
        signers,
        audit,
        health,
    )
    for spec in group.routes.specs
)
