"""A backup that is taken at every step of a rotation, and at each kill on the way through one."""

from __future__ import annotations

import io
import os
import shutil
import signal
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event

from mycelium_fractal_net.security.backup import record_backup, restore_backup, write_backup
from mycelium_fractal_net.security.key_providers import LocalCustodian, LocalKeyProvider
from mycelium_fractal_net.security.key_store import Database, KeyStore
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.records.keys import KeyState
from tests.support.killed import killed
from tests.support.stores import Clock, keyring_over, open_provider

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def opened_elsewhere(content: bytes, home: Path, folder: Path, clock: Clock) -> LocalKeyProvider:
    """The backup restored on another machine: another folder with the same master key."""
    folder.mkdir(mode=0o700)
    shutil.copy(home / "master.key", folder / "master.key")
    policy = Policy()
    custodian = LocalCustodian(folder / "master.key", policy)
    provider = LocalKeyProvider(
        KeyStore(Database(folder / "keys.db")), custodian, policy, clock=clock
    )
    restore_backup(provider, io.BytesIO(content))
    return provider


def at_every_statement(provider: LocalKeyProvider, then: Callable[[], None]) -> None:
    """Before each statement of the provider's database, and before each commit, call ``then``."""
    engine = provider.store.database._engine

    def before(*_: object) -> None:
        then()

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "commit", before)


@pytest.mark.parametrize("required", [False, True])
def test_a_backup_at_every_step_of_a_rotation_opens_all_that_was_sealed_before(
    required: bool, store_url: str, home: Path, tmp_path: Path, clock: Clock
) -> None:
    """It holds the former version or both, whole and authentic; and one protects."""
    rotating = open_provider(store_url, home, clock)
    rotating.keys.create("orders")
    rotating.keys.require_backup = required
    other = open_provider(store_url, home, clock)
    with keyring_over(other) as keyring:
        message = keyring.encrypt(b"sealed before", key_id="orders")
    contents: list[bytes] = []

    def take() -> None:
        writer = io.BytesIO()
        write_backup(other, writer)
        contents.append(writer.getvalue())

    at_every_statement(rotating, take)
    rotating.rotate_key("orders")
    take()
    rotating.store.database.close()
    other.store.database.close()
    assert len(contents) >= 6
    newest = set()
    for number, content in enumerate(contents):
        restored = opened_elsewhere(content, home, tmp_path / str(number), clock)
        with closing(restored.store.database), keyring_over(restored) as keyring:
            assert keyring.decrypt(message) == b"sealed before"
            assert keyring.decrypt(keyring.encrypt(b"new", key_id="orders")) == b"new"
            newest.add(restored.keys.get("orders").latest.version)
    assert newest == {1, 2}


def test_a_kill_at_every_step_of_a_backup_loses_no_version_and_activates_none_too_early(
    home: Path, sqlite_url: str, tmp_path: Path, clock: Clock
) -> None:
    """Whatever is active was in a file that was durable; the next backup activates the rest."""
    provider = open_provider(sqlite_url, home, clock)
    provider.keys.require_backup = True
    for name in ("a", "b"):
        provider.keys.create(name)
    provider.store.database.close()
    file = tmp_path / "keys.mfb"

    def back_up(die_at: int) -> None:
        mine = open_provider(sqlite_url, home, clock)
        mine.keys.require_backup = True
        steps = 0

        def step() -> None:
            nonlocal steps
            steps += 1
            if steps == die_at:
                killed_here()

        at_every_statement(mine, step)
        with file.open("wb") as writer:
            backup = write_backup(mine, writer)
        record_backup(mine, backup)

    def killed_here() -> None:

        os.kill(os.getpid(), signal.SIGKILL)

    active: list[int] = []
    for die_at in range(1, 400, 9):
        killed(lambda die_at=die_at: back_up(die_at))  # type: ignore[misc]
        checking = open_provider(sqlite_url, home, clock)
        with closing(checking.store.database):
            states = [checking.keys.get(name).latest.state for name in ("a", "b")]
            active.append(states.count(KeyState.ACTIVE))
            if active[-1]:
                with file.open("rb") as reader:
                    restored = opened_elsewhere(
                        reader.read(), home, tmp_path / f"at-{die_at}", clock
                    )
                with closing(restored.store.database):
                    assert restored.store.keys.count() == 2
        if active[-1] == 2:
            break
    assert active[0] == 0
    assert active == sorted(active)
    assert active[-1] == 2
