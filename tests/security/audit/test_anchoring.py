"""How far the store was told that a chain has come: what lies past that could be cut off unseen."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.audit import AuditLog, Event
from mycelium_fractal_net.security.errors import AuditUnavailableError, StoreUnavailableError
from tests.support.audit import Books, until
from tests.support.killed import killed
from tests.support.presence import need

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mycelium_fractal_net.security.key_providers import LocalKeyProvider

USED = Event("encrypt", "ok", key="orders:v1")


@pytest.fixture(autouse=True)
def sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """An anchor is overdue after a third of a second."""
    monkeypatch.setattr("mycelium_fractal_net.security.audit.anchor_thread._SECONDS", 0.01)
    monkeypatch.setattr("mycelium_fractal_net.security.audit.queue.OVERDUE_SECONDS", 0.3)


@contextlib.contextmanager
def locked(books: Books) -> Iterator[None]:
    """Somebody's shell has a transaction open: the store can be read and not written."""
    file = books.provider.store.database.file
    assert file is not None
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def record_until_refused(log: AuditLog) -> int:
    """Record uses, each durable; returns how many until one was refused."""
    told = 0
    with pytest.raises(AuditUnavailableError, match="the key store cannot be told"):
        while True:
            log.record(USED)
            told += 1
            time.sleep(0.01)
    return told


def test_nothing_is_recorded_once_the_store_was_not_told_for_too_long(books: Books) -> None:
    """It can be read and not written: what is acknowledged meanwhile is bounded, and it heals."""
    with books.opened() as log:
        log.record(USED)
        until(lambda: log.stats.unanchored == 0)
        assert log.stats.anchor_age == 0.0
        with locked(books):
            told = record_until_refused(log)
            assert told
            assert not log.healthy
            assert log.stats.unanchored == told
            assert log.stats.anchor_age > 0.3
        until(lambda: log.healthy)
        log.record(USED)
        until(lambda: log.stats.unanchored == 0)
        assert books.anchored() == told + 3
    assert books.faults() == []


def test_a_full_disk_under_the_store_stops_records_that_it_cannot_be_told_of(
    books: Books, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """That the audit folder has room does not help; the failure is logged once, and its end."""
    disk = tmp_path / "disk"
    disk.mkdir(mode=0o700)
    command = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "none", str(disk)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        need("the right to mount a tmpfs")
    try:
        with (
            on_disk(books.provider, disk) as provider,
            Books(provider, books.folder).opened() as log,
        ):
            log.record(USED)
            until(lambda: log.stats.unanchored == 0)
            with contextlib.closing(sqlite3.connect(disk / "keys.db")) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            with (disk / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(1024))
            assert record_until_refused(log)
            (disk / "ballast").unlink()
            until(lambda: log.healthy)
            log.record(USED)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
    assert caplog.text.count("the store is not told of the audit chain") == 1
    assert caplog.text.count("the store is told of the audit chain again") == 1


@contextlib.contextmanager
def on_disk(provider: LocalKeyProvider, disk: Path) -> Iterator[LocalKeyProvider]:
    """The same store, moved to that disk."""
    from mycelium_fractal_net.security.key_providers import LocalKeyProvider as Provider
    from mycelium_fractal_net.security.key_store import Database, KeyStore

    file = provider.store.database.file
    assert file is not None
    with contextlib.closing(sqlite3.connect(file)) as source:
        target = sqlite3.connect(disk / "keys.db")
        source.backup(target)
        target.close()
    (disk / "keys.db").chmod(0o600)
    database = Database(disk / "keys.db")
    with contextlib.closing(database):
        yield Provider(KeyStore(database), provider.custodian, provider.policy)


def test_a_record_that_came_while_the_store_was_told_is_not_overdue_at_once(books: Books) -> None:
    """Under load there is always one past the anchor; its age counts from when it was asked."""
    with books.opened() as log:
        ending = time.monotonic() + 1.0
        while time.monotonic() < ending:
            log.record(USED)
            assert log.stats.anchor_age < 0.3
        assert log.healthy


def crash(books: Books, count: int) -> None:
    """A process records uses and is killed before the store is told of them."""

    def work() -> None:
        from mycelium_fractal_net.security.audit import anchor_thread

        anchor_thread._SECONDS = 60.0  # type: ignore[misc]
        log = books.log()
        for _ in range(count):
            log.record(USED)

    killed(work)


def test_the_next_process_tells_the_store_of_what_a_killed_one_left(books: Books) -> None:
    """Before its own first record: each kill would else leave more past the anchor."""
    books.write(1)
    crash(books, 5)
    assert books.anchored() == 2
    log = books.log()
    log.open()
    assert books.anchored() == 8
    log.close()
    assert books.faults() == []


def test_a_process_does_not_go_on_past_what_it_cannot_tell(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a former one was killed and the store cannot be written, nothing is recorded."""
    books.write(1)
    crash(books, 5)

    def refuse(_: object) -> None:
        raise StoreUnavailableError("the key store cannot be written")

    monkeypatch.setattr(books.provider.store, "anchor_chain", refuse)
    with pytest.raises(StoreUnavailableError):
        books.log().record(USED)
    monkeypatch.undo()
    books.write(1)
    assert len(books.chains) == 1
    assert books.faults() == []


def test_after_a_kill_verification_says_what_lies_past_the_anchor(books: Books) -> None:
    """And that the process did not end: more may have been cut off, which nobody could see."""
    books.write(1)
    assert books.verified().chains[0].ended
    crash(books, 5)
    (chain,) = books.verified().chains
    assert (chain.past_anchor, chain.ended) == (6, False)
    path = books.files[-1]
    os.truncate(path, path.stat().st_size - len(books.lines(path)[-1]))
    (chain,) = books.verified().chains
    assert (chain.past_anchor, chain.ended, chain.faults) == (5, False, [])


def test_who_waits_for_a_silent_store_holds_up_nobody(books: Books) -> None:
    """The age is told while the store is asked, which may take its time."""
    asked, answer = threading.Event(), threading.Event()
    with books.opened() as log:
        log.record(USED)
        until(lambda: log.stats.unanchored == 0)
        store = books.provider.store
        anchor_chain = store.anchor_chain

        def slowly(*arguments: object) -> None:
            asked.set()
            answer.wait()
            anchor_chain(*arguments)  # type: ignore[arg-type]

        store.anchor_chain = slowly  # type: ignore[method-assign,assignment]
        log.record(USED)
        assert asked.wait(5)
        until(lambda: not log.healthy)
        answer.set()
        until(lambda: log.healthy)
