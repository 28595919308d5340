"""Erasure: when, by whose clock, and what is left of it in the files."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import (
    InvalidInputError,
    KeyStateError,
    StoreUnavailableError,
)
from mycelium_fractal_net.security.key_store import UsageStore
from mycelium_fractal_net.security.key_store.scheduler_table import SchedulerTable
from mycelium_fractal_net.security.lifecycle.retention import cleanup_old_versions, erase_due
from mycelium_fractal_net.security.records.keys import KeyState, RotationPolicy, Verb
from mycelium_fractal_net.security.records.retention import CleanupReport
from tests.support.stores import keyring_over, open_provider

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from mycelium_fractal_net.security.key_providers import LocalKeyProvider
    from tests.support.stores import Clock


@pytest.fixture
def pending(provider: LocalKeyProvider) -> LocalKeyProvider:
    """``orders:v1`` is pending destruction for 30 days, on SQLite and on PostgreSQL."""
    provider.keys.create("orders")
    provider.rotate_key("orders")
    provider.states.apply(Verb.DESTROY, "orders:v1")
    return provider


def state(provider: LocalKeyProvider) -> KeyState:
    return provider.keys.get("orders").version(1).state


def files_with(folder: Path, needle: bytes) -> list[str]:
    """The files below ``folder`` that hold those bytes."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [path.name for path in paths if needle in path.read_bytes()]


# When -------------------------------------------------------------------------------------------


def test_a_version_is_erased_when_its_window_has_passed(
    pending: LocalKeyProvider, clock: Clock
) -> None:
    """Not a moment earlier; its record stays, and says what became of it."""
    clock.forward(days=30, microseconds=-1)
    assert erase_due(pending, "orders", now=clock()) == ()
    assert state(pending) is KeyState.PENDING_DESTRUCTION
    clock.forward(microseconds=1)
    assert erase_due(pending, "orders", now=clock()) == ("orders:v1",)
    assert pending.keys.get("orders").version(1).wrapped == b""
    assert erase_due(pending, "orders", now=clock()) == ()
    with pytest.raises(KeyStateError, match="destroyed"):
        pending.get_key("orders:v1")


@pytest.mark.parametrize("days", [7, 30, 365])
def test_the_window_is_as_long_as_was_asked_for(
    provider: LocalKeyProvider, clock: Clock, days: int
) -> None:
    """From a week to a year."""
    provider.keys.create("orders")
    provider.rotate_key("orders")
    provider.states.apply(Verb.DESTROY, "orders:v1", window_days=days)
    clock.forward(days=days - 1)
    assert erase_due(provider, "orders", now=clock()) == ()
    clock.forward(days=1)
    assert erase_due(provider, "orders", now=clock()) == ("orders:v1",)


def test_a_cancelled_destruction_erases_nothing(pending: LocalKeyProvider, clock: Clock) -> None:
    """Up to the last moment."""
    material = pending.keys.get("orders").version(1).wrapped
    clock.forward(days=30)
    pending.states.apply(Verb.CANCEL_DESTRUCTION, "orders:v1")
    clock.forward(days=300)
    assert erase_due(pending, "orders", now=clock()) == ()
    assert pending.keys.get("orders").version(1).wrapped == material


@pytest.mark.parametrize("ahead", ["machine", "store"])
def test_both_clocks_must_say_that_the_window_has_passed(
    pending: LocalKeyProvider, clock: Clock, ahead: str
) -> None:
    """Whichever of the two is ahead erases nothing."""
    now: datetime = clock()
    if ahead == "machine":
        clock.forward(days=400)
    else:
        now += timedelta(days=400)
    assert erase_due(pending, "orders", now=now) == ()
    assert state(pending) is KeyState.PENDING_DESTRUCTION


def test_the_stores_own_clock_is_read_where_none_is_given(
    pending: LocalKeyProvider, clock: Clock
) -> None:
    """The machine's is far ahead of it."""
    clock.now = pending.store.database.now() + timedelta(days=29)
    pending.states.apply(Verb.CANCEL_DESTRUCTION, "orders:v1")
    pending.states.apply(Verb.DESTROY, "orders:v1", window_days=7)
    clock.forward(days=4000)
    assert erase_due(pending, "orders") == ()


def test_a_clock_that_jumped_ahead_erases_nothing(pending: LocalKeyProvider, clock: Clock) -> None:
    """Both clocks are a year ahead, as when one time server lies; a day is there to notice it."""
    looks = SchedulerTable(pending.store.database)
    looks.note_look(clock())
    clock.forward(days=1, hours=1)
    looks.note_look(clock())
    true = clock()
    clock.forward(days=365)
    assert looks.note_look(clock()).held_until is not None
    assert erase_due(pending, "orders", now=clock()) == ()
    clock.forward(hours=23)
    looks.note_look(clock())
    assert erase_due(pending, "orders", now=clock()) == ()
    clock.now = true + timedelta(hours=24)  # somebody has set it right
    assert looks.note_look(clock()).held_until is None
    assert erase_due(pending, "orders", now=clock()) == ()
    for _ in range(30):
        clock.forward(days=1)
        looks.note_look(clock())
    assert erase_due(pending, "orders", now=clock()) == ("orders:v1",)


def test_a_clock_that_jumped_ahead_moves_nothing_by_itself(
    provider: LocalKeyProvider, clock: Clock
) -> None:
    """It makes everything look unused; an operator's word is believed all the same."""
    usage, looks = UsageStore(provider.store.database), SchedulerTable(provider.store.database)
    provider.keys.create("orders", rotation=RotationPolicy(90, 1, auto_destroy=True))
    provider.rotate_key("orders")
    looks.note_look(clock())
    clock.forward(days=2)
    looks.note_look(clock())
    clock.forward(days=500)
    looks.note_look(clock())
    stores = clock()
    clock.forward(days=1)  # this machine's alone, which is ahead
    report = cleanup_old_versions(provider, usage, "orders", 1, now=stores)
    assert [each.may_go for each in report.proposals] == [True]
    assert report == CleanupReport("orders", 1, report.proposals)
    assert stores + timedelta(days=1) == looks.last_look().held_until  # type: ignore[union-attr]
    assert cleanup_old_versions(provider, usage, "orders", 1, now=clock()).moved == ("orders:v1",)


def test_versions_are_erased_by_the_name_of_their_key(pending: LocalKeyProvider) -> None:
    """All that are due."""
    with pytest.raises(InvalidInputError, match="without a version"):
        erase_due(pending, "orders:v1")


# What is left -----------------------------------------------------------------------------------


def test_no_byte_of_the_wrapped_material_is_left_in_the_files(
    local_provider: LocalKeyProvider, home: Path, clock: Clock
) -> None:
    """SQLite: not in the database, its log or any other file; before, the search finds it."""
    for number in range(20):
        local_provider.keys.create(f"filler-{number}")
    local_provider.keys.create("orders")
    wrapped = local_provider.keys.get("orders").version(1).wrapped
    for _ in range(5):
        local_provider.rotate_key("orders")
    local_provider.states.apply(Verb.DESTROY, "orders:v1")
    kept = local_provider.keys.get("orders").version(2).wrapped
    # Any eight bytes of it: a page that was cut in two would still have some of them.
    pieces = [wrapped[place : place + 8] for place in range(0, len(wrapped) - 7, 4)]
    assert all(files_with(home, piece) for piece in pieces)
    clock.forward(days=30)
    assert erase_due(local_provider, "orders", now=clock()) == ("orders:v1",)
    assert [piece for piece in pieces if files_with(home, piece)] == []
    assert files_with(home, kept) == ["keys.db"]
    assert (home / "keys.db-wal").stat().st_size == 0


def test_the_search_would_find_what_an_erasure_alone_leaves_in_the_log(
    local_provider: LocalKeyProvider, home: Path, clock: Clock
) -> None:
    """The write-ahead log keeps former pages: without the scrub there would be bytes."""
    local_provider.keys.create("orders")
    local_provider.rotate_key("orders")
    wrapped = local_provider.keys.get("orders").version(1).wrapped
    local_provider.states.apply(Verb.DESTROY, "orders:v1")
    clock.forward(days=30)
    local_provider.states.erase_due("orders", now=clock())
    assert files_with(home, wrapped) == ["keys.db-wal"]
    assert local_provider.store.database.scrub() is True
    assert files_with(home, wrapped) == []


def test_what_a_reader_holds_is_scrubbed_at_the_next_look(
    local_provider: LocalKeyProvider, home: Path, clock: Clock
) -> None:
    """Nobody waits for a long reader, a backup say; what he holds is not forgotten."""
    local_provider.keys.create("orders")
    local_provider.rotate_key("orders")
    wrapped = local_provider.keys.get("orders").version(1).wrapped
    local_provider.states.apply(Verb.DESTROY, "orders:v1")
    reader = sqlite3.connect(home / "keys.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM mfn_keys").fetchall()
    clock.forward(days=30)
    assert erase_due(local_provider, "orders", now=clock()) == ("orders:v1",)
    assert local_provider.store.database.needs_scrub
    assert files_with(home, wrapped)
    reader.close()
    assert erase_due(local_provider, "orders", now=clock()) == ()
    assert files_with(home, wrapped) == []
    assert not local_provider.store.database.needs_scrub


def test_a_process_scrubs_what_one_before_it_could_not(
    local_provider: LocalKeyProvider, home: Path, clock: Clock
) -> None:
    """It was killed between the erasure and the scrub."""
    local_provider.keys.create("orders")
    local_provider.rotate_key("orders")
    wrapped = local_provider.keys.get("orders").version(1).wrapped
    local_provider.states.apply(Verb.DESTROY, "orders:v1")
    clock.forward(days=30)
    local_provider.states.erase_due("orders", now=clock())
    assert files_with(home, wrapped)
    other = open_provider(local_provider.store.database.url, home, clock)
    assert erase_due(other, "orders", now=clock()) == ()
    assert files_with(home, wrapped) == []
    other.store.database.close()


def test_on_postgresql_a_scrub_promises_nothing(
    postgres_url: str, home: Path, clock: Clock
) -> None:
    """Tables, logs and replicas keep former rows for a time of their own."""
    provider = open_provider(postgres_url, home, clock)
    assert provider.store.database.scrub() is False
    assert not provider.store.database.needs_scrub
    provider.store.database.close()


def test_a_keyring_that_had_the_material_forgets_it(
    local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """What it cached is gone with the next reading of the store."""
    local_provider.keys.create("orders")
    with keyring_over(local_provider) as keyring:
        message = keyring.encrypt(b"x", key_id="orders")
        local_provider.rotate_key("orders")
        local_provider.states.apply(Verb.DESTROY, "orders:v1")
        clock.forward(days=30)
        assert erase_due(local_provider, "orders", now=clock()) == ("orders:v1",)
        keyring.refresh()
        with pytest.raises(KeyStateError, match="destroyed"):
            keyring.decrypt(message)


@pytest.mark.parametrize("broken", ["lock", "database"])
def test_a_store_that_cannot_be_scrubbed_says_so(
    local_provider: LocalKeyProvider, home: Path, broken: str
) -> None:
    """And is to be scrubbed still."""
    local_provider.store.database.close()
    if broken == "lock":
        (home / "keys.db.lock").unlink()
        (home / "keys.db.lock").mkdir()
    else:
        (home / "keys.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreUnavailableError):
        local_provider.store.database.scrub()
    assert local_provider.store.database.needs_scrub
