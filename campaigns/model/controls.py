"""Faults that are put into the product here, and that the search must find."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import update
from sqlalchemy.engine import Connection

from campaigns.model.scenarios import Alter, Scenario, compromise, operator, reader, rotated_daily
from campaigns.model.scenarios import scheduler as looks
from mycelium_fractal_net.security.key_providers.stored import StoredKeyProvider
from mycelium_fractal_net.security.key_store.key_table import KeyTable
from mycelium_fractal_net.security.records.keys import Key


@dataclass(frozen=True)
class Control:
    """A fault, and the scenario that is to bring it out."""

    scenario: Scenario
    alter: Alter


class _Unguarded(KeyTable):
    """A table that swaps a record whatever has become of it: no compare-and-swap."""

    def swap(self, connection: Connection, generation: int, old: Key, new: Key, mac: bytes) -> None:
        connection.execute(
            update(self.table)
            .where(self.id == new.key_id)
            .values(**self.kind.to_row(new), generation=generation, mac=mac)
        )
        self._swap_parts(connection, old, new)


def _swaps_whatever_is_there(provider: StoredKeyProvider) -> None:
    unguarded: Any = _Unguarded(provider.store)
    keys: Any = provider.keys
    keys.table = keys._table = provider.store.keys = unguarded


def _rotates_without_a_second_look(provider: StoredKeyProvider) -> None:
    keys: Any = provider.keys

    def rotate_if(key_id: str, _: object, **_reason: object) -> str:
        found: str = keys.rotate(key_id)
        return found

    keys.rotate_if = rotate_if


def _is_not_told_what_changed(provider: StoredKeyProvider) -> None:
    table: Any = provider.store.keys
    ids = table.ids
    table.ids = lambda after="", limit=None, since=-1: (
        [] if since >= 0 else ids(after, limit, since=since)
    )


CONTROLS: Final[tuple[Control, ...]] = (
    Control(
        Scenario(
            "no compare-and-swap",
            "a record is swapped whatever has become of it",
            rotated_daily,
            (looks("scheduler", 1), operator(compromise(1))),
            (),
        ),
        _swaps_whatever_is_there,
    ),
    Control(
        Scenario(
            "no second look",
            "a scheduler rotates a key that was due when it looked, without looking again",
            rotated_daily,
            (looks("scheduler 1", 1), looks("scheduler 2", 1)),
            (),
        ),
        _rotates_without_a_second_look,
    ),
    Control(
        Scenario(
            "a deaf cache",
            "a cache of keys is not told which of them changed",
            rotated_daily,
            (operator(compromise(1)), reader(0, 0)),
            (6.0,),
        ),
        _is_not_told_what_changed,
    ),
)
