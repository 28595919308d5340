"""Objects in stores that fsspec knows, rewrapped: in memory, and on the file system."""

from __future__ import annotations

import os
import secrets
import sys
from typing import TYPE_CHECKING, Any

import fsspec
import pytest

from mycelium_fractal_net import RecipientKey, seal_to
from mycelium_fractal_net.files import rewrap_objects
from mycelium_fractal_net.files.objects import _marks
from mycelium_fractal_net.security.errors import ConfigurationError, InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mycelium_fractal_net.security.keyring.keyring import Keyring

NAMES = ("one.mfn", "deep/two.mfn", "deep/er/three.mfn")


@pytest.fixture
def memory() -> Any:
    """fsspec's store in memory, which all of a process share."""
    return fsspec.filesystem("memory")


@pytest.fixture
def bucket(keyring: Keyring, memory: Any) -> Iterator[str]:
    """A place in it with three messages of a key that has been rotated since."""
    place = f"/{secrets.token_hex(4)}"
    for name in NAMES:
        memory.pipe_file(f"{place}/{name}", keyring.encrypt(name.encode() * 9000, key_id="orders"))
    memory.pipe_file(f"{place}/note.txt", b"no message")
    keyring.provider.rotate_key("orders")
    keyring.refresh()
    yield place
    memory.rm(place, recursive=True)


def test_objects_are_moved_in_place(keyring: Keyring, memory: Any, bucket: str) -> None:
    """Each to the newest version; the second time there is nothing to do."""
    begun: list[list[bytes]] = []
    seen: list[int] = []
    report = rewrap_objects(
        keyring,
        f"memory:/{bucket}",
        before=lambda heads: begun.append(list(heads)),
        progress=seen.append,
    )
    assert (report.done, report.skipped, report.failures, report.others) == (3, 0, 0, 1)
    assert report.bytes == sum(len(memory.cat(f"{bucket}/{name}")) for name in NAMES)
    assert [len(heads) for heads in begun] == [3]
    assert sum(seen) == 3
    for name in NAMES:
        message = memory.cat(f"{bucket}/{name}")
        assert keyring.describe(message).version == 2
        assert keyring.decrypt(message) == name.encode() * 9000
    again = rewrap_objects(keyring, f"memory:/{bucket}")
    assert (again.done, again.skipped, again.failures) == (0, 3, 0)


def test_what_is_for_recipients_stays_as_it_is(keyring: Keyring, memory: Any, bucket: str) -> None:
    """It is under no key of the store, and so it is no failure either."""
    message = seal_to([RecipientKey.generate("HPKE-P256").public], b"plain")
    memory.pipe(f"{bucket}/letter.mfn", message)
    report = rewrap_objects(keyring, f"memory:/{bucket}")
    assert (report.done, report.failures, report.others) == (3, 0, 2)
    assert memory.cat(f"{bucket}/letter.mfn") == message


def test_one_object_is_named_by_itself(keyring: Keyring, memory: Any, bucket: str) -> None:
    """Whatever its name; one that is not there is an error of the system."""
    memory.mv(f"{bucket}/one.mfn", f"{bucket}/one")
    report = rewrap_objects(keyring, f"memory:/{bucket}/one", any_name=True)
    assert (report.done, report.failures) == (1, 0)
    assert keyring.describe(memory.cat(f"{bucket}/deep/two.mfn")).version == 1
    with pytest.raises(FileNotFoundError):
        rewrap_objects(keyring, f"memory:/{bucket}/absent")


def test_one_bad_object_does_not_stop_the_others(
    keyring: Keyring, memory: Any, bucket: str
) -> None:
    """It is told by its URL, with its reason."""
    broken = f"{bucket}/deep/two.mfn"
    memory.pipe_file(broken, memory.cat(broken)[:-1])
    memory.pipe_file(f"{bucket}/none.mfn", b"MFN")
    told: list[tuple[str, str]] = []
    report = rewrap_objects(keyring, f"memory:/{bucket}")
    assert (report.done, report.failures) == (2, 2)
    told = sorted(report.failed)
    assert [name for name, _ in told] == [f"memory://{broken}", f"memory://{bucket}/none.mfn"]
    assert all("does not open" in reason for _, reason in told)


def test_an_object_that_changed_meanwhile_keeps_the_change(
    keyring: Keyring, memory: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update between the reading and the last look goes before; the rewrap is tried again."""
    victim = f"{bucket}/one.mfn"
    update = keyring.encrypt(b"newer", key_id="orders")
    really = type(memory).open

    def open_and_change(self: Any, path: str, mode: str = "rb", **more: Any) -> Any:
        stream = really(self, path, mode, **more)
        if mode == "wb" and path == victim and memory.cat(victim) != update:
            fsspec.filesystem("memory", skip_instance_cache=True).pipe_file(victim, update)
        return stream

    monkeypatch.setattr(type(memory), "open", open_and_change)
    report = rewrap_objects(keyring, f"memory:/{bucket}", workers=2)
    assert (report.done, report.skipped, report.failures) == (2, 1, 0)
    assert memory.cat(victim) == update


def test_an_object_that_changes_all_the_time_is_left_and_reported(
    keyring: Keyring, memory: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After three tries, with what was written last in its place."""
    victim = f"{bucket}/one.mfn"
    old = memory.cat(victim)
    really = type(memory).open

    def open_and_change(self: Any, path: str, mode: str = "rb", **more: Any) -> Any:
        stream = really(self, path, mode, **more)
        if mode == "wb" and path == victim:
            other = fsspec.filesystem("memory", skip_instance_cache=True)
            with really(other, victim, "wb") as writer:
                writer.write(old)
        return stream

    monkeypatch.setattr(type(memory), "open", open_and_change)
    report = rewrap_objects(keyring, f"memory:/{bucket}")
    assert (report.done, report.failures) == (2, 1)
    assert "changed meanwhile" in report.failed[0][1]
    assert memory.cat(victim) == old


def test_a_key_is_not_finished_while_an_object_is_under_it(
    keyring: Keyring, memory: Any, bucket: str
) -> None:
    """One that was passed over for its name; with any name it is moved."""
    memory.mv(f"{bucket}/one.mfn", f"{bucket}/one.bak")
    report = rewrap_objects(keyring, f"memory:/{bucket}", finishing="orders")
    assert (report.done, report.failures, report.others) == (2, 1, 1)
    assert "does not end in .mfn" in report.failed[0][1]
    moved = rewrap_objects(keyring, f"memory:/{bucket}", finishing="orders", any_name=True)
    assert (moved.done, moved.failures) == (1, 0)


def test_a_file_url_is_a_path(keyring: Keyring, tmp_path: Path, bucket: str) -> None:
    """With all that files have: mode and times stay."""
    path = tmp_path / "one.mfn"
    path.write_bytes(fsspec.filesystem("memory").cat(f"{bucket}/one.mfn"))
    path.chmod(0o640)
    os.utime(path, ns=(10**18, 10**18 + 7))
    begun: list[bytes] = []
    report = rewrap_objects(keyring, path.as_uri(), before=begun.extend)
    assert (report.done, report.failures, len(begun)) == (1, 0, 1)
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.stat().st_mtime_ns == 10**18 + 7
    assert keyring.describe(path.read_bytes()).version == 2


def test_a_store_that_tells_no_change_from_another_is_not_written_to() -> None:
    """The size alone would let an update go unseen."""
    assert _marks({"size": 1, "ETag": "a"}) != _marks({"size": 1, "ETag": "b"})
    with pytest.raises(OSError, match="does not say when"):
        _marks({"name": "x", "size": 1, "type": "file"})


def test_what_fails_in_the_driver_is_told_without_its_words(
    keyring: Keyring, memory: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver may quote an address that gives access. Other folders go on."""
    really = type(memory).ls

    def ls(self: Any, path: str, *arguments: Any, **more: Any) -> Any:
        if path.endswith("/er"):
            raise RuntimeError("https://user:secret@store/")
        return really(self, path, *arguments, **more)

    monkeypatch.setattr(type(memory), "ls", ls)
    report = rewrap_objects(keyring, f"memory:/{bucket}")
    assert (report.done, report.failures) == (2, 1)
    assert report.failed[0][1] == "the store's driver failed: RuntimeError"


def test_an_interrupt_ends_it_and_the_next_run_does_the_rest(
    keyring: Keyring, memory: Any, bucket: str
) -> None:
    """Ctrl-C after the first: every object is whole."""

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rewrap_objects(keyring, f"memory:/{bucket}", workers=1, progress=interrupt)
    for name in NAMES:
        assert keyring.decrypt(memory.cat(f"{bucket}/{name}")) == name.encode() * 9000
    rest = rewrap_objects(keyring, f"memory:/{bucket}")
    assert (rest.done + rest.skipped, rest.failures) == (3, 0)


def test_an_unknown_store_is_refused(keyring: Keyring) -> None:
    """By its URL's scheme, and one whose driver is missing by what to install."""
    with pytest.raises(InvalidInputError, match="no store of fsspec"):
        rewrap_objects(keyring, "nowhere://x/y")
    with pytest.raises(ConfigurationError, match="s3fs"):
        rewrap_objects(keyring, "s3://x/y")


def test_without_fsspec_the_extra_is_named(
    keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else of the package needs it."""
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(ConfigurationError, match="needs the extra 'fsspec'"):
        rewrap_objects(keyring, "memory://x")


def test_a_message_whose_key_is_not_here_fails_when_all_must_be_known(
    keyring: Keyring, memory: Any, bucket: str, foreign: Callable[[], bytes]
) -> None:
    """Of any name it is taken and fails; by its name alone it is passed over."""
    memory.pipe_file(f"{bucket}/other", foreign())
    assert rewrap_objects(keyring, f"memory:/{bucket}", any_name=True).failures == 1
    assert rewrap_objects(keyring, f"memory:/{bucket}").failures == 0
    assert rewrap_objects(keyring, f"memory:/{bucket}", finishing="orders").failures == 1


@pytest.fixture
def foreign() -> Callable[[], bytes]:
    """Makes a message under a key version that this store does not know."""
    return lambda: b"MFN\x01" + secrets.token_bytes(300)
