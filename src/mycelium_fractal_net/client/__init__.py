"""The Python client of the service: the keyring's operations, over HTTP.

    from mycelium_fractal_net.client import Client

    with Client("https://keys.example.org", api_key) as client:
        sealed = client.encrypt(b"...", key_id="orders", associated_data=b"row 17")
        client.decrypt(sealed, associated_data=b"row 17")

        with client.local("orders") as lease:  # on this machine, for five minutes at a time
            sealed = lease.encrypt(b"...", associated_data=b"row 18")

It raises the library's errors, never HTTP's. It needs the extra ``client``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from mycelium_fractal_net.security.errors import unusable_extra

if TYPE_CHECKING:
    from mycelium_fractal_net.client.batches import BatchLimits
    from mycelium_fractal_net.client.clients import DATA_KEY_ASSOCIATED_DATA, AsyncClient, Client
    from mycelium_fractal_net.client.credentials import Health, OwnCredential
    from mycelium_fractal_net.client.field_lease import (
        AsyncDeterministicLease,
        AsyncIndexLease,
        DeterministicLease,
        IndexLease,
    )
    from mycelium_fractal_net.client.keys import ExportedKey, PendingImport, PublicKey
    from mycelium_fractal_net.client.lease import AsyncLease, Lease
    from mycelium_fractal_net.client.retries import Retries
    from mycelium_fractal_net.client.signing import RequestSigner
    from mycelium_fractal_net.client.values import (
        DecryptItem,
        EncryptItem,
        SignItem,
        StreamResult,
        VerifyItem,
        Versioned,
    )

_HOMES = (
    "clients",
    "credentials",
    "keys",
    "signing",
    "values",
)  # of which the first has most names

__all__ = [
    "DATA_KEY_ASSOCIATED_DATA",
    "AsyncClient",
    "AsyncDeterministicLease",
    "AsyncIndexLease",
    "AsyncLease",
    "BatchLimits",
    "Client",
    "DecryptItem",
    "DeterministicLease",
    "EncryptItem",
    "ExportedKey",
    "Health",
    "IndexLease",
    "Lease",
    "OwnCredential",
    "PendingImport",
    "PublicKey",
    "RequestSigner",
    "Retries",
    "SignItem",
    "StreamResult",
    "VerifyItem",
    "Versioned",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mycelium_fractal_net.fips import start_by_environment

    start_by_environment()
    try:
        modules = (importlib.import_module(f"{__name__}.{home}") for home in _HOMES)
        return next(found[name] for found in map(vars, modules) if name in found)
    except ImportError as error:
        if error.name is not None and error.name.startswith(__name__.partition(".")[0]):
            raise
        raise unusable_extra("the client", "client", error) from None


def __dir__() -> list[str]:
    return sorted(__all__)
