"""Several processes, and processes that are killed while they write as much as they can."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import threading
import warnings
from typing import IO, TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.audit import Event, query

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.audit import Books

THREADS = 4


def start(work: Callable[[IO[bytes]], object]) -> tuple[int, IO[bytes]]:
    """A child process that does ``work`` and is then gone; and what it says."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:  # pragma: no cover - another process
        signal.alarm(30)
        with contextlib.suppress(BaseException):
            os.close(reading)
            with os.fdopen(writing, "wb", buffering=0) as said:
                work(said)
            os._exit(0)
        os._exit(1)
    os.close(writing)
    return child, os.fdopen(reading, "rb")


def write_for_ever(books: Books, said: IO[bytes], **options: int) -> None:
    """Record from several threads, and say the number of each record that is durable."""
    log = books.log(**options)
    numbers = itertools.count()

    def work() -> None:
        for number in numbers:
            log.record(Event("encrypt", "ok", count=os.getpid() * 1_000_000 + number))
            said.write(b"%d\n" % (os.getpid() * 1_000_000 + number))

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def counts(books: Books) -> list[int]:
    """The numbers of the records that are there."""
    return [each["count"] for each in query(books.folder, event="encrypt", limit=1_000_000)]


@pytest.mark.parametrize("segment_bytes", [5_000, 67_108_864])
def test_a_process_killed_under_load_loses_nothing_that_it_was_told(
    books: Books, segment_bytes: int
) -> None:
    """Nor do those after it, which are killed too; and the chain is whole each time."""
    books.provider.audit_keys.mac()
    told: list[int] = []
    for lines in (50, 1, 120):
        child, said = start(lambda out: write_for_ever(books, out, segment_bytes=segment_bytes))
        with said:
            told.extend(int(said.readline()) for _ in range(lines))
            os.kill(child, signal.SIGKILL)
            told.extend(int(line) for line in said.read().split())
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        assert not books.faults()
        there = counts(books)
        assert set(told) <= set(there)
        assert len(set(there)) == len(there)
    books.write(1)
    assert not books.faults()
    assert len(books.chains) == 1


def test_processes_at_once_write_a_chain_each(books: Books) -> None:
    """Started together on an empty folder; each finds or begins one, and all are whole."""
    books.provider.audit_keys.mac()
    ready, go = os.pipe()

    def work(said: IO[bytes]) -> None:
        os.close(go)
        os.read(ready, 1)
        with books.opened() as log:
            for number in range(30):
                count = os.getpid() * 1000 + number
                log.record(Event("encrypt", "ok", count=count))
                said.write(b"%d\n" % count)

    children = [start(work) for _ in range(4)]
    os.close(ready)
    os.close(go)
    told = []
    for child, said in children:
        with said:
            told += [int(line) for line in said.read().split()]
        assert os.waitpid(child, 0)[1] == 0
    assert len(told) == 120
    assert sorted(counts(books)) == sorted(told)
    assert 1 <= len(books.chains) <= 4
    assert not books.faults()
    assert all(anchor.closed for anchor in books.provider.store.chains())


def test_processes_one_after_another_write_one_chain(books: Books) -> None:
    """Ten thousand runs of a command do not make ten thousand chains, nor as many files."""
    for _ in range(5):
        child, said = start(lambda _: books.write(1))
        said.close()
        assert os.waitpid(child, 0)[1] == 0
    assert len(books.files) == 1
    assert [each["event"] for each in books.records()] == ["audit.opened", "encrypt"] * 5
    assert not books.faults()


def test_a_child_that_was_forked_while_its_parent_wrote_has_a_chain_of_its_own(
    books: Books,
) -> None:
    """Both go on; neither waits for a lock that a thread of the other had."""
    with books.opened() as log:
        ending = threading.Event()

        def work() -> None:
            while not ending.is_set():
                log.record(Event("encrypt", "ok"))

        threads = [threading.Thread(target=work) for _ in range(THREADS)]
        for thread in threads:
            thread.start()

        def in_child(said: IO[bytes]) -> None:
            log.record(Event("decrypt", "ok"))
            log.close()
            said.write(b"done")

        for _ in range(4):
            child, said = start(in_child)
            with said:
                assert said.read() == b"done"
            assert os.waitpid(child, 0)[1] == 0
        ending.set()
        for thread in threads:
            thread.join()
    assert len(books.chains) == 2
    assert len(query(books.folder, event="decrypt")) == 4
    assert not books.faults()
