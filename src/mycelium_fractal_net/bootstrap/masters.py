"""What a store is under: which custodians, whether they answer, and what is left to be moved.

It is told of a store whose custodians do not answer too, which is when it is asked for.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mycelium_fractal_net.bootstrap.custodians import scheme_of
from mycelium_fractal_net.bootstrap.custody import of_each, with_store_id
from mycelium_fractal_net.security.errors import MfnError
from mycelium_fractal_net.security.key_store import Database, KeyStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mycelium_fractal_net.bootstrap.custodians import Passphrase
    from mycelium_fractal_net.config import Settings
    from mycelium_fractal_net.security.policy import Policy


@dataclass(frozen=True, slots=True)
class CustodianState:
    """A custodian that the settings name.

    ``error`` is why it cannot be used now, None where it can. ``under`` counts the rows of the
    store under each of its master keys: keys, credentials, signers, audit keys, authority keys.
    """

    provider: str
    place: str | None = None
    newest: str | None = None
    error: str | None = None
    under: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MasterStatus:
    """What a store is under.

    ``master_key`` is the id of the master key that wraps what is new. ``left`` counts the rows that
    are not yet under the newest master key of the first custodian, None while that cannot be
    asked. ``unknown`` are rows under master keys of nobody here.
    """

    store_id: str | None
    master_key: str
    custodians: tuple[CustodianState, ...]
    left: int | None
    unknown: Mapping[str, Mapping[str, int]]


def master_status(
    settings: Settings, policy: Policy, passphrase: Passphrase = None
) -> MasterStatus:
    """Look at the store, and ask each custodian. Raises :class:`StoreError`."""
    chosen = with_store_id(settings)
    database = Database(settings.store)
    with contextlib.closing(database):
        database.check(scheme_of(chosen).advice_without_store(chosen))
        store = KeyStore(database)
        master_key = store.require_status().master_id
        counted = store.under_each_master()
    states = []
    for each in of_each(chosen):
        states.append(_state(each, policy, passphrase, counted))
        counted = {name: rows for name, rows in counted.items() if name not in states[-1].under}
    states, unknown = _by_name(states, counted)
    newest = states[0].newest
    left = None if newest is None else sum(_rows_left(each.under, newest) for each in states)
    return MasterStatus(
        store_id=chosen.security.key_management.store_id,
        master_key=master_key,
        custodians=tuple(states),
        left=left,
        unknown=unknown,
    )


def _state(
    settings: Settings,
    policy: Policy,
    passphrase: Passphrase,
    counted: Mapping[str, Mapping[str, int]],
) -> CustodianState:
    provider, scheme = settings.security.key_management.provider, scheme_of(settings)
    under: Mapping[str, Mapping[str, int]] = {}
    try:
        if not scheme.is_there(settings):
            raise scheme.missing(settings, of_backup=False)
        with contextlib.closing(scheme.open(settings, policy, passphrase).custodian) as custodian:
            under = {name: rows for name, rows in counted.items() if custodian.holds(name)}
            status = custodian.inspect()
            return CustodianState(provider, status.place, custodian.newest_id(), None, under)
    except MfnError as error:
        return CustodianState(provider, error=str(error), under=under)


def _by_name(
    states: list[CustodianState], left: Mapping[str, Mapping[str, int]]
) -> tuple[list[CustodianState], dict[str, Mapping[str, int]]]:
    """What no custodian has that could be asked is, by its name, of the first that could not."""
    unknown, found = dict(left), []
    for state in states:
        names = [name for name in unknown if name.startswith(f"{state.provider}:")]
        more = {} if state.error is None else {name: unknown.pop(name) for name in names}
        found.append(replace(state, under={**state.under, **more}))
    return found, unknown


def _rows_left(under: Mapping[str, Mapping[str, int]], newest: str) -> int:
    return sum(sum(rows.values()) for name, rows in under.items() if name != newest)
