"""Files that are written to while they are sealed, runs that meet, and names that are too long."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.files import seal_file, seal_tree
from mycelium_fractal_net.files.single import unchanging
from mycelium_fractal_net.security.errors import ExitCode, FileBusyError
from tests.support.cli import Mfn, one_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mycelium_fractal_net.security.keyring.keyring import Keyring

CONTENT = os.urandom(3 << 20)


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(1 << 20)
        file.write(b"other")


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"one more line")


def replace(path: Path) -> None:
    new = path.with_name("new")
    new.write_bytes(CONTENT)
    new.replace(path)


CHANGES: list[Callable[[Path], None]] = [
    overwrite,
    append,
    replace,
    lambda path: os.truncate(path, 1 << 20),
    lambda path: path.unlink(),
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Of some blocks."""
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    return path


def once(change: Callable[[Path], None], path: Path) -> Callable[[int], None]:
    """Changes the file when the first block of it was read."""
    todo = [path]

    def progress(_: int) -> None:
        if todo:
            change(todo.pop())

    return progress


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_while_it_is_sealed_is_an_error(
    keyring: Keyring, source: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    """Nothing is kept of what never was there as a whole, and what stood there stays."""
    target = tmp_path / "out"
    target.write_bytes(b"older")
    with pytest.raises(FileBusyError, match="changed while it was read, and nothing was kept"):
        seal_file(
            keyring, source, target, key_id="orders", force=True, progress=once(change, source)
        )
    assert target.read_bytes() == b"older"
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name]


@pytest.mark.parametrize("change", CHANGES)
def test_it_may_change_where_that_is_allowed(
    keyring: Keyring, source: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    """A log is sealed as far as it was read."""
    progress = once(change, source)
    size = seal_file(
        keyring, source, tmp_path / "out", key_id="orders", allow_changing=True, progress=progress
    )
    assert len(keyring.decrypt((tmp_path / "out").read_bytes())) == size


def test_a_change_within_one_tick_of_the_clock_shows(source: Path) -> None:
    """What was written just now is waited for: the next change has another time for sure."""
    for _ in range(20):
        with source.open("rb") as reader:
            overwrite(source)
            with pytest.raises(FileBusyError), unchanging(reader, source):
                overwrite(source)


def test_a_name_or_a_mode_that_changes_is_no_change(source: Path) -> None:
    """The content is what was read."""
    with source.open("rb") as reader, unchanging(reader, source):
        source.chmod(0o600)
        os.link(source, source.with_name("second"))


def test_what_changes_in_a_folder_is_tried_again_and_the_others_are_sealed(
    keyring: Keyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that changes once is sealed then, one that changes all the time is reported."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("calm", "once", "always"):
        (folder / name).write_bytes(name.encode() * 1000)
    encrypt = keyring.encrypt_stream
    seen: list[str] = []

    def meanwhile(*arguments: object, **named: object) -> int:
        count = encrypt(*arguments, **named)  # type: ignore[arg-type]
        name = os.readlink(f"/proc/self/fd/{arguments[0].fileno()}").rsplit("/", 1)[1]  # type: ignore[attr-defined]
        if name == "always" or (name == "once" and name not in seen):
            append(folder / name)
        seen.append(name)
        return count

    monkeypatch.setattr(keyring, "encrypt_stream", meanwhile)
    report = seal_tree(keyring, folder, tmp_path / "out", key_id="orders", workers=1)
    assert (report.done, [path for path, _ in report.failed]) == (2, [str(folder / "always")])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["calm.mfn", "once.mfn"]
    assert seen.count("always") == 3


def test_a_log_that_is_written_to_all_the_time(mfn: Mfn, folder: Path) -> None:
    """The command line says what to do, as a file and as a stream; and --allow-changing does it."""
    (folder / "log").write_bytes(CONTENT)
    writer = os.fork()
    if not writer:
        with contextlib.suppress(BaseException):
            while True:
                append(folder / "log")
        os._exit(0)
    try:
        for more in ((), ("-o", "-", "-q")):
            for _ in range(50):  # on a busy machine the writer may rest for a moment
                ran = mfn("encrypt", "log", *more)
                if ran.code:
                    break
                (folder / "log.mfn").unlink(missing_ok=True)
            told = one_line(ran, ExitCode.WRITE)
            assert "written to all the time" in told or "--allow-changing" in told
            assert not (folder / "log.mfn").exists()
        mfn.ok("encrypt", "log", "--allow-changing")
    finally:
        os.kill(writer, 9)
        os.waitpid(writer, 0)
    mfn.ok("decrypt", "log.mfn", "-o", "back")
    assert (folder / "back").read_bytes().startswith(CONTENT)


def test_a_second_run_into_one_folder_is_no_failure_of_the_store(mfn: Mfn, folder: Path) -> None:
    """Exit code 6, as of what cannot be written, and who is in the way."""
    (folder / "in").mkdir()
    (folder / "in" / "a").write_bytes(b"a")
    (folder / "out").mkdir()
    descriptor = os.open(folder / "out", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    said = one_line(mfn("encrypt", "-r", "in", "-o", "out"), ExitCode.WRITE)
    assert "another run is at work in out; let it end" in said
    os.close(descriptor)
    mfn.ok("encrypt", "-r", "in", "-o", "out")


@pytest.mark.parametrize("command", ["encrypt", "decrypt", "sign"])
def test_a_socket_is_no_input(mfn: Mfn, command: str) -> None:
    """It is said of the input, not of the output."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s")
        told = one_line(mfn(command, "s", "-o", "out"), ExitCode.INPUT)
    assert told == "s is a socket; name a file, or -"


def test_names_that_get_too_long_are_told_before_the_work(mfn: Mfn, folder: Path) -> None:
    """255 bytes are a name's most; the others are sealed, and those are reported each."""
    (folder / "in").mkdir()
    long = ["n" * 252, "\u0436" * 127]
    for name in ("a", "n" * 251, *long):
        (folder / "in" / name).write_bytes(b"content")
    ran = mfn("encrypt", "-r", "in", "-o", "out", "--force")
    first, *others = ran.err.splitlines()
    assert ran.code == ExitCode.PARTIAL
    assert first == "mfn: 2 names with .mfn would be longer than 255 bytes; the others are sealed"
    assert sum("would be named longer than 255 bytes" in line for line in others) == 2
    assert len(list((folder / "out").iterdir())) == 2
