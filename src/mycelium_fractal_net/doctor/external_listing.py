"""What custodians have under the names of a store, beside what its records say: once a look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mycelium_fractal_net.security.errors import MfnError
from mycelium_fractal_net.security.key_providers import SigningCustodian

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers import StoredKeyProvider


@dataclass(frozen=True, slots=True)
class ExternalListing:
    """Private keys of external versions, as ``SCHEME:REFERENCE``.

    ``absent`` are those of records that no custodian here has, ``left_over`` those that one has
    under the names of this store while no record says so. ``refused`` says of which custodian of
    keys that records name it is not known, and why.
    """

    absent: frozenset[str]
    left_over: tuple[str, ...]
    refused: dict[str, MfnError]


def list_external(provider: StoredKeyProvider, *, thorough: bool) -> ExternalListing:
    """Ask each custodian that keeps signing keys; ``thorough`` where that takes many requests."""
    found: set[str] = set()
    unsure: set[str] = set()
    refused: dict[str, MfnError] = {}
    known = _recorded(provider)
    for custodian in provider.custodian.parts:
        scheme = custodian.scheme
        if not isinstance(custodian, SigningCustodian) or not custodian.signing_algorithms:
            continue
        names = {each.partition(":")[2] for each in known if each.startswith(f"{scheme}:")}
        there = None
        try:
            there = custodian.list_signing_keys(provider.store_id, names, thorough=thorough)
        except MfnError as error:
            if names:
                refused[scheme] = error
        if there is None:
            unsure.add(scheme)
        else:
            found.update(f"{scheme}:{each}" for each in there)
    here = {each.scheme for each in provider.custodian.parts} - unsure
    absent = frozenset(each for each in known - found if each.partition(":")[0] in here)
    left_over = found - known
    if left_over:  # what was made meanwhile is none of them
        left_over -= _recorded(provider)
    return ExternalListing(absent, tuple(sorted(left_over)), refused)


def _recorded(provider: StoredKeyProvider) -> set[str]:
    """The private keys that records say are there."""
    versions = (version for key in provider.keys.external_keys() for version in key.versions)
    return {each.external for each in versions if each.external is not None and each.has_key}
