"""Files and folders where names, modes, limits, file systems and neighbours are awkward."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import stat
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.files import (
    file_run,
    groups,
    new_file,
    open_file,
    open_tree,
    rewrap_file,
    rewrap_paths,
    seal_file,
    seal_tree,
    walk,
)
from mycelium_fractal_net.files.new_file import remove_leftovers
from tests.support.presence import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mycelium_fractal_net.security.keyring.keyring import Keyring

_ACL = "system.posix_acl_access"
_DEFAULT_ACL = "system.posix_acl_default"
_NOBODY = 0xFFFFFFFF


@pytest.fixture(params=["nameless", "named"])
def any_file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With and without O_TMPFILE."""
    if request.param == "named":
        monkeypatch.setattr(new_file, "_nameless", lambda folder: None)
    return str(request.param)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small file."""
    path = tmp_path / "source"
    path.write_bytes(b"content")
    return path


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mounts a file system of its own on a folder, until the test ends."""
    folders: list[Path] = []

    def mount(folder: Path, *arguments: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["mount", *arguments, folder], capture_output=True, check=False)
        if done.returncode:
            need(f"the right to mount: mount {' '.join(arguments)}")
        folders.append(folder)
        return folder

    yield mount
    for folder in folders:
        subprocess.run(["umount", "-l", folder], check=True)


def acl(user: int, group: int, mask: int) -> bytes:
    """A list that gives its owner rw, user 1234 ``user``, its group ``group``, others nothing."""
    entries = [
        (1, 6, _NOBODY),
        (2, user, 1234),
        (4, group, _NOBODY),
        (16, mask, _NOBODY),
        (32, 0, _NOBODY),
    ]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def set_acl(path: Path, name: str, value: bytes) -> None:
    try:
        os.setxattr(path, name, value)
    except OSError:
        need("a file system with POSIX access control lists")


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def rotated(keyring: Keyring) -> None:
    keyring.provider.rotate_key("orders")
    keyring.refresh()


# Names --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("any_file_system")
def test_relative_paths_work(
    keyring: Keyring, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a user gives them; also where the file system knows no nameless files."""
    monkeypatch.chdir(tmp_path)
    for force in (False, True):
        seal_file(keyring, Path("source"), Path("out.mfn"), key_id="orders", force=force)
    rotated(keyring)
    assert rewrap_file(keyring, Path("out.mfn"))
    open_file(keyring, Path("out.mfn"), Path("back"))
    assert Path("back").read_bytes() == source.read_bytes()
    assert {p.name for p in tmp_path.iterdir()} == {"source", "out.mfn", "back", "home"}


@pytest.mark.usefixtures("any_file_system")
@pytest.mark.parametrize("name", ["n" * 251, "\u0436" * 125, os.fsdecode(b"\xff" * 251)])
def test_the_longest_names_work(keyring: Keyring, source: Path, tmp_path: Path, name: str) -> None:
    """255 bytes: also where a hidden name stands in for a moment, as in force and rewrap."""
    target = tmp_path / (name + ".mfn")
    for force in (False, True):
        seal_file(keyring, source, target, key_id="orders", force=force)
    rotated(keyring)
    assert rewrap_file(keyring, target)
    assert keyring.decrypt(target.read_bytes()) == source.read_bytes()
    assert {p.name for p in tmp_path.iterdir()} == {"source", target.name, "home"}


# What stands in the way ---------------------------------------------------------------------


@pytest.mark.usefixtures("any_file_system")
@pytest.mark.parametrize("what", ["pipe", "folder"])
def test_force_replaces_files_alone(
    keyring: Keyring, source: Path, tmp_path: Path, what: str
) -> None:
    """`-o /dev/null --force` must not turn the device into a file; nor a pipe, nor a folder."""
    target = tmp_path / "there"
    os.mkfifo(target) if what == "pipe" else target.mkdir()
    kind = stat.S_IFMT(target.lstat().st_mode)
    with pytest.raises(FileExistsError, match="is no file"):
        seal_file(keyring, source, target, key_id="orders", force=True)
    assert stat.S_IFMT(target.lstat().st_mode) == kind


def test_force_does_not_replace_what_became_a_pipe_meanwhile(
    keyring: Keyring, source: Path, tmp_path: Path
) -> None:
    """The kind is looked at again when the name is given."""
    target = tmp_path / "there"
    with pytest.raises(FileExistsError, match="is no file"):
        seal_file(
            keyring,
            source,
            target,
            key_id="orders",
            force=True,
            progress=lambda _: os.mkfifo(target),
        )
    assert stat.S_ISFIFO(target.lstat().st_mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="root passes over modes: needs a read-only mount")
def test_a_folder_that_cannot_be_written_fails_each_file_and_changes_nothing(
    keyring: Keyring, source: Path, tmp_path: Path, mounted: Callable[..., Path]
) -> None:
    """The system's own error for one file, a reason for each file of a folder."""
    target = mounted(tmp_path / "target", "-t", "tmpfs", "-o", "ro", "tmpfs")
    with pytest.raises(OSError, match="Read-only") as caught:
        seal_file(keyring, source, target / "out", key_id="orders")
    assert caught.value.errno == errno.EROFS
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "file").touch()
    report = seal_tree(keyring, tmp_path / "in", target, key_id="orders")
    assert [reason for _, reason in report.failed] == ["Read-only file system"]
    assert not report.done


def test_a_leftover_that_cannot_be_opened_or_vanishes_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's, or one that another run takes away: the other leftovers still go."""
    for number, name in enumerate(("theirs", "gone", "ours")):
        (tmp_path / f".{name}.0000000{number}.mfn-partial").touch()
    really = os.open

    def open_some(path: Path, flags: int) -> int:
        if "theirs" in str(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        if "gone" in str(path):
            Path(path).unlink()
        return really(path, flags)

    monkeypatch.setattr(os, "open", open_some)
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".theirs.00000000.mfn-partial"]


def test_a_new_file_that_is_swept_before_it_is_locked_is_made_again(
    keyring: Keyring, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its making and its lock another run takes it for a leftover."""
    monkeypatch.setattr(new_file, "_nameless", lambda folder: None)
    really = fcntl.flock
    swept: list[Path] = []

    def sweep_first(descriptor: int, operation: int) -> None:
        if not swept:
            swept.extend(tmp_path.glob(".*.mfn-partial"))
            for path in swept:
                path.unlink()
        really(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", sweep_first)
    seal_file(keyring, source, tmp_path / "out", key_id="orders")
    assert len(swept) == 1
    assert keyring.decrypt((tmp_path / "out").read_bytes()) == b"content"


@pytest.mark.parametrize("what", ["link", "pipe"])
def test_a_source_that_became_a_link_or_pipe_is_not_read(
    keyring: Keyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Whoever may write the folder cannot have root seal what he may not read, nor hang it."""
    (tmp_path / "secret").write_bytes(b"secret")
    victim = tmp_path / "in" / "a"
    victim.parent.mkdir()
    victim.touch()
    really = walk.jobs

    def swap(*arguments: object) -> Iterator[object]:
        for job in really(*arguments):  # type: ignore[arg-type]
            victim.unlink()
            victim.symlink_to(tmp_path / "secret") if what == "link" else os.mkfifo(victim)
            yield job

    monkeypatch.setattr(file_run, "jobs", swap)
    report = seal_tree(keyring, tmp_path / "in", tmp_path / "out", key_id="orders")
    assert (report.done, [Path(path).name for path, _ in report.failed]) == (0, ["a"])
    assert list((tmp_path / "out").iterdir()) == []


# Who may read -------------------------------------------------------------------------------


@pytest.mark.usefixtures("any_file_system")
def test_an_access_control_list_goes_with_the_file(
    keyring: Keyring, source: Path, tmp_path: Path
) -> None:
    """Sealed, opened, rewrapped: the group bits beside a list are not the group's own."""
    value = acl(user=6, group=0, mask=6)
    set_acl(source, _ACL, value)
    assert mode_of(source) == 0o660
    sealed, back = tmp_path / "sealed", tmp_path / "back"
    seal_file(keyring, source, sealed, key_id="orders")
    rotated(keyring)
    rewrap_file(keyring, sealed)
    before = os.umask(0)
    try:
        open_file(keyring, sealed, back)
        os.umask(0o077)
        open_file(keyring, sealed, tmp_path / "masked")
    finally:
        os.umask(before)
    assert os.getxattr(sealed, _ACL) == os.getxattr(back, _ACL) == value
    assert os.getxattr(tmp_path / "masked", _ACL) == acl(user=6, group=0, mask=0)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_list_that_cannot_be_kept_gives_the_group_nothing(
    keyring: Keyring, source: Path, tmp_path: Path, mounted: Callable[..., Path]
) -> None:
    """On a file system without lists the mask must not become the group's permission."""
    set_acl(source, _ACL, acl(user=6, group=0, mask=6))
    target = mounted(tmp_path / "target", "-t", "ramfs", "ramfs")
    seal_file(keyring, source, target / "out", key_id="orders")
    assert mode_of(target / "out") == 0o600


def test_the_folders_default_list_lets_nobody_else_read(
    keyring: Keyring, source: Path, tmp_path: Path
) -> None:
    """The output has the permissions of its source, and no list that its folder would add."""
    folder = tmp_path / "shared"
    folder.mkdir()
    set_acl(folder, _DEFAULT_ACL, acl(user=7, group=5, mask=7))
    source.chmod(0o640)
    seal_file(keyring, source, folder / "out", key_id="orders")
    assert _ACL not in os.listxattr(folder / "out")
    assert mode_of(folder / "out") == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="another group needs root")
def test_sub_folders_have_mode_and_group_of_their_source(keyring: Keyring, tmp_path: Path) -> None:
    """Otherwise another group would see the names in it."""
    inner = tmp_path / "in" / "sub"
    inner.mkdir(parents=True)
    os.chown(inner, -1, 4321)
    inner.chmod(0o550)
    seal_tree(keyring, tmp_path / "in", tmp_path / "out", key_id="orders")
    made = (tmp_path / "out" / "sub").stat()
    assert (made.st_gid, made.st_mode & 0o777) == (4321, 0o750)


# Limits and file systems --------------------------------------------------------------------


def opened_files() -> int:
    """How many files this process has open, for other tests as well."""
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(("limit", "workers"), [(118, 2), (118, 64), (246, 64)])
def test_few_open_files_are_enough(
    keyring: Keyring, tmp_path: Path, limit: int, workers: int
) -> None:
    """Whatever the limit of the process and the number of workers, no file fails by it."""
    (tmp_path / "in").mkdir()
    for number in range(400):
        (tmp_path / "in" / str(number)).write_bytes(b"x")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened_files() + limit, hard))
    try:
        report = seal_tree(
            keyring, tmp_path / "in", tmp_path / "out", key_id="orders", workers=workers
        )
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (report.done, report.failed) == (400, [])


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_every_file_system_below_the_target_is_synced_before_names_are_given(
    keyring: Keyring, tmp_path: Path, mounted: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sub-folder of the target may be another disk; afterwards its names are synced too."""
    (tmp_path / "in" / "disk").mkdir(parents=True)
    for name in ("a", "disk/b"):
        (tmp_path / "in" / name).write_bytes(b"x")
    disk = mounted(tmp_path / "out" / "disk", "-t", "tmpfs", "-o", "size=1m", "tmpfs")
    seen: list[tuple[int, bool]] = []
    really = groups._syncfs

    def watch(descriptor: int, place: Path) -> None:
        seen.append((os.fstat(descriptor).st_dev, (disk / "b.mfn").exists()))
        really(descriptor, place)

    monkeypatch.setattr(groups, "_syncfs", watch)
    assert seal_tree(keyring, tmp_path / "in", tmp_path / "out", key_id="orders").done == 2
    both = {os.stat(tmp_path / "out").st_dev, os.stat(disk).st_dev}
    assert {device for device, named in seen if not named} == both
    assert {device for device, named in seen if named} == both


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_where_times_are_whole_seconds_a_source_touched_in_that_second_is_not_skipped(
    keyring: Keyring, tmp_path: Path, mounted: Callable[..., Path]
) -> None:
    """As on old ext4: it cannot be told from a changed one, so it is reported."""
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(8 << 20)
    if subprocess.run(
        ["mkfs.ext4", "-q", "-F", "-I", "128", image], capture_output=True, check=False
    ).returncode:
        need("mkfs.ext4")
    disk = mounted(tmp_path / "disk", "-o", "loop", str(image))
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a"
    path.write_bytes(b"old")
    os.utime(path, ns=(10**18 + 5, 10**18 + 5))
    sealed = disk / "sealed"
    seal_tree(keyring, tmp_path / "in", sealed, key_id="orders")
    assert os.stat(sealed / "a.mfn").st_mtime_ns == 10**18
    made = os.stat(sealed / "a.mfn").st_ctime_ns
    # The source is touched again, and keeps its time: it cannot be told from a changed one.
    os.utime(path, ns=(10**18 + 5, 10**18 + 5))
    report = seal_tree(keyring, tmp_path / "in", sealed, key_id="orders")
    assert (report.done, report.skipped, len(report.failed)) == (0, 0, 1)
    assert os.stat(path).st_ctime_ns >= made


def test_the_time_of_an_output_may_be_rounded_down_but_not_otherwise_differ() -> None:
    """The rule by itself: exact, or rounded by the file system and the source untouched since."""
    from mycelium_fractal_net.files.walk import _same_time

    def status(mtime_ns: int, ctime_ns: int) -> os.stat_result:
        return os.stat_result([0] * 10, {"st_mtime_ns": mtime_ns, "st_ctime_ns": ctime_ns})

    early, late = 2 * 10**18, 3 * 10**18
    wanted = 10**18 + 1_234_567_891
    assert _same_time(status(wanted, early), status(wanted, late))
    for granule in (100, 1_000, 1_000_000, 10_000_000, 10**9, 2 * 10**9):
        rounded = wanted - wanted % granule
        assert _same_time(status(rounded, late), status(wanted, early))
        assert not _same_time(status(rounded, early), status(wanted, late))
    assert not _same_time(status(wanted - 1, late), status(wanted, early))
    assert not _same_time(status(wanted + 1, late), status(wanted, early))


def test_open_and_rewrap_of_folders_keep_to_the_same_limits(
    keyring: Keyring, tmp_path: Path
) -> None:
    """All three ways through a folder share the one runner."""
    (tmp_path / "in").mkdir()
    for number in range(200):
        (tmp_path / "in" / str(number)).write_bytes(b"x")
    seal_tree(keyring, tmp_path / "in", tmp_path / "out", key_id="orders")
    rotated(keyring)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened_files() + 118, hard))
    try:
        moved = rewrap_paths(keyring, [tmp_path / "out"], workers=64)
        opened = open_tree(keyring, tmp_path / "out", tmp_path / "back", workers=64)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (moved.done, moved.failed, opened.done, opened.failed) == (200, [], 200, [])
