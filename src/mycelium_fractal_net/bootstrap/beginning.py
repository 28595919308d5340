"""A store that is begun: under which master key, and with which id; once, whoever is at it.

Two machines that initialise one database at once are one after the other here. The second finds a
store that is begun, whose id it does not know, and makes nothing.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.bootstrap.custodians import scheme_of
from mycelium_fractal_net.bootstrap.custody import (
    of_each,
    open_parts,
    provider_over,
    with_store_id,
)
from mycelium_fractal_net.security.key_store.move_lock import awaited

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mycelium_fractal_net.bootstrap.custodians import Opened, Passphrase
    from mycelium_fractal_net.config import Settings
    from mycelium_fractal_net.security.key_store import KeyStore
    from mycelium_fractal_net.security.policy import Policy

_PATIENCE_SECONDS: Final = 60.0  # while somebody else begins the store


def begin(
    settings: Settings,
    policy: Policy,
    store: KeyStore,
    passphrase: Passphrase,
    *,
    create_key: bool,
) -> Opened:
    """Begin the store if nobody has, and open what it is under, which is seen to open it.

    What the configured custodian lacks is made, where former ones open the store or where there
    is nothing to open yet. Raises :class:`MasterKeyError` where the store's master key or its id is
    not here, and :class:`StoreIntegrityError` where they are not this store's.
    """
    if callable(passphrase):
        passphrase = functools.cache(passphrase)  # who is asked is asked once
    if store.status() is not None:
        return _opened(settings, policy, store, passphrase, create_key=create_key)
    with awaited(store.database.moving, _PATIENCE_SECONDS):
        return _opened(settings, policy, store, passphrase, create_key=create_key)


def _opened(
    settings: Settings,
    policy: Policy,
    store: KeyStore,
    passphrase: Passphrase,
    *,
    create_key: bool,
) -> Opened:
    chosen = with_store_id(settings)
    scheme = scheme_of(settings)
    _, *former = of_each(chosen)
    begun = store.status() is not None
    if begun and not scheme.is_there(settings):
        if not former:
            raise scheme.missing(settings, of_backup=False)
        _checked(former, policy, store, passphrase).custodian.close()
    if not begun or former:
        scheme.know(settings, passphrase)
        if create_key:
            scheme.make_key(settings, policy)
    if not scheme.is_there(settings):
        scheme.create(chosen, policy, passphrase)
    return _checked(of_each(with_store_id(settings)), policy, store, passphrase, begin=not begun)


def _checked(
    parts: Sequence[Settings],
    policy: Policy,
    store: KeyStore,
    passphrase: Passphrase,
    *,
    begin: bool = False,
) -> Opened:
    """The custodians of these settings, which were seen to open the store."""
    opened = open_parts(parts, policy, passphrase)
    try:
        master_keys = provider_over(parts[0], store, policy, opened).master_keys
        if begin:
            master_keys.begin()
        master_keys.check()
    except BaseException:
        opened.custodian.close()
        raise
    return opened
