"""Take an inventory: of the settings, the store, the custodians, and this process."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.bootstrap import build_policy, open_provider
from mycelium_fractal_net.config import user_variable
from mycelium_fractal_net.inventory.certificates import certificates
from mycelium_fractal_net.inventory.materials import Materials
from mycelium_fractal_net.inventory.protocols import protocols
from mycelium_fractal_net.inventory.providers import Custody, software
from mycelium_fractal_net.inventory.records import Inventory
from mycelium_fractal_net.security.errors import ConfigurationError
from mycelium_fractal_net.security.key_store import Database

if TYPE_CHECKING:
    from mycelium_fractal_net.bootstrap.custodians import Passphrase
    from mycelium_fractal_net.config import Settings
    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.policy import Policy

_EPOCH: Final = "SOURCE_DATE_EPOCH"  # https://reproducible-builds.org/specs/source-date-epoch/


def take_inventory(settings: Settings, passphrase: Passphrase = None) -> Inventory:
    """Everything cryptographic that there is, in an order that does not change by itself.

    No key is unwrapped but the one that authenticates the store's records. Records that are not
    authentic are left out and told in ``refused``. The time is that of ``SOURCE_DATE_EPOCH`` where
    it is set. Raises what :func:`.bootstrap.open_keyring` does.
    """
    policy = build_policy(settings)
    with contextlib.closing(Database(settings.store)) as database:
        provider = open_provider(settings, policy, database, passphrase)
        with contextlib.closing(provider.custodian):
            provider.store.require_status()
            return _of_provider(settings, policy, provider)


def _of_provider(settings: Settings, policy: Policy, provider: StoredKeyProvider) -> Inventory:
    of_tls = certificates(settings.security.tls)
    spoken = tuple(protocols(settings, policy, of_tls))
    custody = Custody(provider)
    materials = Materials(provider)
    in_tls = {
        name
        for each in spoken
        if each.kind == "tls"
        for name in (*each.algorithms, *(n for suite in each.suites for n in suite.algorithms))
    }
    libraries = software(tuple(sorted(policy.algorithms)), tuple(sorted(in_tls)))
    return Inventory(
        made_at=_moment(provider),
        store_id=provider.store_id.hex(),
        fips_mode=policy.fips_mode,
        allowed=policy.algorithms,
        materials=(*custody.master_keys, *materials),
        protocols=spoken,
        certificates=of_tls,
        providers=(*libraries, *custody.providers),
        refused=tuple(materials.refused),
    )


def _moment(provider: StoredKeyProvider) -> datetime:
    given = user_variable(_EPOCH)
    if given is None:
        return provider.clock()
    try:
        return datetime.fromtimestamp(int(given), UTC)
    except (ValueError, OverflowError, OSError):
        raise ConfigurationError(f"{_EPOCH} is not a number of seconds since 1970") from None
