"""The log of one process: what an append promises, what waiting does, who is told."""

from __future__ import annotations

import contextlib
import os
import resource
import threading
import time
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security import blocking
from mycelium_fractal_net.security.audit import (
    AuditLog,
    Event,
    acting_as,
    current_actor,
    current_request,
)
from mycelium_fractal_net.security.audit import queue as queue_module
from mycelium_fractal_net.security.audit.queue import Queue
from mycelium_fractal_net.security.audit.segments import create
from mycelium_fractal_net.security.audit.writer import RefusalCounts
from mycelium_fractal_net.security.errors import (
    AuditUnavailableError,
    InvalidInputError,
    StorePermissionsError,
)
from mycelium_fractal_net.security.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.audit import Books

KEY = Policy().mac("HMAC-SHA-256", bytes(32))
EVENT = Event("encrypt", "ok", key="orders:v1")


@pytest.fixture
def log(books: Books) -> Iterator[AuditLog]:
    """A log that is not opened yet."""
    with books.opened() as opened:
        yield opened


def until(what: object, seconds: float = 5.0) -> None:
    """Wait until a call is true."""
    deadline = time.monotonic() + seconds
    while not what():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.005)


# Appending and waiting ------------------------------------------------------------------------


def test_nothing_is_there_before_the_first_record(books: Books, log: AuditLog) -> None:
    """A program that changes nothing leaves no folder, no thread and no row."""
    assert not books.folder.exists()
    assert log.healthy
    assert log.stats.pending == 0
    log.wake()
    log.close()
    assert not books.folder.exists()
    log.record(EVENT)
    assert books.folder.is_dir()


def test_sequences_go_up_by_one_and_records_keep_their_order(books: Books, log: AuditLog) -> None:
    """The first record is that a process has come."""
    log.open()
    log.open()
    assert [log.append(Event("encrypt", "ok", count=n)) for n in range(50)] == list(range(2, 52))
    log.wait(51)
    assert [each.get("count") for each in books.records()] == [None, *range(50)]
    assert log.stats.pending == 0
    assert log.stats.sync_seconds > 0


def test_a_record_that_was_waited_for_is_in_the_file(books: Books, log: AuditLog) -> None:
    """At once, while the process runs: who reads the file needs nobody's leave."""
    sequence = log.record(EVENT)
    assert books.records()[-1]["sequence"] == sequence
    log.wait(sequence, timeout=0.0)


def test_waiting_for_a_record_that_does_not_come_ends(log: AuditLog) -> None:
    """With an error, after the time that was given."""
    log.open()
    with pytest.raises(AuditUnavailableError, match="cannot be written"):
        log.wait(99, timeout=0.01)


def test_waiting_on_a_log_that_is_closed_is_an_error(log: AuditLog) -> None:
    """Nothing says that the record is durable, so nobody is told that it is."""
    sequence = log.record(EVENT)
    log.close()
    with pytest.raises(AuditUnavailableError, match="closed"):
        log.wait(sequence)


def test_a_log_that_was_closed_opens_again(books: Books, log: AuditLog) -> None:
    """The same chain goes on in the same segment."""
    first = log.record(EVENT)
    log.close()
    log.close()
    assert log.record(EVENT) == first + 2
    log.close()
    assert len(books.files) == 1
    assert not books.faults()


def test_closing_beside_others_never_makes_a_second_chain(books: Books, log: AuditLog) -> None:
    """Whoever comes meanwhile is refused or opens the log again, and what he was told is there."""
    told: list[int] = []
    ending = threading.Event()

    def work() -> None:
        while not ending.is_set():
            with contextlib.suppress(AuditUnavailableError):
                told.append(log.record(EVENT))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(12):
        time.sleep(0.005)
        log.close()
    ending.set()
    for thread in threads:
        thread.join()
    log.close()
    assert len(books.chains) == 1
    assert not books.faults()
    written = [each["sequence"] for each in books.records() if each["event"] == "encrypt"]
    assert len(set(told)) == len(told) > 10
    assert set(told) <= set(written)


def test_many_threads_share_one_chain(books: Books, log: AuditLog) -> None:
    """Each record has a sequence of its own, and all of them are in the file, in order."""
    given: list[int] = []

    def work() -> None:
        given.extend(log.record(EVENT) for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(given) == list(range(2, 402))
    log.close()
    assert [each["sequence"] for each in books.records()] == list(range(1, 402))
    assert not books.faults()


def test_many_records_share_one_sync(books: Books, log: AuditLog) -> None:
    """What comes while a sync lasts goes into the next one together."""
    syncs: list[int] = []
    log.open()
    log.listener = lambda durable, _: syncs.append(durable)
    for _ in range(2000):
        sequence = log.append(EVENT, wake=False)
    log.wake()
    log.wait(sequence)
    until(lambda: syncs and syncs[-1] == sequence)
    assert len(syncs) <= 3


def test_the_listener_hears_how_far_it_is_after_each_sync(log: AuditLog) -> None:
    """Never backwards, and at the end of all."""
    heard: list[tuple[int, bool]] = []
    log.listener = lambda durable, failed: heard.append((durable, failed))
    for _ in range(20):
        last = log.record(EVENT)
    until(lambda: heard[-1][0] == last)
    assert not any(failed for _, failed in heard)
    assert [durable for durable, _ in heard] == sorted(durable for durable, _ in heard)


def test_a_listener_that_fails_stops_nothing(
    log: AuditLog, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the next record is written."""

    def fail(*_: object) -> None:
        raise RuntimeError("the loop is closed")

    log.open()
    log.listener = fail
    log.record(EVENT)
    log.record(EVENT)
    assert log.healthy
    until(lambda: "who listens to the audit log failed" in caplog.text)


def test_a_log_takes_no_more_than_it_can_hold(
    books: Books, log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the disk does not answer, memory is not what the records fill."""
    monkeypatch.setattr(queue_module, "MOST_PENDING", 10)
    log.open()
    log.wait(1)
    for _ in range(10):
        sequence = log.append(EVENT, wake=False)
    with pytest.raises(AuditUnavailableError):
        log.append(EVENT)
    log.wake()
    log.wait(sequence)
    assert log.record(EVENT) == sequence + 1


def test_a_record_longer_than_any_line_is_refused(books: Books, log: AuditLog) -> None:
    """Who reads the file looks for a line's end no further than a mebibyte."""
    with pytest.raises(InvalidInputError):
        log.append(Event("encrypt", "ok", reason="x" * (1 << 20)))
    long = {f"key-{n}:v1": {"decryption-failed": 1, "ok": 2} for n in range(1000)}
    log.record(Event("encrypt", "ok", items=long))
    log.close()
    assert not books.faults()
    assert books.records()[-1]["items"] == long


def test_a_folder_that_others_may_read_is_refused(books: Books, log: AuditLog) -> None:
    """Records name who did what with which key."""
    books.folder.mkdir(mode=0o755)
    books.folder.chmod(0o755)
    with pytest.raises(StorePermissionsError):
        log.record(EVENT)


def test_a_folder_that_cannot_be_made_is_an_outage(books: Books, log: AuditLog) -> None:
    """It names the folder and the reason; when the folder is in order the log opens."""
    books.folder.write_bytes(b"")
    with pytest.raises(AuditUnavailableError, match=r"audit cannot be used: File exists"):
        log.record(EVENT)
    books.folder.unlink()
    assert log.record(EVENT) == 2


# Threads that must not wait -------------------------------------------------------------------


def test_a_thread_that_must_not_wait_may_append_and_nothing_else(
    books: Books, log: AuditLog
) -> None:
    """Opening, waiting and recording are told to be done in another thread, before they begin."""
    blocking.refuse_in_this_thread()
    try:
        with pytest.raises(blocking.WouldBlockError):
            log.append(EVENT)
        assert not books.folder.exists()
        thread = threading.Thread(target=log.open)
        thread.start()
        thread.join()
        sequence = log.append(EVENT)
        with pytest.raises(blocking.WouldBlockError):
            log.wait(sequence)
        with pytest.raises(blocking.WouldBlockError):
            log.record(EVENT)
    finally:
        blocking.allow_in_this_thread()
    log.wait(sequence)
    assert log.append(EVENT) == sequence + 1


# Who acts -------------------------------------------------------------------------------------


def test_who_acts_is_the_library_unless_somebody_says_otherwise(
    books: Books, log: AuditLog
) -> None:
    """Within the block, in this thread or task alone, and the former actor comes back."""
    log.now("a")
    with acting_as("cli:1000", "r-1"):
        log.now("b")
        with acting_as("credential"):
            assert (current_actor(), current_request()) == ("credential", None)
        assert (current_actor(), current_request()) == ("cli:1000", "r-1")
        seen: list[str] = []
        thread = threading.Thread(target=lambda: seen.append(current_actor()))
        thread.start()
        thread.join()
        assert seen == ["library"]
    assert (current_actor(), current_request()) == ("library", None)
    said = [(each["actor"], each.get("request")) for each in books.records()[1:]]
    assert said == [("library", None), ("cli:1000", "r-1")]


# Refusals before authentication ---------------------------------------------------------------


def test_refusals_are_summed_up_into_one_record_a_second(books: Books, log: AuditLog) -> None:
    """A stranger cannot fill the disk: the first is told at once, the others together."""
    log.open()
    for number in range(3000):
        log.refused("unauthenticated" if number % 3 else "malformed")
    until(lambda: any(each["event"] == "refused" for each in books.records()))
    log.close()
    told = [each for each in books.records() if each["event"] == "refused"]
    assert 1 <= len(told) <= 3
    assert {(each["outcome"], each["actor"]) for each in told} == {("unauthenticated", "anonymous")}
    counts = [each["items"]["-"] for each in told]
    assert sum(each.get("unauthenticated", 0) for each in counts) == 2000
    assert sum(each.get("malformed", 0) for each in counts) == 1000


def test_refusals_before_the_chain_is_there_are_told_when_it_is(
    books: Books, log: AuditLog
) -> None:
    """Counting opens nothing: a stranger must not make anybody wait."""
    log.refused("unauthenticated")
    assert not books.folder.exists()
    log.open()
    until(lambda: any(each["event"] == "refused" for each in books.records()))


def test_refusals_have_a_bounded_number_of_reasons() -> None:
    """However many reasons there are, a record names 65 at most and counts them all."""
    refusals = RefusalCounts()
    assert refusals.patience() is None
    assert refusals.due(at_once=True) is None
    assert refusals.count("reason-0")
    assert not any(refusals.count(f"reason-{n}") for n in range(1, 1000))
    event = refusals.due(at_once=False)
    assert event is not None
    assert event.items is not None
    assert len(event.items["-"]) == 65
    assert sum(event.items["-"].values()) == 1000


def test_the_next_refusal_waits_for_the_rest_of_the_second() -> None:
    """Unless the log ends, which tells all."""
    refusals = RefusalCounts()
    refusals.count("a")
    assert refusals.due(at_once=False) is not None
    refusals.count("a")
    assert refusals.due(at_once=False) is None
    patience = refusals.patience()
    assert patience is not None
    assert 0.5 < patience <= 1.0
    assert refusals.due(at_once=True) is not None


def test_refusals_find_no_room_in_a_line_that_is_full(
    books: Books, log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record of them is lost, and the writer goes on all the same."""
    log.open()
    log.wait(1)
    monkeypatch.setattr(queue_module, "MOST_PENDING", 2)
    log.append(EVENT, wake=False)
    sequence = log.append(EVENT, wake=False)
    log.refused("unauthenticated")
    log.wait(sequence)
    assert log.record(EVENT) == sequence + 1


# The line -------------------------------------------------------------------------------------


def test_the_line_tells_what_the_store_is_to_know() -> None:
    """The last durable record, whether others wait, and the oldest intent without an outcome."""
    queue = Queue(KEY, 7, b"m" * 32, [3])
    assert queue.end_of_chain() == (7, b"m" * 32, True, 3)
    intent = queue.put(Event("key.rotate", "intent"))
    queue.put(Event("key.rotate", "done", intent=3))
    assert queue.end_of_chain() == (7, b"m" * 32, False, 3 if 3 in queue.intents else intent)
    assert queue.intents == {intent}
    lines = queue.take()
    queue.written(lines)
    assert queue.end_of_chain() == (9, bytes.fromhex(lines[-1][-67:-3].decode()), True, intent)
    queue.failed()
    assert not queue.end_of_chain().whole


def test_whoever_waits_when_writing_fails_is_refused_at_once() -> None:
    """And whoever comes, until it succeeds; then what was refused may be waited for."""
    queue = Queue(KEY, 0, b"")
    sequence = queue.put(EVENT)
    refused: list[Exception] = []

    def wait() -> None:
        try:
            queue.wait(sequence, 30.0)
        except AuditUnavailableError as error:
            refused.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    lines = queue.take()
    queue.failed()
    thread.join(5.0)
    assert len(refused) == 1
    with pytest.raises(AuditUnavailableError):
        queue.put(EVENT)
    queue.written(lines)
    queue.wait(sequence, 0.0)
    assert queue.put(EVENT) == 2


def test_a_line_that_has_ended_refuses_whoever_comes_late() -> None:
    """What nobody will write is never waited for."""
    queue = Queue(KEY, 0, b"")
    sequence = queue.put(EVENT)
    queue.end()
    with pytest.raises(AuditUnavailableError):
        queue.wait(sequence, 30.0)
    with pytest.raises(AuditUnavailableError):
        queue.put(EVENT)


def test_times_are_in_utc_to_the_microsecond_and_change_with_the_second(books: Books) -> None:
    """RFC 3339, always of the same length, so that they sort as text."""
    with books.opened() as log:
        log.record(EVENT)
        time.sleep(1.01)
        log.record(EVENT)
    times = [each["time"] for each in books.records()]
    assert times == sorted(times)
    assert {len(each) for each in times} == {27}
    assert times[1][:19] < times[2][:19]


def test_a_segment_whose_name_is_not_durable_is_none(tmp_path: Path) -> None:
    """Here there are no more descriptors for the folder's sync; the file is gone again."""
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            create(tmp_path, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not list(tmp_path.iterdir())
    descriptor, path = create(tmp_path, 1)
    os.close(descriptor)
    assert path.name == "00000000000000000001-0000.jsonl"
