"""The custodians that the settings name, put together, and the id of the store that all agree on."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from msgspec.structs import asdict, replace

from mycelium_fractal_net.bootstrap.custodians import Opened, scheme_of
from mycelium_fractal_net.config.settings import KeyManagement
from mycelium_fractal_net.security.errors import MasterKeyError
from mycelium_fractal_net.security.key_providers.several import SeveralCustodians
from mycelium_fractal_net.security.key_providers.stored import StoredKeyProvider

if TYPE_CHECKING:
    from mycelium_fractal_net.bootstrap.custodians import Passphrase
    from mycelium_fractal_net.config import Settings
    from mycelium_fractal_net.security.key_store import KeyStore
    from mycelium_fractal_net.security.policy import Policy


def of_each(settings: Settings) -> list[Settings]:
    """The settings as each custodian is to read them, that of ``provider`` first."""
    management = settings.security.key_management
    found = [management]
    for each in management.former:
        if isinstance(each, str):
            if each != management.provider:
                found.append(replace(management, provider=each))
        else:
            shared = {
                "outage_seconds": management.outage_seconds,
                "store_id": management.store_id,
            }
            found.append(KeyManagement(**asdict(each), **shared))
    return [_under(settings, replace(each, former=())) for each in found]


def moved_to(settings: Settings, provider: str) -> Settings:
    """The same settings with that custodian as the present one, and the present one as former."""
    management = settings.security.key_management
    if provider == management.provider:
        return settings
    own = next(
        (e for e in management.former if not isinstance(e, str) and e.provider == provider), None
    )
    former = tuple(e for e in management.former if e not in (provider, own))
    if own is None:
        present = replace(management, provider=provider)
        return _under(settings, replace(present, former=(management.provider, *former)))
    # It has settings of its own, and so the one that was present must have too.
    ...


def known_store_id(settings: Settings) -> str | None:
    """The id of the store, 32 hexadecimal digits, as it is known here; nobody is asked for it.

    Raises :class:`MasterKeyError` where one place has another id than the next.
    """
    given = settings.security.key_management.store_id
    found = {} if given is None else {given: "MFN_STORE_ID"}
    for each in of_each(settings):
        place, known = scheme_of(each).kept_store_id(each)
        if known is not None:
            found.setdefault(known, place)
    if len(found) > 1:
        places = " and ".join(f"{place} ({known})" for known, place in found.items())
        raise MasterKeyError(
            f"there are ids of two stores here: {places}; take the wrong one away"
        )
    return next(iter(found), None)
