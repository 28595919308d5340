"""A hundred of the kills of ``make torture``, and some of its faults."""

from __future__ import annotations

import random
import secrets
import shutil
from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING

import pytest

from campaigns.faults.injecting import injected, listed, new_store
from campaigns.faults.snapshot import Snapshot
from campaigns.faults.strace import WRITING
from campaigns.faults.works import WORKS
from mycelium_fractal_net.security.errors import MfnError
from tests.support import postgres
from tests.support.presence import need
from tests.torture.checks import check_whole
from tests.torture.place import new_place
from tests.torture.run import torture

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.long

_KILLS = 25


@pytest.mark.parametrize("seed", range(2))
def test_kills_on_sqlite_lose_nothing(tmp_path: Path, seed: int) -> None:
    """Everything acknowledged opens, one version is newest, the audit chain verifies."""
    figures = torture(_KILLS, seed=seed, parent=tmp_path, commands=0.02)
    assert figures.kills.total() == _KILLS
    assert figures.whole >= 1


@pytest.mark.parametrize("seed", range(2))
def test_kills_on_postgresql_lose_nothing(tmp_path: Path, postgres_server: str, seed: int) -> None:
    """The same where the server outlives the client that is killed."""

    def database() -> str:
        return postgres.create_database(postgres_server, f"t{secrets.token_hex(6)}")

    figures = torture(_KILLS, seed=seed, parent=tmp_path, database=database, commands=0.02)
    assert figures.kills.total() == _KILLS


def test_a_disk_that_refuses_a_call_of_a_rotation_loses_nothing() -> None:
    """The first and the middle one of each kind of writing call; ``make campaign`` refuses all."""
    if shutil.which("strace") is None:
        need("strace")
    rotation = WORKS[0]
    met: Counter[str] = Counter()
    with new_store("SQLite") as place:
        snapshot = Snapshot(place, "before")
        every = [each for each in listed(place, rotation, snapshot) if each.call in WRITING]
        every.sort(key=lambda each: (each.call, each.error))
        for (call, error), found in groupby(every, lambda each: (each.call, each.error)):
            of_call = list(found)
            for number in {0, len(of_call) // 2} if error != "EINTR" else ():
                snapshot.restore()
                seen = injected(place, rotation, of_call[number], random.Random(1))
                met[call] += "injected" in seen
    assert {"fdatasync", "openat", "pwrite64"} <= set(+met)


def test_what_is_lost_is_noticed(tmp_path: Path) -> None:
    """The checks fail where a file is cut, a version is gone, or a message opens no more."""
    place = new_place(None, tmp_path)
    with place.open() as keyring:
        check_whole(place, keyring)
        cut = next(place.files.rglob("*.mfn"))
        whole = cut.read_bytes()
        cut.write_bytes(whole[:-1])
        with pytest.raises(MfnError):
            check_whole(place, keyring)
        cut.write_bytes(whole)
        place.ledger.take(("version", "orders", 2))
        with pytest.raises(AssertionError, match="orders is at v1; v2 was acknowledged"):
            check_whole(place, keyring)
    place.close()
