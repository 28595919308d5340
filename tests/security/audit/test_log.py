"""The log that a process writes: order, durability, who waits, forks, closing."""

from __future__ import annotations

import os
import re
import threading
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security import blocking
from mycelium_fractal_net.security.audit import AuditLog, Event, acting_as, current_actor, query
from mycelium_fractal_net.security.blocking import WouldBlockError
from mycelium_fractal_net.security.errors import AuditUnavailableError, StorePermissionsError
from tests.support.audit import Books
from tests.support.killed import killed

if TYPE_CHECKING:
    from collections.abc import Iterator


def used(number: int = 1) -> Event:
    """The record of a use of the key ``orders``."""
    return Event("encrypt", "ok", key=f"orders:v{number}", actor="caller")


@pytest.fixture
def log(books: Books) -> Iterator[AuditLog]:
    """The log of a process; nothing is opened yet."""
    opened = books.log()
    yield opened
    opened.close()


@pytest.fixture
def refusing() -> Iterator[None]:
    """A thread that never waits for a backend, such as the service's event loop."""
    blocking.refuse_in_this_thread()
    yield
    blocking.allow_in_this_thread()


def test_a_record_is_one_json_line_that_says_who_did_what_when(books: Books) -> None:
    """Sequence and time come first, what is None is left out, the MAC is last."""
    books.write(1)
    line = books.lines()[1].decode()
    assert re.fullmatch(
        r'\{"sequence":2,"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z",'
        r'"event":"encrypt","outcome":"ok","key":"orders:v0",'
        r'"mac":"[0-9a-f]{64}"\}\n',
        line,
    )


def test_what_is_recorded_is_durable_and_in_order(books: Books, log: AuditLog) -> None:
    """Each record is in the file when it was waited for, and the chain is whole."""
    for number in range(5):
        assert log.record(used(number)) == number + 2
        assert len(books.lines()) == number + 2
    assert log.stats.pending == 0
    assert log.stats.sync_seconds > 0
    log.close()
    assert books.faults() == []


def test_many_threads_share_one_chain(books: Books, log: AuditLog) -> None:
    """No sequence is given twice, and nothing is lost."""
    given: list[int] = []

    def work() -> None:
        given.extend(log.record(used()) for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert sorted(given) == list(range(2, 302))
    assert books.verified().records == 301


def test_the_files_are_private(books: Books) -> None:
    """Folders are 0700 and files 0600, whatever the umask."""
    before = os.umask(0)
    try:
        books.write(1)
    finally:
        os.umask(before)
    for path in (books.folder, *books.folder.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_a_folder_that_others_may_use_is_refused(books: Books) -> None:
    """Whoever can write it could cut the records that were not anchored yet."""
    books.folder.mkdir(mode=0o755)
    books.folder.chmod(0o755)
    with pytest.raises(StorePermissionsError, match="chmod 0700"):
        books.log().open()


def test_a_folder_that_cannot_be_made_is_named(books: Books, log: AuditLog) -> None:
    """And the next record tries again."""
    books.folder.write_text("in the way")
    with pytest.raises(AuditUnavailableError, match=str(books.folder)):
        log.record(used())
    books.folder.unlink()
    assert log.record(used()) == 2


def test_the_next_process_goes_on_with_the_chain(books: Books) -> None:
    """Ten runs of a command make one chain with one file."""
    for _ in range(10):
        books.write(1)
    assert len(books.files) == 1
    assert books.verified().records == 20
    assert books.faults() == []


def test_two_at_once_write_two_chains(books: Books) -> None:
    """A chain has one writer at a time, and both chains are read as one."""
    with books.opened() as first, books.opened() as second:
        first.record(used(1))
        second.record(used(2))
    assert len(books.chains) == 2
    assert [record["key"] for record in query(books.folder, key="orders")] == [
        "orders:v2",
        "orders:v1",
    ]


def test_a_child_never_goes_on_with_its_parents_chain(books: Books, log: AuditLog) -> None:
    """Nor keeps it locked: parent and child go on, each with a chain of its own."""
    log.record(used(1))
    killed(lambda: log.record(used(2)))
    assert log.record(used(3)) == 3
    log.close()
    assert len(books.chains) == 2
    books.write(1)
    assert len(books.chains) == 2
    assert books.faults() == []


def test_a_child_that_records_nothing_leaves_no_chain(books: Books, log: AuditLog) -> None:
    """A fork alone costs nothing, whether the parent's log was open or not."""
    with books.opened() as opened:
        opened.record(used())
        killed(lambda: log.healthy)
    assert len(books.chains) == 1


def test_a_closed_log_says_so_and_opens_again_for_a_record(books: Books, log: AuditLog) -> None:
    """Nobody waits for ever for a record of a log that was closed."""
    log.close()
    sequence = log.record(used())
    log.close()
    with pytest.raises(AuditUnavailableError, match="closed"):
        log.wait(sequence)
    assert log.record(used()) > sequence


def test_waiting_ends_with_the_time_that_was_given(books: Books, log: AuditLog) -> None:
    """A record that is not durable by then is not acknowledged."""
    sequence = log.record(used())
    log.wait(sequence, timeout=0)
    with pytest.raises(AuditUnavailableError):
        log.wait(sequence + 1, timeout=0.01)


def test_a_log_that_is_closed_refuses_those_who_wait(books: Books, log: AuditLog) -> None:
    """They are told at once and not after their time."""
    sequence = log.record(used())
    failed: list[BaseException] = []

    def wait() -> None:
        try:
            log.wait(sequence + 1, timeout=60)
        except AuditUnavailableError as error:
            failed.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join(0.05)
    log.close()
    thread.join(10)
    assert len(failed) == 1


def test_the_event_loop_is_never_made_to_wait(books: Books, log: AuditLog, refusing: None) -> None:
    """Opening, and waiting for a record, are for other threads; nothing is appended before."""
    with pytest.raises(WouldBlockError):
        log.append(used())
    blocking.allow_in_this_thread()
    log.open()
    blocking.refuse_in_this_thread()
    sequence = log.append(used())
    with pytest.raises(WouldBlockError):
        log.wait(sequence)
    with pytest.raises(WouldBlockError):
        log.record(used())
    blocking.allow_in_this_thread()
    log.wait(sequence)
    assert [record["event"] for record in books.records()] == ["audit.opened", "encrypt"]


def test_the_listener_hears_of_each_group(books: Books, log: AuditLog) -> None:
    """With the last durable sequence; what it raises does not stop the log."""
    heard: list[tuple[int, bool]] = []
    log.listener = lambda durable, failed: heard.append((durable, failed))
    sequence = log.record(used())

    def fail(durable: int, failed: bool) -> None:
        raise ZeroDivisionError

    log.listener = fail
    log.record(used())
    log.listener = None
    log.record(used())
    assert heard[-1] == (sequence, False)


def test_a_segment_that_is_full_is_followed_by_the_next(books: Books) -> None:
    """Named by the sequence of its first record; the chain goes on over all of them."""
    books.write(5, segment_bytes=300)
    names = [path.name for path in books.files]
    assert len(names) > 2
    assert names == sorted(names)
    assert names[0] == "00000000000000000001-0000.jsonl"
    assert books.verified().records == 6
    books.write(1, segment_bytes=300)
    assert books.faults() == []


def test_the_store_is_told_how_far_the_chain_has_come(books: Books, log: AuditLog) -> None:
    """When it is closed; until then records lie past the anchor, and are counted."""
    log.record(used())
    assert books.verified().chains[0].past_anchor == 2
    log.close()
    (anchor,) = books.provider.store.chains()
    assert (anchor.sequence, anchor.closed, anchor.open_from) == (2, True, None)
    assert books.verified().chains[0].past_anchor == 0


def test_the_store_is_told_within_a_second_or_so(
    books: Books, log: AuditLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under load too; no record waits for it."""
    monkeypatch.setattr("mycelium_fractal_net.security.audit.anchor_thread._SECONDS", 0.01)
    log.record(used())
    told = 0
    while told < 2:
        threading.Event().wait(0.005)
        told = books.anchored()
    threading.Event().wait(0.03)  # nothing new: nothing is told
    assert not books.provider.store.chains()[0].closed


def test_a_store_that_does_not_answer_stops_no_record(
    books: Books, log: AuditLog, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told later; meanwhile a warning is logged."""
    log.record(used())
    with books.provider.store.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM mfn_audit_chains")
    log.record(used())
    log.close()
    assert "is not in the store" in caplog.text


def test_a_chain_of_another_store_is_left_alone(books: Books) -> None:
    """A store that does not know the chain, or was lied to about it, begins one of its own."""
    books.write(1)
    store = books.provider.store
    with store.database.write() as connection:
        connection.exec_driver_sql("UPDATE mfn_audit_chains SET sequence = 1")
    books.write(1)
    assert len(books.chains) == 2
    assert (1, "what the store says of this chain was changed") in books.faults()


def test_whom_a_change_is_recorded_for_is_a_matter_of_the_context() -> None:
    """Within the block, and not after it."""
    assert current_actor() == "library"
    with acting_as("cli:0", "4711"):
        assert current_actor() == "cli:0"
    assert current_actor() == "library"


def test_a_record_of_the_current_actor_names_the_request_too(books: Books, log: AuditLog) -> None:
    """As the service has it."""
    with acting_as("caller", "4711"):
        log.now("key.export", key="orders:v1")
    (record,) = query(books.folder, event="key.export")
    assert (record["actor"], record["request"], record["outcome"]) == ("caller", "4711", "ok")


def test_an_event_takes_what_a_batch_has_to_say(books: Books, log: AuditLog) -> None:
    """Items by version and outcome, and a batch is found by each of its keys."""
    log.record(Event("encrypt.batch", "ok", items={"orders:v1": {"ok": 99, "key-state": 1}}))
    (record,) = query(books.folder, key="orders")
    assert record["items"] == {"orders:v1": {"ok": 99, "key-state": 1}}
    assert query(books.folder, key="order") == []
