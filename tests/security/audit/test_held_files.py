"""Files that somebody deletes, renames, replaces or cuts while a process writes them."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.audit import AuditLog, Event
from mycelium_fractal_net.security.audit.folders import lock_chain
from mycelium_fractal_net.security.audit.segment_file import SegmentFile
from mycelium_fractal_net.security.errors import AuditUnavailableError
from tests.support.audit import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.audit import Books


@pytest.fixture
def log(books: Books, monkeypatch: pytest.MonkeyPatch) -> Iterator[AuditLog]:
    """A log that looks at names with each record, and has one durable record of a use."""
    monkeypatch.setattr("mycelium_fractal_net.security.audit.segment_file._LOOK_SECONDS", 0.0)
    monkeypatch.setattr("mycelium_fractal_net.security.audit.writer._LOOK_SECONDS", 0.0)
    monkeypatch.setattr("mycelium_fractal_net.security.audit.writer._RETRY_SECONDS", (0.01,))
    with books.opened() as opened:
        opened.record(Event("encrypt", "ok", key="orders:v1"))
        yield opened


def delete(path: Path) -> None:
    """As a cleaning script would."""
    path.unlink()


def rename(path: Path) -> None:
    """As whoever rotates logs would."""
    path.rename(path.with_suffix(".1"))


def replace(path: Path) -> None:
    """As an editor would."""
    shutil.copy(path, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def truncate(path: Path) -> None:
    """As whoever makes room would."""
    os.truncate(path, 0)


def lengthen(path: Path) -> None:
    """As whoever writes into it would."""
    with path.open("ab") as file:
        file.write(b"\n")


@pytest.mark.parametrize(
    "change", [delete, rename, replace, truncate, lengthen], ids=lambda f: f.__name__
)
def test_a_record_is_never_written_where_nobody_looks(
    books: Books,
    log: AuditLog,
    change: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The segment is given up, which is logged and counted; another holds what is acknowledged."""
    (path,) = books.files
    change(path)
    assert log.record(Event("decrypt", "ok", key="orders:v1")) == 3
    assert log.record(Event("decrypt", "ok", key="orders:v1")) == 4
    (new,) = [each for each in books.files if each.name != path.name]
    assert [b'"sequence":%d,' % number in line for number, line in
            zip((3, 4), books.lines(new), strict=True)] == [True, True]  # fmt: skip
    assert log.stats.segments_abandoned == 1
    assert log.healthy
    assert "an audit segment was given up" in caplog.text


@pytest.mark.parametrize("lost", [0, 1], ids=["the reserve", "a record"])
def test_a_segment_that_is_cut_within_its_reserve_is_given_up(
    books: Books, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    """What comes next stands in another; a record that was acknowledged and cut off is missed."""
    monkeypatch.setattr("mycelium_fractal_net.security.audit.segment_file._RESERVE_FROM_BYTES", 1)
    with books.opened() as log:
        for _ in range(5):
            log.record(Event("encrypt", "ok", key="orders:v1"))
        (path,) = books.files
        lines = books.lines(path)
        assert path.stat().st_size > sum(map(len, lines)), "there is a reserve"
        os.truncate(path, sum(map(len, lines[: len(lines) - lost])))
        assert log.record(Event("decrypt", "ok", key="orders:v1")) == len(lines) + 1
        assert log.stats.segments_abandoned == 1
        new = books.lines(books.files[1])
        assert [b'"sequence":%d,' % (len(lines) + 1) in line for line in new] == [True]
    assert [sequence for sequence, _ in books.faults()] == [len(lines)] * lost


def test_a_segment_that_is_deleted_while_it_is_written_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits in vain; where each is deleted at once, nothing is acknowledged."""
    file = SegmentFile(tmp_path, None, 1 << 30)
    sync = os.fdatasync
    deleted: list[Path] = []

    def deleting(descriptor: int) -> None:
        sync(descriptor)
        if len(deleted) < most:
            deleted.extend(tmp_path.iterdir())
            deleted[-1].unlink()

    monkeypatch.setattr(os, "fdatasync", deleting)
    most = 1
    assert file.write([b"a line\n"], 1)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"a line\n"]
    most = 3
    assert not file.write([b"a line\n"], 2)
    assert file.write([b"a line\n"], 2)
    assert file.given_up == 3


def test_a_lock_that_was_deleted_is_taken_again(
    books: Books, log: AuditLog, caplog: pytest.LogCaptureFixture
) -> None:
    """Else the next process would write the same chain."""
    (books.chain / "lock").unlink()
    log.record(Event("decrypt", "ok"))
    assert "the lock of audit chain" in caplog.text
    assert lock_chain(books.chain) is None
    assert books.faults() == []


def test_a_chain_whose_lock_somebody_else_took_is_not_written(
    books: Books, log: AuditLog, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is acknowledged until the lock is free again."""
    (books.chain / "lock").unlink()
    taken = lock_chain(books.chain)
    assert taken is not None
    for _ in range(2):
        with pytest.raises(AuditUnavailableError):
            log.record(Event("decrypt", "ok"))
    assert caplog.text.count("is lost") == 1
    os.close(taken)
    until(lambda: log.healthy)
    log.record(Event("decrypt", "ok"))


def test_a_chain_that_somebody_else_wrote_meanwhile_is_never_gone_on_with(
    books: Books, log: AuditLog
) -> None:
    """Two processes that write one chain would look like tampering."""
    (books.chain / "lock").unlink()
    books.write(1, segment_bytes=1)
    with pytest.raises(AuditUnavailableError):
        log.record(Event("decrypt", "ok"))
    assert not log.healthy


def test_a_chain_whose_folder_is_gone_is_not_written(books: Books, log: AuditLog) -> None:
    """Until it is back."""
    chain = books.chain
    chain.rename(books.folder / "away")
    with pytest.raises(AuditUnavailableError):
        log.record(Event("decrypt", "ok"))
    (books.folder / "away").rename(chain)
    until(lambda: log.healthy)
    log.record(Event("decrypt", "ok"))
    assert books.faults() == []
