"""A place as it was before: its folder, and on PostgreSQL its database."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, Final

import psycopg

from tests.support.postgres import create_database
from tests.torture.place import Place

_KEPT: Final = (
    "home",
    "old",
    "backups",
    "rows.db",
    "exports",
)  # a backup is checked in "home of …"


class Snapshot:
    """Taken when it is made; :meth:`restore` as often as needed. No keyring is open then."""

    def __init__(self, place: Place, name: str) -> None:
        self._place = place
        self._folder = place.folder / "out" / name
        self._database = f"kept-{place.url.rpartition('/')[2]}-{name}".replace(" ", "-")
        self._ledger = deepcopy(place.ledger)
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        for each in _KEPT:
            _copy(place.folder / each, self._folder / each)
        if not place.on_sqlite:
            place.disconnect()  # what somebody is connected to is not copied
            server, _, current = place.url.rpartition("/")
            create_database(f"{server}/", self._database, current)

    def restore(self) -> None:
        """Have everything as it was."""
        place = self._place
        for each in _KEPT:
            for old in place.folder.glob(f"{each}*"):  # of a database its log too
                shutil.rmtree(old) if old.is_dir() else old.unlink()
            _copy(self._folder / each, place.folder / each)
        place.ledger = deepcopy(self._ledger)
        if not place.on_sqlite:
            place.disconnect()  # what somebody is connected to is not copied
            server, _, current = place.url.rpartition("/")
            with _server(place) as connection:
                connection.execute(f'DROP DATABASE IF EXISTS "{current}" WITH (FORCE)')
            create_database(f"{server}/", current, self._database)


def _copy(source: Any, target: Any) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.exists():
        shutil.copy2(source, target)


@contextmanager
def _server(place: Place) -> Iterator[psycopg.Connection[Any]]:
    server = place.url.rpartition("/")[0].replace("+psycopg", "")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        yield connection
