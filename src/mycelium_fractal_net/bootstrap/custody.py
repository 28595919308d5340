"""The custodians that the settings name, put together, and the store's id, on which all agree."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from mycelium_fractal_net.bootstrap.custodians import Opened, scheme_of
from mycelium_fractal_net.config.settings import CustodianSettings, KeyManagement
from mycelium_fractal_net.security.errors import MasterKeyError
from mycelium_fractal_net.security.key_providers.several import SeveralCustodians
from mycelium_fractal_net.security.key_providers.stored import StoredKeyProvider

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mycelium_fractal_net.bootstrap.custodians import Passphrase
    from mycelium_fractal_net.config import Settings
    from mycelium_fractal_net.security.key_store import KeyStore
    from mycelium_fractal_net.security.policy import Policy


def of_each(settings: Settings) -> list[Settings]:
    """The settings as each custodian is to read them, that of ``provider`` first."""
    management = settings.security.key_management
    found = [management]
    for each in management.former:
        if not isinstance(each, str):
            found.append(replace(management, **_custody(each)))
        elif each != management.provider:
            found.append(replace(management, provider=each))
    return [_under(settings, replace(each, former=())) for each in found]


def moved_to(settings: Settings, provider: str) -> Settings:
    """The same custodians, and that one, which comes first: it wraps what is new."""
    management = settings.security.key_management
    parts = [each.security.key_management for each in of_each(settings)]
    target = next((each for each in parts if each.provider == provider), None)
    others = tuple(CustodianSettings(**_custody(each)) for each in parts if each is not target)
    present = {"provider": provider} if target is None else _custody(target)
    return _under(settings, replace(management, **present, former=others))


def with_store_id(settings: Settings) -> Settings:
    """The same settings, with the id of the store that is known here, if it is.

    Raises :class:`ConfigurationError` where a custodian lacks settings, and
    :class:`MasterKeyError` where one place has another id than the next.
    """
    management = settings.security.key_management
    found = {} if management.store_id is None else {management.store_id: "MFN_STORE_ID"}
    for each in of_each(settings):
        scheme_of(each).require_settings(each)
        kept = scheme_of(each).kept_store_id(each)
        if kept is not None:
            found.setdefault(kept.store_id, str(kept.place))
    if len(found) > 1:
        places = " and ".join(f"{place} ({store_id})" for store_id, place in found.items())
        raise MasterKeyError(f"there are the ids of two stores here: {places}; one is wrong")
    return named_store_id(settings, next(iter(found), None))


def named_store_id(settings: Settings, store_id: str | None) -> Settings:
    """The same settings, with that id of the store."""
    management = settings.security.key_management
    return _under(settings, replace(management, store_id=store_id))


def open_custodian(settings: Settings, policy: Policy, passphrase: Passphrase) -> Opened:
    """The custodian of the settings, with former ones beside it where they are named.

    Raises :class:`MasterKeyError`, and what custodians on other machines do.
    """
    return open_parts(of_each(with_store_id(settings)), policy, passphrase)


def open_parts(parts: Sequence[Settings], policy: Policy, passphrase: Passphrase) -> Opened:
    """The custodian of each of these settings, as one of which the first wraps what is new."""
    with contextlib.ExitStack() as stack:
        opened = []
        for each in parts:
            opened.append(scheme_of(each).open(each, policy, passphrase))
            stack.callback(opened[-1].custodian.close)
        if len(opened) > 1:
            several = SeveralCustodians(opened[0].custodian, [e.custodian for e in opened[1:]])
            return _kept(stack, Opened(several, opened[0].store_id))
        return _kept(stack, opened[0])


def provider_over(
    settings: Settings, store: KeyStore, policy: Policy, opened: Opened
) -> StoredKeyProvider:
    """The plan's provider of that custodian; over several the one that all have in common."""
    if len(opened.custodian.parts) == 1:
        return scheme_of(settings).provider(settings, store, policy, opened)
    outage = settings.security.key_management.outage_seconds
    return StoredKeyProvider(
        store, opened.custodian, policy, store_id=opened.store_id, outage_seconds=outage
    )


def _kept(stack: contextlib.ExitStack, opened: Opened) -> Opened:
    stack.pop_all()
    return opened


def _custody(settings: CustodianSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in CustodianSettings.__struct_fields__}


def _under(settings: Settings, management: KeyManagement) -> Settings:
    return replace(settings, security=replace(settings.security, key_management=management))
