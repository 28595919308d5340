"""What custodians say of themselves, and rows under master keys that none of them has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mycelium_fractal_net.doctor.findings import Examined, Finding, critical, notice, warning
from mycelium_fractal_net.security.errors import MfnError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.key_providers import CustodianStatus


def custody_findings(store: Examined) -> Iterator[Finding]:
    """Of each custodian, and of what none has."""
    yield from _said(store.custodian)
    for former in store.provider.custodian.parts[1:]:
        try:
            yield from _said(former.inspect())
        except MfnError as error:
            yield warning(
                "custodian",
                former.scheme,
                f"{error}; it is needed until all is moved from it: mfn master status",
            )
    yield from _unneeded(store)
    yield from _unknown(store)
    managed = store.settings.security.key_management
    if managed.provider != "local" and managed.store_id is None:
        yield notice(
            "store-id",
            str(store.settings.home / "store-id"),
            "the id of the store stands in this file alone, and a machine without it does not open"
            f" the store: set MFN_STORE_ID={store.provider.store_id.hex()} beside its other"
            " settings",
        )


def _said(status: CustodianStatus) -> Iterator[Finding]:
    for each in status.warnings:
        yield warning("custodian", status.place, each)


def _unneeded(store: Examined) -> Iterator[Finding]:
    """A former custodian that is named while nothing of the store is with it any more."""
    provider = store.provider
    under = provider.store.under_each_master()
    for former in provider.custodian.parts[1:]:
        if any(map(former.holds, under)):
            continue
        if not provider.former_masters.references(former.scheme).external:
            yield notice(
                "former-custodian",
                former.scheme,
                "is named by MFN_FORMER_KEY_PROVIDERS, and nothing of the store is with it. Where"
                f" the store was moved away from it: mfn master forget {former.scheme}, and take it"
                " out of the settings",
            )


def _unknown(store: Examined) -> Iterator[Finding]:
    holds = store.provider.custodian.holds
    for master_id, rows in store.provider.store.under_each_master().items():
        if holds(master_id):
            continue
        if set(rows) == {"authority_keys"}:
            yield warning(
                "unknown-master-key",
                "key store",
                f"it has an authority key under {master_id}, which no custodian of the settings"
                f" has and nothing else is under: mfn master forget {master_id}",
            )
        else:
            yield critical(
                "unknown-master-key",
                "key store",
                f"{sum(rows.values())} rows are under a master key that no custodian of the"
                " settings has, and nothing opens them: MFN_KEY_PROVIDER and"
                " MFN_FORMER_KEY_PROVIDERS say whose there are; which rows: mfn master status",
            )
