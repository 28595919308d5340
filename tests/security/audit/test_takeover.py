"""Chains whose process is gone: gone on with after a crash, left alone after tampering."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.audit import Event
from mycelium_fractal_net.security.audit.segments import LINE_BYTES
from tests.support.audit import Books
from tests.support.killed import killed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TORN = b'{"sequence":99,"time":"2026-'


def used(number: int = 1) -> Event:
    """The record of a use of the key ``orders``."""
    return Event("encrypt", "ok", key=f"orders:v{number}", actor="caller")


def crash(books: Books, count: int, **options: int) -> None:
    """A process records ``count`` uses, each durable, and is killed."""

    def work() -> None:
        log = books.log(**options)
        for number in range(count):
            log.record(used(number))

    killed(work)


def sequences(path: Path) -> list[int]:
    """Of the lines of a segment."""
    return [int(line.split(b":", 2)[1].split(b",")[0]) for line in path.read_bytes().splitlines()]


@pytest.fixture
def crashed(books: Books) -> Books:
    """A chain of which the store knows three records; a killed process wrote four more."""
    books.write(2)
    crash(books, 3)
    return books


def test_what_a_killed_process_recorded_stays(crashed: Books) -> None:
    """The next one goes on behind it, in the same chain."""
    assert crashed.verified().chains[0].past_anchor == 4
    crashed.write(1)
    assert crashed.verified().records == 9
    assert crashed.faults() == []


def test_what_lies_past_the_anchor_is_written_again(crashed: Books) -> None:
    """A sync may have failed in the process that is gone: only another file can be trusted."""
    (former,) = crashed.files
    before = former.read_bytes()
    crashed.write(1)
    again, new = crashed.files[1:]
    assert former.read_bytes() == before
    assert sequences(again) == [4, 5, 6, 7]
    assert again.read_bytes() == b"".join(before.splitlines(keepends=True)[3:])
    assert again.stat().st_mode & 0o777 == 0o600
    assert sequences(new) == [8, 9]


def test_several_segments_past_the_anchor_are_all_written_again(books: Books) -> None:
    """Each beside the one it repeats; none of their records is lost."""
    books.write(1)
    crash(books, 4, segment_bytes=1)
    assert len(books.files) == 6
    books.write(1)
    assert books.verified().records == 9
    assert [path.name[-10:-6] for path in books.files[1:-1]] == ["0000", "0001"] * 5
    assert books.faults() == []


@pytest.mark.parametrize(
    "torn", [TORN, b"{" + b"\0" * 4096, TORN + b"\0" * 4096 + b'"}\n', b"{}\n\0"]
)
def test_a_torn_end_is_cut_and_recorded(crashed: Books, torn: bytes) -> None:
    """A write that was cut off, or blocks that never reached the disk; the bytes stay there."""
    with crashed.files[0].open("ab") as file:
        file.write(torn)
    assert crashed.verified().chains[0].torn_bytes == len(torn)
    assert crashed.faults() == []
    crashed.write(1)
    (record,) = crashed.records_of("audit.torn")
    assert record["bytes"] == len(torn)
    assert crashed.faults() == []
    assert crashed.files[0].read_bytes().endswith(torn)


def test_a_torn_end_alone_is_cut_too(books: Books) -> None:
    """Where nothing whole lies past the anchor."""
    books.write(2)
    with books.files[0].open("ab") as file:
        file.write(TORN)
    books.write(1)
    assert sequences(books.files[1]) == [4, 5, 6]
    assert books.faults() == []


def edit(lines: list[bytes]) -> list[bytes]:
    """A record that names another key."""
    return [*lines[:4], lines[4].replace(b"orders:v0", b"orders:v7"), *lines[5:]]


def add(lines: list[bytes]) -> list[bytes]:
    """A record that somebody without the audit key wrote."""
    return [*lines, lines[-1].replace(b'"sequence":7', b'"sequence":8')]


def shorten(lines: list[bytes]) -> list[bytes]:
    """Records that the store was told of are missing at the end."""
    return lines[:2]


def drop(lines: list[bytes]) -> list[bytes]:
    """A record past the anchor is missing between others."""
    return lines[:4] + lines[5:]


def replace_anchored(lines: list[bytes]) -> list[bytes]:
    """The anchored record is another one."""
    return [*lines[:2], lines[2].replace(b'"mac":"', b'"mac":"0')[:-4] + b'"}\n', *lines[3:]]


def empty(lines: list[bytes]) -> list[bytes]:
    """Nothing is left."""
    return lines[:0]


def lengthen(lines: list[bytes]) -> list[bytes]:
    """A line that no release would write, before more lines."""
    return [*lines, b"x" * (LINE_BYTES + 1) + b"\n", lines[-1]]


@pytest.mark.parametrize(
    "change",
    [edit, add, shorten, drop, replace_anchored, empty, lengthen],
    ids=lambda f: f.__name__,
)
def test_a_chain_that_was_tampered_with_is_left_as_it_is(
    crashed: Books,
    change: Callable[[list[bytes]], list[bytes]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nobody's next record buries what was done to it; a new chain is begun."""
    crashed.tamper(change)
    (path,) = crashed.files
    former, before = crashed.chain.name, path.read_bytes()
    crashed.write(1)
    assert path.read_bytes() == before
    assert len(crashed.chains) == 2
    assert "tampered with" in caplog.text
    assert {fault.chain for fault in crashed.verified().faults} == {former}


@pytest.mark.parametrize("which", [0, 1, 2])
def test_a_chain_that_misses_a_segment_is_left_alone(books: Books, which: int) -> None:
    """The first, the one with the anchored record, and one past it."""
    books.write(1)
    crash(books, 3, segment_bytes=1)
    former = books.chain
    books.files[which].unlink()
    books.write(1)
    assert len(books.chains) == 2
    assert {fault.chain for fault in books.verified().faults} == {former.name}


def test_an_empty_last_segment_is_no_tampering(crashed: Books) -> None:
    """A process was killed before it wrote its first record there."""
    (crashed.chain / f"{8:020d}-0000.jsonl").touch(mode=0o600)
    crashed.write(1)
    assert crashed.verified().records == 9
    assert crashed.faults() == []


def test_a_torn_end_that_the_next_segment_repeats_does_not_count(crashed: Books) -> None:
    """It is what a failed write leaves in the segment that was given up."""
    whole = crashed.files[0].read_bytes().splitlines(keepends=True)
    (crashed.chain / f"{6:020d}-0000.jsonl").write_bytes(b"".join(whole[5:]))
    crashed.tamper_with(0, [*whole[:6], TORN])
    assert crashed.faults() == []
    crashed.write(1)
    assert crashed.verified().records == 9
    assert crashed.faults() == []


def test_a_crash_while_it_is_written_again_leaves_nothing_behind(crashed: Books) -> None:
    """The half-written file has no name that counts, and goes."""
    half = crashed.chain / ".again-0011223344556677"
    half.write_bytes(crashed.files[0].read_bytes()[:100])
    crashed.write(1)
    assert not half.exists()
    assert crashed.faults() == []


def test_a_crash_right_after_the_store_was_told_of_a_new_chain(books: Books) -> None:
    """The chain has no record yet; it is begun by the next process."""

    def work() -> None:
        from mycelium_fractal_net.security.audit.chain import ChainKey
        from mycelium_fractal_net.security.audit.locked_chain import lock_free_chain

        provider = books.provider
        key, store_id = provider.audit_keys.mac(), provider.store_id
        lock_free_chain(books.folder, provider.store, ChainKey(store_id, key))

    killed(work)
    assert books.files == []
    books.write(1)
    assert len(books.chains) == 1
    assert books.verified().records == 2
    assert books.faults() == []


def test_an_unacknowledged_record_may_go_and_an_acknowledged_one_never(books: Books) -> None:
    """A process under load is killed: whatever it was told is durable is there."""
    reading, writing = os.pipe()

    def work() -> None:
        log = books.log()
        for number in range(2000):
            sequence = log.append(used(number))
            if number % 7 == 0:
                log.wait(sequence)
                os.write(writing, b"%d\n" % sequence)

    killed(work)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        told = int(file.read().split()[-1])
    books.write(1)
    assert [record["sequence"] for record in books.records()][:told] == list(range(1, told + 1))
    assert books.faults() == []
