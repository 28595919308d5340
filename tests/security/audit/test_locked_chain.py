"""Which chain a process gets: one that is free and its store's and machine's own, or a new one."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net.security.audit import Event
from mycelium_fractal_net.security.audit.segments import LINE_BYTES, backwards
from mycelium_fractal_net.security.errors import InvalidInputError, StoreUnavailableError
from tests.support.audit import Books
from tests.support.killed import killed

if TYPE_CHECKING:
    from pathlib import Path


def used() -> Event:
    """The record of a use of the key ``orders``."""
    return Event("encrypt", "ok", key="orders:v1", actor="caller")


def test_a_chain_that_came_no_further_than_its_folder_is_begun(books: Books) -> None:
    """Its process died before the store knew of it."""
    folder = books.folder / ("0" * 32)
    folder.mkdir(mode=0o700, parents=True)
    books.folder.chmod(0o700)
    books.write(1)
    assert books.chains == [folder]
    assert books.faults() == []


def test_a_chain_of_another_machine_is_left_alone(books: Books) -> None:
    """A folder that was copied has a chain that goes on elsewhere."""
    books.write(1)
    before = books.lines()
    (books.folder / "machine").write_text("f" * 32)
    books.write(1)
    assert len(books.chains) == 2
    former = next(path for path in books.folder.glob("*/*.jsonl") if books.lines(path) == before)
    assert former.parent in books.chains


def test_a_store_that_does_not_answer_leaves_the_chain_free(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it does the same chain is gone on with."""
    books.write(1)

    def silent(chain_id: str) -> Any:
        raise StoreUnavailableError("the key store does not answer")

    with books.opened() as log:
        with monkeypatch.context() as patched:
            patched.setattr(books.provider.store, "chain", silent)
            with pytest.raises(StoreUnavailableError):
                log.record(used())
        assert log.record(used()) == 4
    assert len(books.chains) == 1


def test_a_chain_that_the_store_cannot_take_leaves_nothing_behind(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does each try make a folder."""

    def silent(*_: object) -> None:
        raise StoreUnavailableError("the key store does not answer")

    with books.opened() as log:
        with monkeypatch.context() as patched:
            patched.setattr(books.provider.store, "register_chain", silent)
            for _ in range(3):
                with pytest.raises(StoreUnavailableError):
                    log.record(used())
        assert books.chains == []
        log.record(used())
    assert len(books.chains) == 1


def test_a_new_chain_that_somebody_else_took_meanwhile_is_his(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks for a free chain may find it before its maker has locked it."""
    calls: list[int] = []
    really = fcntl.flock

    def first_is_taken(descriptor: int, how: int) -> None:
        if how & fcntl.LOCK_NB and not calls:  # the store's own locks wait
            calls.append(descriptor)
            raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK))
        really(descriptor, how)

    with books.opened() as log:
        with monkeypatch.context() as patched:
            patched.setattr(fcntl, "flock", first_is_taken)
            log.open()
        log.record(used())
    assert len(books.chains) == 2
    assert books.faults() == []


def test_an_outcome_that_cannot_be_found_out_leaves_the_chain_free(books: Books) -> None:
    """Open intents are asked for again; nothing is recorded before they are settled."""

    def crash() -> None:
        books.log().now("key.rotate", "intent", key="orders", mark="a", former="b")

    killed(crash)
    length = len(books.lines())

    def silent(intents: list[dict[str, Any]]) -> list[Event]:
        raise StoreUnavailableError("the key store does not answer")

    with books.opened(resolve=silent) as log, pytest.raises(StoreUnavailableError):
        log.record(used())
    assert len(books.records()) >= length

    def known(intents: list[dict[str, Any]]) -> list[Event]:
        return [Event("key.rotate", "done", intent=each["sequence"]) for each in intents]

    for _ in range(2):
        with books.opened(resolve=known) as log:
            log.record(used())
    assert [each["outcome"] for each in books.records_of("key.rotate")] == ["done", "intent"]
    assert len(books.chains) == 1


def test_what_a_child_is_left_with_is_a_log_of_its_own(books: Books) -> None:
    """What runs after a fork lets go of the parent's chain, if there is one."""
    with books.opened() as log:
        log.record(used())
        log._leave()
        assert log.stats.pending == 0
        assert log.record(used()) > 0
    books.log()._leave()
    assert books.faults() == []


def test_text_that_is_not_unicode_is_refused(books: Books) -> None:
    """Nobody could read the record again; the chain stays whole."""
    with books.opened() as log:
        with pytest.raises(InvalidInputError, match="Unicode"):
            log.record(Event("encrypt", "ok", reference="\ud800"))
        log.record(used())
    assert books.faults() == []


def test_reading_from_the_end_stops_at_what_is_longer_than_any_line(
    books: Books, tmp_path: Path
) -> None:
    """Memory is bounded, whatever somebody put into a file."""
    books.write(1)
    path = tmp_path / "long"
    path.write_bytes(b"x" * (LINE_BYTES + 100_000) + b"\n" + b"".join(books.lines()))
    assert [line.sequence for line in backwards(path)] == [2, 1]
    path.write_bytes(b"".join(books.lines()) + b"x" * (3 * LINE_BYTES))
    assert list(backwards(path)) == []


def test_records_that_were_moved_are_told_each(books: Books) -> None:
    """Several of them, and to several places."""
    books.write(5)
    books.tamper(lambda lines: [lines[0], lines[2], lines[4], lines[3], lines[1], lines[5]])
    assert books.faults() == [
        (2, "reordered: it stands behind 5"),
        (4, "reordered: it stands behind 5"),
    ]


def test_a_chain_whose_folder_was_removed_is_missed(books: Books) -> None:
    """Another one is begun, and the store remembers the former."""
    books.write(1)
    shutil.rmtree(books.chain)
    books.write(1)
    assert len(books.chains) == 1
    assert [what for _, what in books.faults()] == ["the whole chain is missing"]
