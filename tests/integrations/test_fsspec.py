"""``mfn::`` over other file systems of fsspec: sealed there, plain here."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import re
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mycelium_fractal_net.files.recipients import open_with, seal_to
from mycelium_fractal_net.integrations.application import application_keyring, configure
from mycelium_fractal_net.integrations.fsspec import MfnFileSystem
from mycelium_fractal_net.security.errors import (
    BoundNameError,
    DecryptionError,
    InvalidInputError,
    KeyNotFoundError,
    StorePermissionsError,
)
from mycelium_fractal_net.security.sealed.addressed_layout import parse_addressed_header
from mycelium_fractal_net.security.sealed.recipients import RecipientKey
from tests.support.algorithms import HPKE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.keyring.keyring import Keyring

CONTENT = secrets.token_bytes(100_000)


@pytest.fixture
def ours(keyring: Keyring) -> Iterator[Keyring]:
    """The keyring, as that of the application."""
    configure(keyring)
    yield keyring
    configure(None)


@pytest.fixture(params=["file", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A folder on this machine, and one in fsspec's store in memory, by its URL."""
    if request.param == "file":
        (tmp_path / "data").mkdir()
        yield f"file://{tmp_path}/data"
        return
    folder = f"/{secrets.token_hex(4)}"
    yield f"memory:/{folder}"
    memory = fsspec.filesystem("memory")
    if memory.exists(folder):
        memory.rm(folder, recursive=True)


def stored(url: str) -> bytes:
    """What lies in the store."""
    fs, path = fsspec.url_to_fs(url)
    return bytes(fs.cat_file(path))


def sealed_by(place: str, **options: Any) -> tuple[MfnFileSystem, str]:
    """The file system over that place, and the path of the place in it."""
    if place.startswith("file"):
        options["file"] = {"auto_mkdir": True}
    fs, path = fsspec.url_to_fs(f"mfn::{place}", key_id="orders", **options)
    return fs, path


@pytest.fixture
def once(ours: Keyring, place: str) -> tuple[MfnFileSystem, str]:
    """A file system with the content in one file, and its path."""
    fs, folder = sealed_by(place)
    fs.pipe_file(f"{folder}/a", CONTENT)
    return fs, f"{folder}/a"


def test_what_is_written_is_sealed_and_read_back(ours: Keyring, place: str) -> None:
    """By URL alone; the store has a message that the keyring opens."""
    with fsspec.open(f"mfn::{place}/a.bin", "wb", key_id="orders") as file:
        assert file.write(CONTENT) == len(CONTENT)
    message = stored(f"{place}/a.bin")
    assert ours.describe(message).key_id == "orders"
    assert ours.decrypt(message) == CONTENT
    with fsspec.open(f"mfn::{place}/a.bin", "rb") as file:
        assert file.read() == CONTENT
    with fsspec.open(f"mfn::{place}/a.txt", "w", key_id="orders") as file:
        file.write("zwölf\n" * 3)
    with fsspec.open(f"mfn::{place}/a.txt", "r") as file:
        assert list(file) == ["zwölf\n"] * 3


# For recipients -----------------------------------------------------------------------------

ALICE, BOB = (RecipientKey.generate(HPKE) for _ in range(2))


def addressed_by(place: str, **options: Any) -> tuple[MfnFileSystem, str]:
    """The file system over that place; no keyring is at hand."""
    more: dict[str, Any] = {"file": {"auto_mkdir": True}} if place.startswith("file") else {}
    fs, path = fsspec.url_to_fs(f"mfn::{place}", **options, **more)
    return fs, path


def test_files_go_to_recipients_and_are_read_by_position(place: str, tmp_path: Path) -> None:
    """By the files of their keys, as ``mfn recipient new`` makes them, and without a key store."""
    public, private = tmp_path / "alice.pub", tmp_path / "alice.key"
    public.write_text(f"# Alice\n{ALICE.public.line()}\n")
    private.touch(mode=0o600)
    private.write_text(ALICE.line())
    fs, folder = addressed_by(place, to=[str(public), BOB.public.line()])
    fs.pipe_file(f"{folder}/a", CONTENT)
    message = stored(f"{place}/a")
    assert parse_addressed_header(message).suites == [HPKE, HPKE]
    assert open_with([BOB], message) == CONTENT
    for identity in (str(private), private, BOB, [BOB, ALICE]):
        fs, folder = addressed_by(place, identity=identity)
        assert fs.cat_file(f"{folder}/a", 20_000, 20_100) == CONTENT[20_000:20_100]
    with fsspec.open(f"mfn::{place}/a", "rb", identity=str(private)) as file:
        assert file.read() == CONTENT
    fs, folder = addressed_by(place, identity=str(private))
    assert pickle.loads(pickle.dumps(fs)).cat_file(f"{folder}/a") == CONTENT


def test_whoever_has_no_key_of_a_recipient_reads_nothing(place: str) -> None:
    """With another key, with none, which is said, and where a name was changed."""
    fs, folder = addressed_by(place, to=ALICE.public, bind_below=place)
    fs.pipe_file(f"{folder}/a", CONTENT)
    for identity in ((), BOB):
        fs, folder = addressed_by(place, identity=identity, bind_below=place)
        with pytest.raises(DecryptionError) as caught:
            fs.open(f"{folder}/a", "rb")
        told = "\n".join(getattr(caught.value, "__notes__", ()))
        assert ("give identity=" in told) == (identity == ())
    fs, folder = addressed_by(place, identity=ALICE, bind_below=place)
    assert fs.cat_file(f"{folder}/a") == CONTENT
    fs.fs.mv(f"{folder}/a", f"{folder}/b")
    with pytest.raises(BoundNameError):
        fs.cat_file(f"{folder}/b")


@pytest.mark.parametrize("count", [1, 2, 30])
def test_the_size_of_a_file_for_many_is_that_of_its_plaintext(place: str, count: int) -> None:
    """The list of recipients stands in front, and may be longer than what is read of each file."""
    some = [RecipientKey.from_private_bytes(HPKE, bytes([number + 1]) * 32).public
            for number in range(count)]  # fmt: skip
    fs, folder = addressed_by(place, to=some)
    fs.pipe_file(f"{folder}/a", CONTENT)
    assert fs.info(f"{folder}/a")["size"] == len(CONTENT)
    fs.fs.pipe_file(f"{folder}/cut", b"MFR\x01")
    fs.fs.pipe_file(f"{folder}/other", stored(f"{place}/a")[:60])
    assert {entry["size"] for entry in fs.ls(folder)} == {len(CONTENT), None}


def test_what_is_sealed_to_is_one_thing_and_no_secret_is_an_option(tmp_path: Path) -> None:
    """Options are shown, and sent to other processes; a file that others may read is refused."""
    with pytest.raises(InvalidInputError, match="not both"):
        MfnFileSystem(to=ALICE.public, key_id="orders")
    sealed = tmp_path / "a"
    sealed.write_bytes(seal_to([ALICE.public], b"plain"))
    private = tmp_path / "alice.key"
    private.write_text(ALICE.line())
    private.chmod(0o640)
    with pytest.raises(StorePermissionsError):
        MfnFileSystem(identity=str(private)).cat_file(str(sealed))
    with pytest.raises(InvalidInputError) as caught:
        MfnFileSystem(identity=ALICE.line()).cat_file(str(sealed))
    assert ALICE.line() not in str(caught.value)
    one, other = MfnFileSystem(identity=ALICE), MfnFileSystem(identity=BOB)
    assert one._fs_token != other._fs_token  # for whoever keeps what was read


def test_a_part_is_read_by_its_position(ours: Keyring, place: str) -> None:
    """From the beginning, the end and across chunks; by ranges of several files at once."""
    fs, folder = sealed_by(place)
    fs.pipe_file(f"{folder}/a", CONTENT)
    with fs.open(f"{folder}/a", "rb") as file:
        assert file.size == len(CONTENT)
        for start, end in [(0, 10), (16_380, 33_000), (99_990, 100_000), (5, 6), (0, 100_000)]:
            file.seek(start)
            assert file.read(end - start) == CONTENT[start:end]
    assert fs.cat_file(f"{folder}/a", 20_000, 20_100) == CONTENT[20_000:20_100]
    assert fs.cat_file(f"{folder}/a", -7) == CONTENT[-7:]
    assert fs.cat_ranges([f"{folder}/a"] * 2, [1, 2], [3, 4]) == [CONTENT[1:3], CONTENT[2:4]]
    assert fs.head(f"{folder}/a", 4) == CONTENT[:4]


_PLACES = st.one_of(
    st.integers(-110_000, 110_000),
    st.sampled_from([n * 16_384 + d for n in range(7) for d in (-1, 0, 1)]),
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(_PLACES, _PLACES), max_size=8))
def test_any_ranges_in_any_order_are_those_of_the_plaintext(
    once: tuple[MfnFileSystem, str], ranges: list[tuple[int, int]]
) -> None:
    """By ``cat_file``, as a slice of Python's; and in one open file by reading on from anywhere."""
    fs, path = once
    with fs.open(path, "rb") as file:
        for start, end in ranges:
            assert fs.cat_file(path, start, end) == CONTENT[start:end]
            begin = file.seek(max(start, 0))
            size = max(end, 0)
            assert file.read(size) == CONTENT[begin : begin + size]
            assert file.tell() == begin + len(CONTENT[begin : begin + size])
            into = bytearray(abs(start) % 40_000)
            at = file.tell()
            count = file.readinto(into)
            assert into[:count] == CONTENT[at : at + len(into)]


def test_a_far_store_is_asked_few_times_and_for_no_more_than_is_read(
    ours: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading on fetches as much again as was read; a jump fetches its chunks."""
    fs, folder = sealed_by(f"memory://{secrets.token_hex(4)}")
    whole = secrets.token_bytes(1 << 23)
    fs.pipe_file(f"{folder}/a", whole)
    fetched: list[int] = []

    class Counting(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            fetched.append(len(data))
            return data

    message = fs.fs.cat_file(f"{folder}/a")
    monkeypatch.setattr(type(fs.fs), "open", lambda *_, **__: Counting(message))
    with fs.open(f"{folder}/a", "rb") as file:
        assert b"".join(iter(lambda: file.read(100_000), b"")) == whole
    assert len(fetched) <= 12
    assert sum(fetched) <= len(message) + (1 << 17)
    fetched.clear()
    with fs.open(f"{folder}/a", "rb", block_size=1) as file:
        for at in (1 << 22, 1 << 20, 3 << 21):
            file.seek(at)
            assert file.read(100) == whole[at : at + 100]
    assert sum(fetched) <= (1 << 16) + 5 * 16_400


def test_no_plaintext_waits_in_any_file(
    ours: Keyring, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither with a name nor without: what is under way is sealed already."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    fs, folder = sealed_by(place)
    with fs.open(f"{folder}/a", "wb") as file:
        file.write(b"plaintext!" * 100_000)
        assert list((tmp_path / "temporary").iterdir()) == []
        open_files = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
        nameless = [
            each
            for each in open_files
            if os.path.exists(each)
            and (re.fullmatch(rf"{tmp_path}/.* \(deleted\)", os.readlink(each)))
        ]
        contents = [Path(each).read_bytes() for each in nameless]
        assert [content[:3] for content in contents] == [b"MFN"]
        assert len(contents[0]) > 900_000
        assert b"plaintext!" not in contents[0]
    assert fs.cat_file(f"{folder}/a") == b"plaintext!" * 100_000


def test_an_exception_publishes_nothing(ours: Keyring, place: str) -> None:
    """However the file was opened: fsspec's wrappers close what they wrap and do not say why.

    A sketch of this published an authentic file that was half written.
    """
    fs, folder = sealed_by(place)
    fs.pipe_file(f"{folder}/a", b"before")
    for how in (
        lambda name: fs.open(name, "wb"),
        lambda name: fsspec.open(f"mfn::{place}/{name[-1]}", "wb", key_id="orders"),
        lambda name: fsspec.open(
            f"mfn::{place}/{name[-1]}", "wb", compression="gzip", key_id="orders"
        ),
        lambda name: io.BufferedWriter(fs.open(name, "wb")),
    ):
        for name in (f"{folder}/a", f"{folder}/b"):
            with pytest.raises(LookupError) as caught, how(name) as file:
                file.write(b"half")
                raise LookupError
            assert "was not published" in caught.value.__notes__[0]
    with pytest.raises(LookupError), fs.open(f"{folder}/b", "w") as text:
        text.write("half")
        raise LookupError
    file = fs.open(f"{folder}/b", "wb")
    with pytest.raises(LookupError):
        try:
            raise LookupError
        finally:
            file.close()
    forgotten = fs.open(f"{folder}/b", "wb")
    forgotten.write(b"half")
    del forgotten
    assert fs.cat_file(f"{folder}/a") == b"before"
    assert [each.rpartition("/")[2] for each in fs.fs.ls(folder, detail=False)] == ["a"]


def test_what_is_written_while_an_exception_is_handled_is_published(
    ours: Keyring, place: str
) -> None:
    """It was under way before the file was opened, or the block ended well."""
    fs, folder = sealed_by(place)
    early = fs.open(f"{folder}/early", "wb")
    try:
        raise LookupError
    except LookupError:
        with fsspec.open(f"mfn::{place}/a", "wb", key_id="orders") as file:
            file.write(b"of the handler")
        with early:
            early.write(b"opened before")
    assert fs.cat_file(f"{folder}/a") == b"of the handler"
    assert fs.cat_file(f"{folder}/early") == b"opened before"


def test_sizes_are_those_of_the_plaintext(ours: Keyring, place: str) -> None:
    """In listings, of every form that a message has; what is none has no size."""
    fs, folder = sealed_by(place)
    fs.pipe({f"{folder}/a": CONTENT, f"{folder}/deep/b": b"", f"{folder}/deep/c": b"x" * 16_384})
    fs.fs.pipe_file(f"{folder}/d", ours.data_key(key_id="orders").sealer.seal(b"1234"))
    fs.fs.pipe_file(f"{folder}/e", b"none")
    sizes = {each["name"].rpartition("/")[2]: each["size"] for each in fs.ls(folder)}
    assert sizes == {"a": 100_000, "d": 4, "e": None, "deep": sizes["deep"]}
    assert fs.info(f"{folder}/a")["sealed_size"] == len(stored(f"{place}/a"))
    assert fs.info(f"{folder}/a")["size"] == fs.size(f"{folder}/a") == len(CONTENT)
    assert fs.du(f"{folder}/deep") == 16_384
    found = fs.find(folder, detail=True)
    assert [found[name]["size"] for name in sorted(found)] == [100_000, 4, 0, 16_384, None]
    assert fs.glob(f"{folder}/*/c") == [f"{folder}/deep/c"]
    assert fs.glob(f"{folder}/*/c", detail=True)[f"{folder}/deep/c"]["size"] == 16_384
    assert sorted(fs.ls(f"{folder}/deep", detail=False)) == [f"{folder}/deep/b", f"{folder}/deep/c"]


def test_what_was_changed_is_refused(ours: Keyring, place: str) -> None:
    """A file that was cut yields nothing; a chunk that was changed is found when it is read."""
    fs, folder = sealed_by(place)
    fs.pipe_file(f"{folder}/a", CONTENT)
    message = stored(f"{place}/a")
    fs.fs.pipe_file(f"{folder}/cut", message[:-20])
    fs.fs.pipe_file(f"{folder}/changed", message[:90_000] + bytes(20) + message[90_020:])
    with pytest.raises(DecryptionError):
        fs.open(f"{folder}/cut", "rb")
    with fs.open(f"{folder}/changed", "rb") as file:
        assert file.read(100) == CONTENT[:100]
        with pytest.raises(DecryptionError):
            file.read()
    with pytest.raises(FileNotFoundError):
        fs.open(f"{folder}/nowhere", "rb")


def test_associated_data_is_bound(ours: Keyring, place: str) -> None:
    """As text or bytes."""
    fs, folder = sealed_by(place, associated_data="sales")
    fs.pipe_file(f"{folder}/a", b"x")
    assert ours.decrypt(stored(f"{place}/a"), associated_data=b"sales") == b"x"
    assert sealed_by(place, associated_data=b"sales")[0].cat_file(f"{folder}/a") == b"x"
    with pytest.raises(DecryptionError):
        sealed_by(place)[0].cat_file(f"{folder}/a")


def test_a_partition_in_the_place_of_another_is_refused(ours: Keyring, place: str) -> None:
    """Where paths are bound; one that is copied through the file system is bound anew."""
    folder = sealed_by(place)[1]
    fs, _ = sealed_by(place, bind_below=folder)
    fs.pipe({f"{folder}/year=1/part": b"one", f"{folder}/year=2/part": b"two"})
    assert fs.cat_file(f"{folder}/year=1/part") == b"one"
    assert sealed_by(place)[0].cat_file(f"{folder}/year=1/part") == b"one"
    fs.fs.cp_file(f"{folder}/year=1/part", f"{folder}/year=2/part")
    for each in (fs, sealed_by(place)[0]):
        with pytest.raises(BoundNameError):
            each.cat_file(f"{folder}/year=2/part")
    fs.copy(f"{folder}/year=1/part", f"{folder}/year=3")
    assert fs.cat_file(f"{folder}/year=3") == b"one"
    sealed_by(place)[0].pipe_file(f"{folder}/free", b"x")
    with pytest.raises(BoundNameError):
        fs.cat_file(f"{folder}/free")
    with pytest.raises(InvalidInputError, match="bind_below"):
        sealed_by(place, bind_below=f"{folder}/year=1")[0].pipe_file(f"{folder}/a", b"")


def test_with_a_suffix_names_are_plain_here(ours: Keyring, place: str) -> None:
    """What ``mfn encrypt -r`` wrote is read by plain names, and what is written has the suffix."""
    fs, folder = sealed_by(place, suffix=".mfn")
    fs.pipe({f"{folder}/a.csv": b"1,2", f"{folder}/deep/b.csv": b"3"})
    fs.fs.pipe_file(f"{folder}/notes", b"plain")
    assert ours.decrypt(stored(f"{place}/a.csv.mfn")) == b"1,2"
    assert fs.find(folder) == [f"{folder}/a.csv", f"{folder}/deep/b.csv"]
    assert fs.info(f"{folder}/a.csv")["size"] == 3
    assert fs.ls(f"{folder}/a.csv", detail=False) == [f"{folder}/a.csv"]
    assert fs.cat_file(f"{folder}/a.csv") == fs.cat_file(f"{folder}/a.csv.mfn") == b"1,2"
    assert fs.isfile(f"{folder}/a.csv")
    assert fs.isdir(f"{folder}/deep")
    assert not fs.exists(f"{folder}/notes")
    with pytest.raises(FileNotFoundError):
        fs.open(f"{folder}/notes", "rb")
    fs.rm(f"{folder}/a.csv")
    assert not fs.exists(f"{folder}/a.csv")


def test_files_are_copied_moved_and_removed(ours: Keyring, place: str) -> None:
    """As they are sealed; folders too."""
    fs, folder = sealed_by(place)
    fs.makedirs(f"{folder}/x", exist_ok=True)
    fs.pipe_file(f"{folder}/x/a", CONTENT)
    fs.cp_file(f"{folder}/x/a", f"{folder}/x/b")
    assert stored(f"{place}/x/a") == stored(f"{place}/x/b")
    fs.mv(f"{folder}/x/b", f"{folder}/x/c")
    assert sorted(fs.ls(f"{folder}/x", detail=False)) == [f"{folder}/x/a", f"{folder}/x/c"]
    assert fs.created(f"{folder}/x/a") <= fs.modified(f"{folder}/x/c")
    fs.rm(f"{folder}/x/*")
    fs.rmdir(f"{folder}/x") if fs.exists(f"{folder}/x") else None
    assert not fs.exists(f"{folder}/x/a")
    fs.pipe_file(f"{folder}/y/z/a", b"")
    fs.rm(f"{folder}/y", recursive=True)
    assert not fs.exists(f"{folder}/y")


def test_exclusive_and_appending(ours: Keyring, place: str) -> None:
    """What is there is not replaced by ``xb``; a message has an end, and is not appended to."""
    fs, folder = sealed_by(place)
    with fs.open(f"{folder}/a", "xb") as file:
        file.write(b"x")
    with pytest.raises(FileExistsError):
        fs.open(f"{folder}/a", "xb")
    with pytest.raises(FileExistsError):
        fs.pipe_file(f"{folder}/a", b"y", mode="create")
    with pytest.raises(NotImplementedError):
        fs.open(f"{folder}/a", "ab")
    with pytest.raises(NotImplementedError, match=r"fsspec\.open"):
        fs.open(f"{folder}/a", "wb", compression="gzip")
    with fs.open(f"{folder}/a", "wb") as file:
        assert (file.tell(), file.seekable(), file.readable()) == (0, False, False)
        file.write(b"y")
        file.flush()
        with pytest.raises(OSError, match="from its beginning"):
            file.seek(0)
    assert file.closed
    file.close()
    assert fs.cat_file(f"{folder}/a") == b"y"


def test_compressed_text_is_sealed(ours: Keyring, place: str) -> None:
    """By ``fsspec.open``, which closes what it wraps."""
    with fsspec.open(f"mfn::{place}/a.gz", "wt", compression="infer", key_id="orders") as file:
        file.write("text")
    assert gzip.decompress(ours.decrypt(stored(f"{place}/a.gz"))) == b"text"


def test_a_transaction_publishes_all_or_nothing(ours: Keyring, place: str) -> None:
    """At its end."""
    fs, folder = sealed_by(place)
    with pytest.raises(LookupError), fs.transaction:
        fs.pipe_file(f"{folder}/a", b"1")
        raise LookupError
    assert not fs.exists(f"{folder}/a")
    with fs.transaction:
        fs.pipe_file(f"{folder}/a", b"1")
        assert not fs.exists(f"{folder}/a")
        fs.pipe_file(f"{folder}/b", b"2")
    assert fs.cat(folder, recursive=True, on_error="omit") == {
        f"{folder}/a": b"1",
        f"{folder}/b": b"2",
    }


def test_an_outage_while_it_is_sent_leaves_nothing_that_opens(
    ours: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error of the store is raised by closing."""
    fs, folder = sealed_by(f"memory://{secrets.token_hex(4)}")

    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(type(fs.fs), "put_file", fail)
    with pytest.raises(ConnectionError), fs.open(f"{folder}/a", "wb") as file:
        file.write(b"x")
    assert not fs.exists(f"{folder}/a")


def test_a_key_that_is_not_there_makes_no_file(ours: Keyring, place: str) -> None:
    """Nor does it replace one."""
    fs, path = fsspec.url_to_fs(f"mfn::{place}/a", key_id="unknown")
    with pytest.raises(KeyNotFoundError):
        fs.open(path, "wb")
    assert not fs.exists(path)


def test_two_keyrings_are_two_file_systems(ours: Keyring, tmp_path: Path) -> None:
    """fsspec keeps instances by the text of their options, and two keyrings have one text."""
    local = LocalFileSystem()
    with_ours = MfnFileSystem(local, keyring=ours)
    assert MfnFileSystem(local, keyring=ours) == with_ours
    assert MfnFileSystem(local) != with_ours
    assert with_ours.keyring is application_keyring() is ours
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(with_ours)


def test_file_systems_and_open_files_go_to_other_processes(ours: Keyring, place: str) -> None:
    """By their options, with the keyring that the application has there."""
    fs, folder = sealed_by(place)
    fs.pipe_file(f"{folder}/a", CONTENT)
    again = pickle.loads(pickle.dumps(fs))
    assert again == fs
    assert hash(again) == hash(fs)
    with again.open(f"{folder}/a", "rb") as file:
        file.seek(50_000)
        with pickle.loads(pickle.dumps(file)) as other:
            assert other.read() == CONTENT[50_000:]


def test_urls_lead_back(ours: Keyring, place: str) -> None:
    """What a path is called with its protocol can be opened; ``mfn://`` alone is this machine."""
    fs, folder = sealed_by(place)
    fs.pipe_file(f"{folder}/a", b"x")
    url = fs.unstrip_protocol(f"{folder}/a")
    assert url.startswith("mfn::")
    with fsspec.open(url, "rb") as file:
        assert file.read() == b"x"
    if place.startswith("file"):
        with fsspec.open(f"mfn://{folder}/a", "rb") as file:
            assert file.read() == b"x"


def test_a_cache_above_holds_plaintext_and_one_below_does_not(
    ours: Keyring, tmp_path: Path
) -> None:
    """``simplecache::mfn::`` writes the plaintext into its folder: the docs say so."""
    bucket = f"memory://{secrets.token_hex(4)}"
    sealed_by(bucket)[0].pipe_file(f"/{bucket[9:]}/a", CONTENT)
    for name, url in {"above": "simplecache::mfn", "below": "mfn::simplecache"}.items():
        cache = {"cache_storage": str(tmp_path / name)}
        with fsspec.open(f"{url}::{bucket}/a", "rb", simplecache=cache) as file:
            assert file.read() == CONTENT
    kept = {
        name: [p.read_bytes() for p in (tmp_path / name).iterdir()] for name in ("above", "below")
    }
    assert kept["above"] == [CONTENT]
    assert kept["below"] == [stored(f"{bucket}/a")]


def test_a_key_value_store_over_it(ours: Keyring, place: str) -> None:
    """What zarr and others take; folders are made as values come."""
    fs, folder = fsspec.url_to_fs(f"mfn::{place}", key_id="orders")
    mapper = fs.get_mapper(folder)
    mapper["x/0.0"] = CONTENT
    assert mapper["x/0.0"] == CONTENT
    assert list(mapper) == ["x/0.0"]
    del mapper["x/0.0"]
    assert list(mapper) == []


def test_a_local_file_keeps_its_mode_and_a_folder_is_made_where_that_is_asked(
    ours: Keyring, tmp_path: Path
) -> None:
    """Others get that of the umask; what is under way has no name."""
    fs, _ = sealed_by(f"file://{tmp_path}")
    fs.pipe_file(f"{tmp_path}/deep/a", b"1")
    (tmp_path / "deep/a").chmod(0o640)
    with fs.open(f"{tmp_path}/deep/a", "wb") as file:
        file.write(b"2")
        assert [each.name for each in (tmp_path / "deep").iterdir()] == ["a"]
        assert fs.cat_file(f"{tmp_path}/deep/a") == b"1"
    assert (tmp_path / "deep/a").stat().st_mode & 0o777 == 0o640
    shutil.rmtree(tmp_path / "deep")
