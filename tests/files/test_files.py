"""Files and folders: whole under their names, or not there at all."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mycelium_fractal_net.files import (
    groups,
    open_file,
    open_tree,
    rewrap_file,
    rewrap_paths,
    seal_file,
    seal_tree,
)
from mycelium_fractal_net.files import (
    new_file as new_file_module,
)
from mycelium_fractal_net.files.groups import sync_file_system
from mycelium_fractal_net.files.new_file import NewFile
from mycelium_fractal_net.security.errors import (
    ConflictError,
    DecryptionError,
    InvalidInputError,
    KeyNotFoundError,
)
from mycelium_fractal_net.security.records.open_options import OpenOptions
from tests.support.presence import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mycelium_fractal_net.security.keyring.keyring import Keyring

AD = b"row 17"


@pytest.fixture(params=["nameless", "named"])
def any_file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to write a file that is not yet there: without a name, and with a hidden one."""
    if request.param == "named":
        # As on a file system without O_TMPFILE.
        monkeypatch.setattr(new_file_module, "_nameless", lambda folder: None)
    return str(request.param)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file of 100,000 bytes."""
    path = tmp_path / "big.bin"
    path.write_bytes(os.urandom(100_000))
    return path


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


# One file -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("any_file_system")
def test_a_file_is_sealed_opened_and_equal(keyring: Keyring, source: Path, tmp_path: Path) -> None:
    """With its associated data and its permission bits, and its progress told in bytes."""
    source.chmod(0o640)
    sealed, back = tmp_path / "big.bin.mfn", tmp_path / "back.bin"
    seen: list[int] = []
    assert (
        seal_file(
            keyring, source, sealed, key_id="orders", associated_data=AD, progress=seen.append
        )
        == 100_000
    )
    assert sum(seen) == 100_000
    assert open_file(keyring, sealed, back, OpenOptions(AD)) == 100_000
    assert back.read_bytes() == source.read_bytes()
    assert {path.stat().st_mode & 0o777 for path in (sealed, back)} == {0o640}
    assert names(tmp_path) == {"big.bin", "big.bin.mfn", "back.bin", "home"} | {
        f"home/{name}" for name in names(tmp_path / "home")
    }


@pytest.mark.usefixtures("any_file_system")
def test_an_output_that_exists_is_kept_unless_forced(
    keyring: Keyring, source: Path, tmp_path: Path
) -> None:
    """Whatever it is: a file, a broken link, or something made while we worked."""
    target = tmp_path / "out"
    target.write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        seal_file(keyring, source, target, key_id="orders")
    assert target.read_bytes() == b"precious"
    seal_file(keyring, source, target, key_id="orders", force=True)
    assert keyring.decrypt(target.read_bytes()) == source.read_bytes()
    target.unlink()
    target.symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        seal_file(keyring, source, target, key_id="orders")
    assert target.is_symlink()
    target.unlink()

    def beat_us_to_it(_: int) -> None:
        target.write_bytes(b"new")

    with pytest.raises(FileExistsError):
        seal_file(keyring, source, target, key_id="orders", progress=beat_us_to_it)
    assert target.read_bytes() == b"new"
    assert {path.name for path in tmp_path.iterdir()} == {"big.bin", "out", "home"}


def test_the_input_is_never_its_own_output(keyring: Keyring, source: Path, tmp_path: Path) -> None:
    """Not even by force, or by another name."""
    before = source.read_bytes()
    link = tmp_path / "link"
    os.link(source, link)
    for target in (source, link):
        with pytest.raises(FileExistsError, match="is the input itself"):
            seal_file(keyring, source, target, key_id="orders", force=True)
    assert source.read_bytes() == before


@pytest.mark.usefixtures("any_file_system")
@pytest.mark.parametrize("damage", ["cut", "flip", "associated data", "no message"])
def test_a_message_that_does_not_open_leaves_nothing_behind(
    keyring: Keyring, source: Path, tmp_path: Path, damage: str
) -> None:
    """No output, no part of one, and an earlier output as it was."""
    sealed = tmp_path / "sealed"
    seal_file(keyring, source, sealed, key_id="orders", associated_data=AD)
    content = bytearray(sealed.read_bytes())
    if damage == "cut":
        del content[-1]
    elif damage == "flip":
        content[-1] ^= 1
    elif damage == "no message":
        content[:3] = b"ZIP"
    sealed.write_bytes(content)
    before = {path.name for path in tmp_path.iterdir()}
    associated_data = b"" if damage == "associated data" else AD
    with pytest.raises(DecryptionError):
        open_file(keyring, sealed, tmp_path / "back", OpenOptions(associated_data))
    assert {path.name for path in tmp_path.iterdir()} == before
    (tmp_path / "back").write_bytes(b"earlier")
    with pytest.raises(DecryptionError):
        open_file(keyring, sealed, tmp_path / "back", OpenOptions(associated_data), force=True)
    assert (tmp_path / "back").read_bytes() == b"earlier"


@pytest.mark.usefixtures("any_file_system")
def test_an_interrupt_leaves_nothing_behind(keyring: Keyring, source: Path, tmp_path: Path) -> None:
    """Ctrl-C in the middle."""

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seal_file(keyring, source, tmp_path / "out", key_id="orders", progress=interrupt)
    assert {path.name for path in tmp_path.iterdir()} == {"big.bin", "home"}


def test_what_is_no_file_is_an_error_of_the_system(keyring: Keyring, tmp_path: Path) -> None:
    """Missing input, a folder, a missing output folder, an unknown key."""
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError):
        seal_file(keyring, tmp_path / "nothing", tmp_path / "out", key_id="orders")
    with pytest.raises(IsADirectoryError):
        seal_file(keyring, tmp_path, tmp_path / "out", key_id="orders")
    with pytest.raises(FileNotFoundError):
        seal_file(keyring, tmp_path / "file", tmp_path / "no" / "out", key_id="orders")
    with pytest.raises(KeyNotFoundError):
        seal_file(keyring, tmp_path / "file", tmp_path / "out", key_id="nothing")
    assert not (tmp_path / "out").exists()


# Rewrapping ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("any_file_system")
def test_a_file_is_rewrapped_in_place(keyring: Keyring, source: Path, tmp_path: Path) -> None:
    """To the newest version, with mode, owner and times; and not at all when it is there."""
    sealed = tmp_path / "sealed"
    seal_file(keyring, source, sealed, key_id="orders", associated_data=AD)
    sealed.chmod(0o604)
    if os.geteuid() == 0:
        os.chown(sealed, 1234, 4321)
    os.utime(sealed, ns=(10**18, 10**18 + 7))
    before = sealed.stat()
    assert not rewrap_file(keyring, sealed, OpenOptions(AD))
    assert sealed.stat().st_ino == before.st_ino
    keyring.provider.rotate_key("orders")
    keyring.refresh()
    assert rewrap_file(keyring, sealed, OpenOptions(AD))
    after = sealed.stat()
    assert after.st_ino != before.st_ino
    for field in ("st_mode", "st_uid", "st_gid", "st_mtime_ns", "st_size"):
        assert getattr(after, field) == getattr(before, field)
    assert keyring.describe(sealed.read_bytes()).version == 2
    assert keyring.decrypt(sealed.read_bytes(), associated_data=AD) == source.read_bytes()


@pytest.mark.usefixtures("any_file_system")
def test_a_file_changed_during_a_rewrap_keeps_the_change(
    keyring: Keyring, source: Path, tmp_path: Path
) -> None:
    """An update is never lost to a rewrap beside it."""
    sealed = tmp_path / "sealed"
    seal_file(keyring, source, sealed, key_id="orders")
    keyring.provider.rotate_key("orders")
    keyring.refresh()
    update = keyring.encrypt(b"newer", key_id="orders")

    def change(_: int) -> None:
        sealed.write_bytes(update)

    with pytest.raises((ConflictError, DecryptionError)):
        rewrap_file(keyring, sealed, progress=change)
    assert sealed.read_bytes() == update
    assert {path.name for path in tmp_path.iterdir()} == {"big.bin", "sealed", "home"}


# Folders ------------------------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with sub-folders, an empty file, odd names, and what is no file."""
    folder = tmp_path / "photos"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "empty").mkdir()
    for name in ("a/b/c.jpg", "a/d", "e", "x y.txt", "ключ", "already.mfn"):
        (folder / name).write_bytes(os.urandom(5000))
    (folder / "zero").touch()
    (folder / os.fsdecode(b"odd-\xff")).write_bytes(b"odd")
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "folder-link").symlink_to("a")
    os.mkfifo(folder / "pipe")
    (folder / "a").chmod(0o750)
    return folder


@pytest.mark.usefixtures("any_file_system")
@pytest.mark.parametrize("workers", [1, 3])
def test_a_folder_is_sealed_and_opened_whole(
    keyring: Keyring, photos: Path, tmp_path: Path, workers: int
) -> None:
    """photos/a/b.jpg becomes sealed/a/b.jpg.mfn and comes back; links are never followed."""
    sealed, back = tmp_path / "sealed", tmp_path / "back"
    seen: list[int] = []
    report = seal_tree(
        keyring, photos, sealed, key_id="orders", workers=workers, progress=seen.append
    )
    assert (report.done, report.skipped, report.failed) == (8, 0, [])
    assert report.bytes == sum(len(data) for data in contents(photos).values())
    assert {path.name for path in report.passed_over} == {"link", "folder-link", "pipe"}
    assert sum(seen) == 8
    assert (sealed / "a" / "b" / "c.jpg.mfn").is_file()
    assert (sealed / "already.mfn.mfn").is_file()
    assert (sealed / "a").stat().st_mode & 0o777 == 0o750
    opened = open_tree(keyring, sealed, back, workers=workers)
    assert (opened.done, opened.failed, opened.bytes) == (8, [], report.bytes)
    assert contents(back) == contents(photos)
    for name in contents(photos):
        assert (back / name).stat().st_mtime_ns == (photos / name).stat().st_mtime_ns


def test_a_second_run_does_nothing_and_goes_on_with_what_is_missing(
    keyring: Keyring, photos: Path, tmp_path: Path
) -> None:
    """What is done is skipped; what is missing or new is done; in both directions."""
    sealed, back = tmp_path / "sealed", tmp_path / "back"
    seal_tree(keyring, photos, sealed, key_id="orders")
    again = seal_tree(keyring, photos, sealed, key_id="orders")
    assert (again.done, again.skipped, again.failed) == (0, 8, [])
    (sealed / "e.mfn").unlink()
    (photos / "new").write_bytes(b"new")
    more = seal_tree(keyring, photos, sealed, key_id="orders")
    assert (more.done, more.skipped, more.failed) == (2, 7, [])
    open_tree(keyring, sealed, back)
    (back / "e").unlink()
    opened = open_tree(keyring, sealed, back)
    assert (opened.done, opened.skipped, opened.failed) == (1, 8, [])


def test_what_is_not_this_sources_output_is_kept_and_reported(
    keyring: Keyring, photos: Path, tmp_path: Path
) -> None:
    """A changed source, another key, something else under the name: never silently skipped."""
    sealed = tmp_path / "sealed"
    seal_tree(keyring, photos, sealed, key_id="orders")
    (photos / "e").write_bytes(os.urandom(5000))
    (sealed / "zero.mfn").unlink()
    (sealed / "zero.mfn").mkdir()
    before = (sealed / "e.mfn").read_bytes()
    report = seal_tree(keyring, photos, sealed, key_id="orders")
    assert {Path(path).name for path, _ in report.failed} == {"e", "zero"}
    assert all("not this file's output" in reason for _, reason in report.failed)
    assert (sealed / "e.mfn").read_bytes() == before
    keyring.provider.keys.create("invoices")
    other = seal_tree(keyring, photos, sealed, key_id="invoices")
    assert (other.done, other.skipped, len(other.failed)) == (0, 0, 8)
    (sealed / "zero.mfn").rmdir()
    forced = seal_tree(keyring, photos, sealed, key_id="invoices", force=True)
    assert (forced.done, forced.failed) == (8, [])
    assert keyring.describe((sealed / "e.mfn").read_bytes()).key_id == "invoices"


def test_one_bad_file_does_not_stop_the_others(
    keyring: Keyring, photos: Path, tmp_path: Path
) -> None:
    """Each failure is reported by its path with its reason."""
    sealed, back = tmp_path / "sealed", tmp_path / "back"
    seal_tree(keyring, photos, sealed, key_id="orders")
    damaged = sealed / "a" / "d.mfn"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    (sealed / "short.mfn").write_bytes(b"MFN")
    (sealed / "note.txt").write_text("no message")
    report = open_tree(keyring, sealed, back)
    assert report.done == 7
    assert {Path(path).name for path, _ in report.failed} == {"d.mfn", "short.mfn"}
    assert all("does not open" in reason for _, reason in report.failed)
    assert [path.name for path in report.passed_over] == ["note.txt"]
    assert not (back / "a" / "d").exists()


def test_a_folder_is_rewrapped_in_place(keyring: Keyring, photos: Path, tmp_path: Path) -> None:
    """Every file to the newest version, once, and seal_tree still knows them as done."""
    sealed = tmp_path / "sealed"
    seal_tree(keyring, photos, sealed, key_id="orders")
    assert rewrap_paths(keyring, [sealed]).skipped == 8
    keyring.provider.rotate_key("orders")
    keyring.refresh()
    (sealed / "broken.mfn").write_bytes(b"MFN\x01" + bytes(100))
    report = rewrap_paths(keyring, [sealed])
    assert (report.done, [Path(path).name for path, _ in report.failed]) == (8, ["broken.mfn"])
    versions = {
        keyring.describe(path.read_bytes()).version
        for path in sealed.rglob("*.mfn")
        if path.name != "broken.mfn"
    }
    assert versions == {2}
    assert seal_tree(keyring, photos, sealed, key_id="orders").skipped == 8


@pytest.mark.parametrize("place", [".", "inside", "..", "inside/../inside/x"])
def test_a_folder_inside_the_other_is_refused(keyring: Keyring, photos: Path, place: str) -> None:
    """The output would become input."""
    before = names(photos)
    with pytest.raises(InvalidInputError, match="one folder lies in the other"):
        seal_tree(keyring, photos, photos / place, key_id="orders")
    assert names(photos) == before


def test_what_is_no_folder_or_no_key_is_refused_before_anything_is_made(
    keyring: Keyring, source: Path, tmp_path: Path, photos: Path
) -> None:
    """The output folder is not there afterwards."""
    with pytest.raises(NotADirectoryError):
        seal_tree(keyring, source, tmp_path / "sealed", key_id="orders")
    with pytest.raises(NotADirectoryError):
        seal_tree(keyring, tmp_path / "nothing", tmp_path / "sealed", key_id="orders")
    with pytest.raises(KeyNotFoundError):
        seal_tree(keyring, photos, tmp_path / "sealed", key_id="nothing")
    assert not (tmp_path / "sealed").exists()


def test_two_runs_do_not_fill_one_folder(keyring: Keyring, photos: Path, tmp_path: Path) -> None:
    """The second is refused until the first one ends."""
    sealed = tmp_path / "sealed"
    sealed.mkdir()
    held = os.open(sealed, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(ConflictError, match="another run"):
        seal_tree(keyring, photos, sealed, key_id="orders")
    os.close(held)
    assert seal_tree(keyring, photos, sealed, key_id="orders").done == 8


def test_a_link_in_the_output_leads_nowhere(keyring: Keyring, photos: Path, tmp_path: Path) -> None:
    """A folder of the output that is a link elsewhere gets no file."""
    sealed, elsewhere = tmp_path / "sealed", tmp_path / "elsewhere"
    sealed.mkdir()
    elsewhere.mkdir()
    (sealed / "a").symlink_to(elsewhere)
    report = seal_tree(keyring, photos, sealed, key_id="orders")
    assert [Path(path).name for path, _ in report.failed] == ["a"]
    assert list(elsewhere.iterdir()) == []


@pytest.mark.usefixtures("any_file_system")
def test_an_interrupted_folder_leaves_only_whole_files(keyring: Keyring, tmp_path: Path) -> None:
    """Ctrl-C after a while; the next run does the rest."""
    photos, sealed = tmp_path / "photos", tmp_path / "sealed"
    photos.mkdir()
    for number in range(300):
        (photos / str(number)).write_bytes(os.urandom(100))
    seen: list[int] = []

    def interrupt(done: int) -> None:
        seen.append(done)
        if len(seen) == 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seal_tree(keyring, photos, sealed, key_id="orders", workers=2, progress=interrupt)
    there = contents(sealed)
    assert 50 <= len(there) < 300
    for name, message in there.items():
        assert keyring.decrypt(message) == (photos / name.removesuffix(".mfn")).read_bytes()
    rest = seal_tree(keyring, photos, sealed, key_id="orders")
    assert (rest.done, rest.skipped, rest.failed) == (300 - len(there), len(there), [])
    assert all(name.endswith(".mfn") for name in names(sealed))


def test_a_resume_with_other_associated_data_keeps_nothing_silently(
    keyring: Keyring, photos: Path, tmp_path: Path
) -> None:
    """What was sealed for other associated data is reported, since it would not open with ours."""
    sealed = tmp_path / "sealed"
    seal_tree(keyring, photos, sealed, key_id="orders")
    report = seal_tree(keyring, photos, sealed, key_id="orders", associated_data=AD)
    assert (report.done, report.skipped, len(report.failed)) == (0, 0, 8)


def test_a_file_changed_between_rewrap_and_publication_keeps_the_change(
    keyring: Keyring, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last look is right before the new file takes the old one's place."""
    sealed = tmp_path / "sealed"
    seal_tree(keyring, photos, sealed, key_id="orders")
    keyring.provider.rotate_key("orders")
    keyring.refresh()
    update = keyring.encrypt(b"newer", key_id="orders")
    victim = sealed / "e.mfn"

    really = groups._syncfs

    def change_and_sync(descriptor: int, place: Path) -> None:
        if keyring.describe(victim.read_bytes()).version == 1:
            victim.write_bytes(update)
        really(descriptor, place)

    monkeypatch.setattr(groups, "_syncfs", change_and_sync)
    report = rewrap_paths(keyring, [sealed])
    # It was tried again, and the update is under the newest version already.
    assert (report.done, report.skipped, report.failed) == (7, 1, [])
    assert victim.read_bytes() == update


def test_a_link_is_rewrapped_where_it_leads(keyring: Keyring, source: Path, tmp_path: Path) -> None:
    """The link stays a link."""
    sealed, link = tmp_path / "sealed", tmp_path / "link"
    seal_file(keyring, source, sealed, key_id="orders")
    link.symlink_to("sealed")
    keyring.provider.rotate_key("orders")
    keyring.refresh()
    assert rewrap_file(keyring, link)
    assert link.is_symlink()
    assert keyring.describe(sealed.read_bytes()).version == 2


def _as_another_user(work: Callable[[], bool]) -> bool:
    """Run ``work`` in a child that gave up root's rights."""
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        try:
            os.setgroups([])
            os.setresgid(4321, 4321, 4321)
            os.setresuid(1234, 1234, 1234)
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="changing the user needs root")
def test_no_other_group_gets_a_permission_and_no_owner_is_lost() -> None:
    """A group that cannot be given loses its bits; an owner that cannot be kept stops the work."""
    with TemporaryDirectory(dir="/tmp") as folder:
        base = Path(folder)
        base.chmod(0o777)
        like = base / "like"
        like.touch()
        like.chmod(0o664)

        def work() -> bool:
            output = NewFile(base / "out")
            output.finish(like.stat())
            output.publish()
            refused = NewFile(base / "never")
            try:
                refused.finish(like.stat(), owner=True)
            except PermissionError:
                refused.discard()
                return True
            return False

        assert _as_another_user(work)
        assert (base / "out").stat().st_mode & 0o777 == 0o604
        assert not (base / "never").exists()


def test_leftovers_of_a_killed_run_go_and_files_in_work_stay(
    keyring: Keyring, photos: Path, tmp_path: Path
) -> None:
    """A hidden file whose writer is gone is removed; one that is locked is somebody's."""
    sealed = tmp_path / "sealed"
    (sealed / "a").mkdir(parents=True)
    dead, alive = sealed / "a" / ".x.00000000.mfn-partial", sealed / ".y.00000000.mfn-partial"
    others = [sealed / "notes.mfn-partial", sealed / ".x.mfn-partial"]
    for path in (dead, alive, *others):
        path.write_bytes(b"part")
    (sealed / ".z.00000000.mfn-partial").symlink_to("/etc/passwd")
    with alive.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        seal_tree(keyring, photos, sealed, key_id="orders")
        assert (dead.exists(), alive.exists()) == (False, True)
        assert all(path.exists() for path in others)
        assert (sealed / ".z.00000000.mfn-partial").is_symlink()


@settings(
    max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    tree=st.dictionaries(
        st.lists(st.sampled_from(["a", "b", "c.mfn"]), min_size=1, max_size=3).map("/".join),
        st.binary(max_size=40),
        max_size=5,
    )
)
def test_any_folder_comes_back(keyring: Keyring, tmp_path: Path, tree: dict[str, bytes]) -> None:
    """Whatever the shape of the folder and the content of its files."""
    base = tmp_path / "any"
    shutil.rmtree(base, ignore_errors=True)
    (base / "in").mkdir(parents=True)
    for name, data in tree.items():
        path = base / "in" / name
        if any(parent.is_file() for parent in path.parents) or path.is_dir():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    seal_tree(keyring, base / "in", base / "sealed", key_id="orders", workers=1)
    open_tree(keyring, base / "sealed", base / "out", workers=1)
    assert contents(base / "out") == contents(base / "in")


# What the disk may do -----------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)],
            capture_output=True,
            check=False,
        ).returncode
    ):
        need("the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_leaves_no_part(keyring: Keyring, tmp_path: Path, small_disk: Path) -> None:
    """The system's error comes through, the output does not exist, an earlier one stays."""
    source = tmp_path / "two"
    source.write_bytes(bytes(2 << 20))
    (small_disk / "out").write_bytes(b"earlier")
    with pytest.raises(OSError, match="No space left") as caught:
        seal_file(keyring, source, small_disk / "out", key_id="orders", force=True)
    assert caught.value.errno == errno.ENOSPC
    assert contents(small_disk) == {"out": b"earlier"}
    assert os.statvfs(small_disk).f_bfree > 200


def test_a_disk_that_fills_fails_the_files_that_do_not_fit(
    keyring: Keyring, tmp_path: Path, small_disk: Path
) -> None:
    """The others are there and open."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(40):
        (photos / f"{number:02}").write_bytes(os.urandom(60_000))
    report = seal_tree(keyring, photos, small_disk / "sealed", key_id="orders", workers=2)
    assert report.done + len(report.failed) == 40
    assert report.done
    assert {reason for _, reason in report.failed} == {"No space left on device"}
    for name, message in contents(small_disk / "sealed").items():
        assert keyring.decrypt(message) == (photos / name.removesuffix(".mfn")).read_bytes()


def test_syncing_what_is_no_file_system_says_so(tmp_path: Path) -> None:
    """An error of the sync is never swallowed."""
    sync_file_system(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_file_system(tmp_path / "nothing")
