"""Files that are rewrapped: in the place of the one that was read, and of no other."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.files import (
    FileReport,
    groups,
    heads,
    listing,
    replacing,
    rewrap_file,
    rewrap_paths,
)
from mycelium_fractal_net.files.replacing import settled_status
from mycelium_fractal_net.files.single import rewrap_to
from mycelium_fractal_net.security.errors import ConflictError, KeyStateError
from tests.support.cli import environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.files.new_file import NewFile
    from mycelium_fractal_net.security.keyring.keyring import Keyring


@pytest.fixture
def old(keyring: Keyring, tmp_path: Path) -> Path:
    """A file under the first version of a key that has two, not touched for a while."""
    return write_old(keyring, tmp_path / "f", "old.mfn")[0]


def write_old(keyring: Keyring, folder: Path, *names: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    made = [folder / name for name in names]
    for path in made:
        path.write_bytes(keyring.encrypt(os.fsencode(path.name), key_id="orders"))
    keyring.provider.rotate_key("orders")
    keyring.refresh()
    return made


def version_of(keyring: Keyring, path: Path) -> int:
    return keyring.describe(path.read_bytes()).version


def ready(keyring: Keyring, path: Path) -> NewFile:
    output = rewrap_to(keyring, path)
    assert output is not None
    return output


def only(path: Path) -> bool:
    """Whether nothing else is in its folder."""
    return [each.name for each in path.parent.iterdir()] == [path.name]


# Beside one writer, step by step -----------------------------------------------------------------


def replace(path: Path, content: bytes) -> None:
    """As editors and careful programs write."""
    other = path.with_name("writer.tmp")
    other.write_bytes(content)
    other.replace(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: replace(path, b"newer"),
        lambda path: path.write_bytes(b"newer"),
        lambda path: path.chmod(0o600 if path.stat().st_mode & 0o777 != 0o600 else 0o640),
        lambda path: os.utime(path, ns=(1, 1)),
        lambda path: path.unlink(),
    ],
    ids=["renamed over", "written to", "mode", "time", "removed"],
)
def test_what_was_changed_after_it_was_read_is_left(
    keyring: Keyring, old: Path, change: Callable[[Path], None]
) -> None:
    """Content, mode, times, or that it is gone."""
    output = ready(keyring, old)
    change(old)
    before = [(each.name, each.read_bytes(), each.stat()) for each in old.parent.iterdir()]
    with pytest.raises(ConflictError, match="changed meanwhile"):
        output.publish(force=True)
    output.discard()
    after = [(each.name, each.read_bytes(), each.stat()) for each in old.parent.iterdir()]
    for was, now in zip(before, after, strict=True):
        assert was[:2] == now[:2]
        assert was[2].st_ino == now[2].st_ino
        assert (was[2].st_mode, was[2].st_mtime_ns) == (now[2].st_mode, now[2].st_mtime_ns)


def test_nothing_is_replaced_that_is_open_for_writing(keyring: Keyring, old: Path) -> None:
    """Whoever has it open may write at any moment."""
    before = old.read_bytes()
    with old.open("r+b"), pytest.raises(ConflictError, match="open for writing"):
        rewrap_file(keyring, old)
    assert old.read_bytes() == before
    assert only(old)
    assert rewrap_file(keyring, old)


def test_nothing_is_replaced_that_another_program_has_locked(keyring: Keyring, old: Path) -> None:
    """By flock: whoever works with the file by agreement."""
    with old.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ConflictError):
            rewrap_file(keyring, old)
    assert rewrap_file(keyring, old)


def test_an_update_that_came_out_of_the_place_goes_back(
    keyring: Keyring, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Renamed there between the last look and the change of places."""
    really = replacing._exchange
    output = ready(keyring, old)

    def late(one: Path, other: Path) -> None:
        if old.read_bytes() != b"newer" and one != old:
            replace(old, b"newer")
        really(one, other)

    monkeypatch.setattr(replacing, "_exchange", late)
    with pytest.raises(ConflictError, match="changed meanwhile"):
        output.publish(force=True)
    output.discard()
    assert old.read_bytes() == b"newer"
    assert only(old)


def test_of_two_updates_the_last_stays(
    keyring: Keyring, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One comes out, and while it goes back the next is renamed over ours."""
    really = replacing._exchange
    output = ready(keyring, old)
    updates = [b"first", b"second", b"third"]

    def late(one: Path, other: Path) -> None:
        if updates:
            replace(old, updates.pop(0))
        really(one, other)

    monkeypatch.setattr(replacing, "_exchange", late)
    with pytest.raises(ConflictError, match="changed meanwhile"):
        output.publish(force=True)
    output.discard()
    assert (updates, old.read_bytes()) == ([], b"third")
    assert only(old)


def test_what_is_removed_while_an_update_goes_back_stays_removed(
    keyring: Keyring, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last that happened to the name was its end."""
    really = replacing._exchange
    output = ready(keyring, old)
    calls: list[int] = []

    def late(one: Path, other: Path) -> None:
        calls.append(1)
        replace(old, b"newer") if len(calls) == 1 else old.unlink()
        really(one, other)

    monkeypatch.setattr(replacing, "_exchange", late)
    with pytest.raises(ConflictError, match="changed meanwhile"):
        output.publish(force=True)
    output.discard()
    assert list(old.parent.iterdir()) == []


def test_who_opens_the_old_file_at_the_last_moment_writes_to_the_one_that_stays(
    keyring: Keyring, old: Path
) -> None:
    """He had looked the name up before the change of places, and is noticed after it."""
    output = ready(keyring, old)
    assert output.publish(force=True) is False
    (hidden,) = old.parent.glob(".*.mfn-partial")
    # Where the old file is now, since who has looked up the name before comes to it.
    with pytest.raises(BlockingIOError):  # who would wait does; this one does not
        os.open(hidden, os.O_WRONLY | os.O_NONBLOCK)
    with pytest.raises(ConflictError, match="changed meanwhile"):
        output.settle()
    output.discard()
    assert version_of(keyring, old) == 1
    assert only(old)
    assert rewrap_file(keyring, old)


@pytest.mark.parametrize("write", [False, True])
def test_an_interrupt_between_the_two_steps_leaves_one_whole_file(
    keyring: Keyring, old: Path, write: bool
) -> None:
    """The new one; or the old one where somebody wrote to it."""
    output = ready(keyring, old)
    output.publish(force=True)
    if write:
        (hidden,) = old.parent.glob(".*.mfn-partial")
        with pytest.raises(BlockingIOError):
            os.open(hidden, os.O_WRONLY | os.O_NONBLOCK)
    output.discard()
    assert version_of(keyring, old) == (1 if write else 2)
    assert only(old)


def test_a_group_that_is_interrupted_is_settled(
    keyring: Keyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the millisecond between: no hidden name is left."""
    paths = write_old(keyring, tmp_path / "f", *(f"{n}.mfn" for n in range(20)))

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"{groups.__name__}.time.sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        rewrap_paths(keyring, [tmp_path / "f"], workers=1)
    monkeypatch.undo()
    assert {path.name for path in (tmp_path / "f").iterdir()} == {path.name for path in paths}
    assert {version_of(keyring, path) for path in paths} <= {1, 2}
    assert rewrap_paths(keyring, [tmp_path / "f"]).failures == 0


def test_without_leases_and_exchange_what_changed_is_seen_by_its_status(
    keyring: Keyring, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on network file systems."""

    def refuse(*_: object) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(replacing, "_exchange", refuse)
    monkeypatch.setattr(f"{replacing.__name__}.fcntl.fcntl", refuse)
    output = ready(keyring, old)
    update = keyring.encrypt(b"newer", key_id="orders")
    replace(old, update)
    with pytest.raises(ConflictError, match="changed meanwhile"):
        output.publish(force=True)
    output.discard()
    assert old.read_bytes() == update
    (again,) = write_old(keyring, old.parent, "again.mfn")
    assert rewrap_file(keyring, again)
    assert version_of(keyring, again) == 3
    assert {path.name for path in old.parent.iterdir()} == {"old.mfn", "again.mfn"}


def test_an_error_of_the_exchange_itself_leaves_the_old_file(
    keyring: Keyring, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, for one."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(replacing, "_exchange", full)
    with pytest.raises(OSError, match="No space"):
        rewrap_file(keyring, old)
    assert version_of(keyring, old) == 1
    assert only(old)


def test_nothing_is_read_that_was_changed_within_one_tick(tmp_path: Path) -> None:
    """Its next change could bear the same time; what never rests is left alone."""
    path = tmp_path / "file"
    path.touch()
    with path.open("rb") as file:
        began = time.time_ns()
        status = settled_status(file.fileno())
        assert time.time_ns() - status.st_ctime_ns >= 20_000_000 > 0
        assert time.time_ns() - began < 10**9


def test_what_is_written_all_the_time_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After ten looks."""
    path = tmp_path / "file"
    path.touch()
    monkeypatch.setattr(f"{replacing.__name__}.time.sleep", lambda _: path.touch())
    with path.open("rb") as file, pytest.raises(ConflictError, match="all the time"):
        settled_status(file.fileno())


# Beside a writer who never rests ------------------------------------------------------------------

_WRITER = """
import os, sys, time
from pathlib import Path
from mycelium_fractal_net import open_keyring
home, folder, how = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
stop = folder.with_name("stop")
written, count, lost = {}, 0, 0
with open_keyring(home=home) as keyring:
    print("ready", flush=True)
    while not stop.exists():
        path = folder / f"{count % 12}.mfn"
        if path in written and keyring.decrypt(path.read_bytes()) != written[path]:
            lost += 1
        data = str(count).encode()
        message = keyring.encrypt(data, key_id="orders")
        if how == "rename":
            other = folder / "writer.tmp"
            other.write_bytes(message)
            other.replace(path)
        else:
            with path.open("r+b", buffering=0) as file:
                file.write(message)
                file.truncate()
        written[path] = data
        count += 1
        time.sleep(0.004)
    for path, data in written.items():
        lost += keyring.decrypt(path.read_bytes()) != data
print(count, lost)
"""


@pytest.mark.parametrize("how", ["rename", "in place"])
def test_a_writer_beside_a_rewrap_loses_no_update(tmp_path: Path, how: str) -> None:
    """A process that writes the same files throughout, each time after a look at its last update.

    The key is rotated again and again, so that there is always something to move.
    """
    from mycelium_fractal_net import initialise

    home, folder = tmp_path / "home", tmp_path / "f"
    folder.mkdir()
    with initialise(home=home) as keyring:
        keyring.provider.keys.create("orders")
        for number in range(12):
            message = keyring.encrypt(b"first", key_id="orders")
            (folder / f"{number}.mfn").write_bytes(message)
        command = [sys.executable, "-c", _WRITER, str(home), str(folder), how]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            moved = 0
            end = time.monotonic() + 1.5
            while time.monotonic() < end or (moved == 0 and time.monotonic() < end + 20):
                keyring.provider.rotate_key("orders")
                keyring.refresh()
                moved += rewrap_paths(keyring, [folder]).done
            (tmp_path / "stop").touch()
            count, lost = map(int, writer.stdout.read().split())
    assert lost == 0
    assert count > 20
    assert moved > 0
    assert {path.suffix for path in folder.iterdir()} <= {".mfn", ".tmp"}


# Any number of files ------------------------------------------------------------------------------


def test_files_and_folders_are_taken_once_each(keyring: Keyring, tmp_path: Path) -> None:
    """Also those that are named twice, through a link, or lie in one another."""
    folder = tmp_path / "f"
    write_old(keyring, folder / "in", "1.mfn", "2.mfn")
    write_old(keyring, tmp_path, "single")
    (tmp_path / "link").symlink_to("single")
    paths = [folder, folder / "in", folder, tmp_path / "single", tmp_path / "link"]
    assert len(list(heads(keyring, paths))) == 3
    seen: list[int] = []
    report = rewrap_paths(keyring, paths, progress=seen.append)
    assert (report.done, report.skipped, report.failures, sum(seen)) == (3, 0, 0, 3)


def test_a_path_that_is_not_there_is_an_error_before_anything_is_done(
    keyring: Keyring, old: Path
) -> None:
    """Otherwise a typing error would look like a rewrap of everything."""
    with pytest.raises(FileNotFoundError):
        rewrap_paths(keyring, [old, old.with_name("absent")])
    assert version_of(keyring, old) == 1


def test_a_report_keeps_a_hundred_and_counts_all(keyring: Keyring, tmp_path: Path) -> None:
    """Each failure is handed out as it comes; what is kept is bounded."""
    folder = tmp_path / "f"
    folder.mkdir()
    for number in range(130):
        (folder / f"{number}.mfn").write_bytes(b"MFN\x01" + bytes(100))
        (folder / f"{number}.txt").touch()
    told: list[tuple[str, str]] = []
    report = FileReport(on_failure=lambda path, reason: told.append((path, reason)))
    rewrap_paths(keyring, [folder], report=report)
    assert (report.failures, report.others) == (130, 130)
    assert (len(report.failed), len(report.passed_over)) == (100, 100)
    assert {name for name, _ in told} == {str(folder / f"{n}.mfn") for n in range(130)}


def test_names_beyond_the_bound_wait_in_a_file(
    keyring: Keyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever bytes they have; and none is left out where one block ends in a name."""
    monkeypatch.setattr(listing, "_MEMORY_BYTES", 100)
    monkeypatch.setattr(listing, "_BLOCK", 7)
    names = [f"{number}.mfn" for number in range(50)]
    names += [os.fsdecode(b"\xff\n\xfe.mfn"), "n" * 251 + ".mfn"]
    write_old(keyring, tmp_path / "f", *names)
    write_old(keyring, tmp_path / "f" / "deep", "inner.mfn")
    assert rewrap_paths(keyring, [tmp_path / "f"]).done == len(names) + 1


def test_a_file_that_two_runs_meet_is_tried_again(
    keyring: Keyring, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Open for writing at first, free by the third time."""
    writer = old.open("r+b")
    really = groups.SyncGroup.publish
    tries: list[int] = []

    def publish(self: groups.SyncGroup) -> object:
        if self._files:
            tries.append(1)
            if len(tries) == 3:
                writer.close()
        return really(self)

    monkeypatch.setattr(groups.SyncGroup, "publish", publish)
    report = rewrap_paths(keyring, [old.parent])
    assert (len(tries), report.done, report.failures) == (3, 1, 0)


def test_leftovers_beside_a_file_that_is_named_go(keyring: Keyring, old: Path) -> None:
    """As those in a folder do."""
    old.with_name(".old.mfn.0123abcd.mfn-partial").touch()
    assert rewrap_paths(keyring, [old]).done == 1
    assert only(old)


def test_a_finished_rewrap_is_of_the_version_that_all_was_moved_to(
    keyring: Keyring, old: Path
) -> None:
    """Rotated meanwhile, what was moved is under an older version itself."""
    assert rewrap_paths(keyring, [old], finishing="orders").failures == 0
    keyring.provider.rotate_key("orders")
    with pytest.raises(KeyStateError, match="rotated meanwhile"):
        keyring.provider.retirement.record_rewrap("orders", reason="all", newest=2)
    key = keyring.provider.keys.get("orders")
    assert [version.rewrapped_at for version in key.versions] == [None] * 3
    assert rewrap_paths(keyring, [old], finishing="orders").failures == 0
    key = keyring.provider.retirement.record_rewrap("orders", reason="all", newest=3)
    assert [version.rewrapped_at is None for version in key.versions] == [False, False, True]
