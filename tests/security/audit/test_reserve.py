"""The reserve: zeros that a busy process writes ahead of its lines."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.audit import Event
from mycelium_fractal_net.security.audit.segment_file import SegmentFile
from mycelium_fractal_net.security.audit.segments import backwards

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.audit import Books

MIB = 1 << 20


def used(number: int) -> Event:
    return Event("encrypt", "ok", key=f"orders:v{number}", reference="x" * 150)


def sizes(path: Path) -> tuple[int, int]:
    """The bytes of a segment, and those of its lines."""
    content = path.read_bytes()
    return len(content), len(content.rstrip(b"\0"))


def test_a_busy_process_writes_ahead_and_cuts_it_off(books: Books) -> None:
    """What reads the segment meanwhile sees its lines, and none that are torn."""
    with books.opened() as log:
        log.record(used(0))
        whole, lines = sizes(books.files[0])
        assert whole == lines
        for number in range(400):
            sequence = log.append(used(number))
        log.wait(sequence)
        whole, lines = sizes(books.files[0])
        assert whole > lines > 65_536
        assert next(backwards(books.files[0])).sequence == sequence
        report = books.verified()
        assert (report.records, report.faults) == (sequence, [])
        assert report.chains[0].torn_bytes == 0
    whole, lines = sizes(books.files[0])
    assert whole == lines
    books.write(1)
    assert len(books.files) == 1
    assert books.faults() == []


def test_a_reserve_that_a_crash_left_is_no_torn_end(books: Books) -> None:
    """The next process goes on in a segment of its own; no record tells of torn bytes."""
    books.write(3)
    with books.files[0].open("ab") as file:
        file.write(bytes(2 * MIB + 5))
    assert books.verified().chains[0].torn_bytes == 0
    assert next(backwards(books.files[0])).sequence == 4
    books.write(1)
    assert not books.records_of("audit.torn")
    assert books.verified().records == 6
    assert books.faults() == []


def test_a_child_cuts_off_nothing(books: Books) -> None:
    """The segment is its parent's, and so are the lines to come."""
    with books.opened() as log:
        for number in range(400):
            sequence = log.append(used(number))
        log.wait(sequence)
        before = sizes(books.files[0])[0]
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
        assert sizes(books.files[0])[0] == before
        log.record(used(1))
    assert books.faults() == []


def test_where_there_is_no_room_for_a_reserve_lines_are_written_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is nearly full takes records to its last block."""
    file = SegmentFile(tmp_path, None, 1 << 30)
    write = os.pwrite

    def refusing(descriptor: int, content: bytes, offset: int) -> int:
        if len(content) > MIB:
            raise OSError(28, "No space left on device")
        return write(descriptor, content, offset)

    monkeypatch.setattr(os, "pwrite", refusing)
    line = b"x" * 999 + b"\n"
    assert all(file.write([line] * 10, 1 + 10 * number) for number in range(20))
    (path,) = tmp_path.iterdir()
    assert sizes(path) == (200_000, 200_000)
    monkeypatch.undo()
    assert all(file.write([line] * 100, 201 + 100 * number) for number in range(12))
    assert sizes(path)[0] > sizes(path)[1] == 1_400_000
    file.close()
    assert sizes(path) == (1_400_000, 1_400_000)


def test_an_empty_segment_has_no_lines(tmp_path: Path) -> None:
    """Nor has one of zeros alone."""
    for content in (b"", bytes(100_000)):
        path = tmp_path / "segment"
        path.write_bytes(content)
        assert list(backwards(path)) == []
