"""A store in memory, a clock, and the doors to both at which an actor waits for its turn."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, NamedTuple

from sqlalchemy.engine import Connection

from campaigns.model.turns import here
from mycelium_fractal_net.security.errors import StoreUnavailableError
from mycelium_fractal_net.security.key_providers import LocalCustodian, LocalKeyProvider
from mycelium_fractal_net.security.key_providers.stored import StoredKeyProvider
from mycelium_fractal_net.security.key_store import Database, KeyStore, UsageStore
from mycelium_fractal_net.security.key_store.record_mac import Mac
from mycelium_fractal_net.security.keyring.at_exit import forget
from mycelium_fractal_net.security.keyring.keyring import Keyring
from mycelium_fractal_net.security.policy import Policy
from tests.support.stores import MEMORY

KEY: Final = "orders"
BEGIN: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
_MONOTONIC: Final = 1_000_000.0  # at the beginning
_ROOT: Final = "mycelium_fractal_net.security."
# Whose reading of the clock decides nothing that others can see.
_UNOBSERVED: Final = (f"{_ROOT}rotation",)


class VersionRow(NamedTuple):
    """One version of the key, as it stands in the store. Times are microseconds."""

    version: int
    state: str
    compromised: bool
    created_at: int
    destroy_at: int | None
    has_material: bool


class Content(NamedTuple):
    """What is stored, without what is random: two contents that are equal act alike."""

    versions: tuple[VersionRow, ...]
    rotate_at: int | None
    interval_days: int
    revision: int
    rest: tuple[Any, ...]
    """Every other row, and the versions of the messages that were sealed."""


class WaitingDatabase(Database):
    """A database at whose transactions an actor waits for its turn."""

    def __init__(self, path: Path, world: World) -> None:
        super().__init__(path)
        self._world = world

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        with self._world.transaction("read"), super().read() as connection:
            yield connection

    @contextlib.contextmanager
    def _in_turn(self) -> Iterator[Connection]:
        with self._world.transaction("write"), super()._in_turn() as connection:
            yield connection

    def now(self) -> datetime:
        return self._world.wall()


class World:
    """One store that is brought back to its beginning as often as needed.

    ``prepare`` makes the store; ``ticks`` are the seconds by which the clock may move, in turn.
    ``alter`` puts a fault into each provider, for a control.
    """

    def __init__(
        self,
        prepare: Callable[[World], None],
        ticks: Sequence[float],
        *,
        alter: Callable[[StoredKeyProvider], None] = lambda _: None,
    ) -> None:
        self.ticks = ticks
        self.ticked = 0
        self.down = False
        self.messages: list[tuple[int, bytes]] = []
        self._folder = Path(tempfile.mkdtemp(prefix="mfn-model-", dir=MEMORY))
        self._alter = alter
        self._offset = 0.0
        self._databases: list[WaitingDatabase] = []
        self._used = 0
        self._keyrings: list[Keyring] = []
        self._macs: dict[str, tuple[bytes, Mac]] = {}
        self._ready = False
        self._seen: tuple[tuple[int, int], Content] | None = None
        self._home = self._folder / "home"
        self._home.mkdir(mode=0o700)
        self._policy = Policy()
        self._prepare = prepare

    @contextlib.contextmanager
    def open(self) -> Iterator[World]:
        """Make the store; until the end of the block the product goes by this clock."""
        try:
            with _modelled_clock(self):
                self._make()
                yield self
        finally:
            self._close()

    def _make(self) -> None:
        made = Database(self._home / "keys.db")
        made.create()
        made.close()
        self._custodian = LocalCustodian.create(self._home / "master.key", self._policy)
        self.provider().master_keys.begin()
        self._prepare(self)
        self._look = sqlite3.connect(self._home / "keys.db", isolation_level=None)
        self._look.execute("PRAGMA synchronous=OFF")
        names = self._look.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'mfn_%'"
        )
        self._tables = sorted(name for (name,) in names if name != "mfn_schema_version")
        self._first = {name: self._rows(name) for name in self._tables}
        self._first_messages = list(self.messages)
        provider = self.provider()
        provider.keys.get(KEY)
        self._macs = provider.record_macs._macs
        self._ready = True
        self.reset()

    # The clock ------------------------------------------------------------------------------

    def at(self, offset: timedelta) -> None:
        """While the store is prepared: how long before or after the beginning it is."""
        self._offset = offset.total_seconds()

    @property
    def seconds(self) -> float:
        """How far the clock has moved since the beginning."""
        return self._offset + sum(self.ticks[: self.ticked])

    def wall(self) -> datetime:
        """The time of day, for all machines."""
        self._stop("clock")
        return BEGIN + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """The monotonic clock."""
        self._stop("clock")
        return _MONOTONIC + self.seconds

    def _stop(self, kind: str) -> None:
        actor = here()
        # Once the clock stands still for good, reading it is nobody's business but one's own.
        if actor is not None and not (kind == "clock" and self.ticked == len(self.ticks)):
            actor.stop(kind)

    # The store ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def transaction(self, kind: str) -> Iterator[None]:
        """Wait for the turn; what is inside is one step."""
        actor = here()
        if actor is None:
            yield
            return
        actor.stop(kind)
        if self.down:
            raise StoreUnavailableError("the key store does not answer")
        actor.enter()
        try:
            yield
        finally:
            actor.leave()

    def provider(self) -> LocalKeyProvider:
        """The key provider of one more process."""
        if self._used == len(self._databases):
            self._databases.append(WaitingDatabase(self._home / "keys.db", self))
        database = self._databases[self._used]
        self._used += 1
        database.needs_scrub = True
        store = KeyStore(database)
        found = LocalKeyProvider(store, self._custodian, self._policy, clock=self.wall)
        self._alter(found)
        found.record_macs._macs.update(self._macs)  # which each process reads once
        return found

    def keyring(self) -> Keyring:
        """The keyring of one more process."""
        provider = self.provider()
        found = Keyring(provider, UsageStore(provider.store.database))
        self._keyrings.append(found)
        return found

    def _forget_keyrings(self) -> None:
        """What they counted is not written at the end of this process, which is not theirs."""
        for each in self._keyrings:
            forget(each._cache)
        self._keyrings = []

    def reset(self) -> None:
        """Have store and clock as they were in the beginning."""
        self.ticked, self.down, self._offset, self._used = 0, False, 0.0, 0
        self._forget_keyrings()
        self.messages[:] = self._first_messages
        self._look.execute("BEGIN IMMEDIATE")
        for name in reversed(self._tables):
            self._look.execute(f"DELETE FROM {name}")
        for name in self._tables:
            for row in self._first[name]:
                marks = ",".join("?" * len(row))
                self._look.execute(f"INSERT INTO {name} VALUES ({marks})", row)
        self._look.execute("COMMIT")
        self._seen = None

    def content(self) -> Content:
        """What is stored now."""
        (version,) = self._look.execute("PRAGMA data_version").fetchone()
        mark = (version, len(self.messages))
        if self._seen is None or self._seen[0] != mark:  # since another connection wrote
            self._seen = (mark, self._content())
        return self._seen[1]

    def _content(self) -> Content:
        names: dict[Any, int] = dict(self._look.execute(
            "SELECT handle, version FROM mfn_key_versions"))  # fmt: skip
        versions = self._look.execute(
            "SELECT version, state, compromised, created_at, destroy_at, length(wrapped) > 0"
            " FROM mfn_key_versions ORDER BY version"
        ).fetchall()
        ((rotate_at, interval, revision),) = self._look.execute(
            "SELECT rotate_at, interval_days, revision FROM mfn_keys"
        ).fetchall()
        ((master_id,),) = self._look.execute("SELECT master_id FROM mfn_store_meta").fetchall()
        names[master_id] = 0
        rest = [
            (name, *sorted((_plain(row, names) for row in self._rows(name)), key=repr))
            for name in self._tables
        ]
        rest.append(("messages", *(number for number, _ in self.messages)))
        return Content(
            tuple(VersionRow(n, s, bool(c), a, d, bool(m)) for n, s, c, a, d, m in versions),
            rotate_at,
            interval,
            revision,
            tuple(rest),
        )

    def _rows(self, name: str) -> list[tuple[Any, ...]]:
        return self._look.execute(f"SELECT * FROM {name}").fetchall()

    def _close(self) -> None:
        self._forget_keyrings()
        for database in self._databases:
            database.close()
        if self._ready:
            self._look.close()
        shutil.rmtree(self._folder)


def _plain(row: tuple[Any, ...], names: dict[bytes, int]) -> tuple[Any, ...]:
    """A row without what is random: handles and the master key by a number, no other bytes."""
    return tuple(
        f"v{names[each]}" if each in names else len(each) if isinstance(each, bytes) else each
        for each in row
    )


@contextlib.contextmanager
def _modelled_clock(world: World) -> Iterator[None]:
    """Have every module of the product that reads the monotonic clock read that of the world.

    A pause is none: what waits for others gives them their turn at its next step.
    """

    def at_once() -> float:
        return _MONOTONIC + world.seconds

    changed: list[tuple[Any, str, Any]] = []
    for name, module in list(sys.modules.items()):
        if not name.startswith(_ROOT) or name in _UNOBSERVED:
            continue
        if getattr(module, "monotonic", None) is time.monotonic:
            patient = name.endswith("authenticated_table")
            changed.append((module, "monotonic", at_once if patient else world.monotonic))
        if name.endswith("authenticated_table"):
            changed.append((module, "time", SimpleNamespace(sleep=lambda _: None)))
    former = [(module, name, getattr(module, name)) for module, name, _ in changed]
    for module, name, value in changed:
        setattr(module, name, value)
    try:
        yield
    finally:
        for module, name, value in former:
            setattr(module, name, value)
