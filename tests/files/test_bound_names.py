"""Sealed files that are bound to their names: a swap of contents by renaming is seen."""

from __future__ import annotations

import hashlib
import io
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.files import open_file, open_tree, rewrap_paths, seal_file, seal_tree
from mycelium_fractal_net.files.naming import file_name
from mycelium_fractal_net.security.errors import BoundNameError, DecryptionError, InvalidInputError
from mycelium_fractal_net.security.records.file_names import FileName
from mycelium_fractal_net.security.records.open_options import OpenOptions
from mycelium_fractal_net.security.sealed.sealer import Sealer
from tests.vectors.test_sealed_format import Refused, body

if TYPE_CHECKING:
    from mycelium_fractal_net.security.keyring.keyring import Keyring


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A folder of three files in two folders, two of them of the same name."""
    folder = tmp_path / "plain"
    for name in ("a/salaries", "b/salaries", "b/deep/notes"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"these are {name}")
    return folder


@pytest.fixture
def sealed(keyring: Keyring, plain: Path, tmp_path: Path) -> Path:
    """It, sealed with every file bound to its path."""
    seal_tree(keyring, plain, tmp_path / "sealed", key_id="orders", bind_name=True)
    return tmp_path / "sealed"


def swap(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def test_what_keeps_its_place_opens(keyring: Keyring, sealed: Path, tmp_path: Path) -> None:
    """The whole folder, wherever it was moved to; a part of it; one file of it."""
    moved = sealed.rename(tmp_path / "moved")
    assert open_tree(keyring, moved, tmp_path / "all", bind_name=True).done == 3
    assert open_tree(keyring, moved / "b", tmp_path / "part").done == 2
    open_file(keyring, moved / "b" / "deep" / "notes.mfn", tmp_path / "one")
    assert (tmp_path / "one").read_text() == "these are b/deep/notes"


def test_contents_that_were_swapped_do_not_open(
    keyring: Keyring, sealed: Path, tmp_path: Path
) -> None:
    """Whoever may write the folder can rename; a path is compared from the run's folder on."""
    swap(sealed / "a" / "salaries.mfn", sealed / "b" / "salaries.mfn")
    report = open_tree(keyring, sealed, tmp_path / "back")
    assert (report.done, report.failures) == (1, 2)
    assert {reason for _, reason in report.failed} == {
        "it was sealed under another name, which is bound into it"
    }
    with pytest.raises(BoundNameError):
        open_file(keyring, sealed / "a" / "salaries.mfn", tmp_path / "one")


def test_a_path_is_not_taken_for_a_longer_one(
    keyring: Keyring, plain: Path, tmp_path: Path
) -> None:
    """``deep/notes`` put into the place of ``b/deep/notes`` is another file."""
    seal_tree(keyring, plain / "b", tmp_path / "other", key_id="orders", bind_name=True)
    seal_tree(keyring, plain, tmp_path / "sealed", key_id="orders", bind_name=True)
    place = tmp_path / "sealed" / "b" / "deep" / "notes.mfn"
    (tmp_path / "other" / "deep" / "notes.mfn").replace(place)
    assert open_tree(keyring, tmp_path / "sealed", tmp_path / "back").failures == 1


def test_one_that_is_not_bound_is_refused_where_they_must_be(
    keyring: Keyring, sealed: Path, plain: Path, tmp_path: Path
) -> None:
    """Else a message without a name, of the same key, would take the place of any."""
    seal_file(keyring, plain / "a" / "salaries", tmp_path / "free.mfn", key_id="orders")
    (tmp_path / "free.mfn").replace(sealed / "a" / "salaries.mfn")
    assert open_tree(keyring, sealed, tmp_path / "lax").done == 3
    report = open_tree(keyring, sealed, tmp_path / "strict", bind_name=True)
    assert (report.done, report.failed[0][1]) == (2, "no name is bound into it")


def test_a_rewrap_keeps_the_name(keyring: Keyring, sealed: Path, tmp_path: Path) -> None:
    """What it is called while it moves does not matter: the name is as authentic as before."""
    before = keyring.describe((sealed / "a" / "salaries.mfn").read_bytes())
    keyring.provider.rotate_key("orders")
    keyring.refresh()
    file = (sealed / "a" / "salaries.mfn").rename(tmp_path / "elsewhere.mfn")
    assert rewrap_paths(keyring, [sealed, file]).done == 3
    after = keyring.describe(file.read_bytes())
    assert (after.name, after.version, after.form) == (before.name, 2, "named")
    with pytest.raises(BoundNameError):
        open_file(keyring, file, tmp_path / "back")
    named = OpenOptions(name=FileName("a/salaries"))
    open_file(keyring, file, tmp_path / "back", named)
    assert (tmp_path / "back").read_text() == "these are a/salaries"
    assert keyring.rewrap(file.read_bytes())[12:44] == after.name


def test_sealing_a_folder_again_knows_what_is_done(
    keyring: Keyring, sealed: Path, plain: Path
) -> None:
    """Bound and in its place; one that was swapped in is kept and reported."""
    again = seal_tree(keyring, plain, sealed, key_id="orders", bind_name=True)
    assert (again.done, again.skipped) == (0, 3)
    (plain / "a" / "salaries").write_text("these are c/salaries")
    swap(sealed / "a" / "salaries.mfn", sealed / "b" / "salaries.mfn")
    again = seal_tree(keyring, plain, sealed, key_id="orders", bind_name=True)
    assert again.failures == 2


def test_without_a_name_it_is_a_message_that_does_not_open(keyring: Keyring, sealed: Path) -> None:
    """One error for all that has no file: the service, whole messages, streams and pieces."""
    message = (sealed / "a" / "salaries.mfn").read_bytes()
    for use in (
        lambda: keyring.decrypt(message),
        lambda: keyring.decrypt_stream(io.BytesIO(message), io.BytesIO()),
        lambda: keyring.decryptor(message),
        lambda: keyring.open_reader(io.BytesIO(message)),
    ):
        with pytest.raises(DecryptionError) as caught:
            use()
        assert type(caught.value) is DecryptionError


def test_a_name_that_is_written_over_does_not_open(
    keyring: Keyring, sealed: Path, tmp_path: Path
) -> None:
    """It is authenticated: who changes it in the message has changed the message."""
    file = sealed / "a" / "salaries.mfn"
    message = bytearray(file.read_bytes())
    message[12:44] = FileName("b/salaries").digest
    other = sealed / "b" / "salaries.mfn"
    other.write_bytes(message)
    with pytest.raises(DecryptionError) as caught:
        open_file(keyring, other, tmp_path / "back")
    assert type(caught.value) is DecryptionError
    message[3], plain = 1, bytes(message[:12] + message[44:])
    for wrong in (bytes(message), plain, bytes(message[:12]), bytes(message[:43])):
        other.write_bytes(wrong)
        with pytest.raises(DecryptionError):
            open_file(keyring, other, tmp_path / "back")


def test_a_name_has_one_digest_whichever_way_it_is_spelt() -> None:
    """A file system that takes names apart, as macOS does, changes none."""
    name = "Übersicht/März"
    apart = unicodedata.normalize("NFD", name)
    assert name != apart
    assert FileName(apart).digest == FileName(name).digest
    assert FileName("\udcff").digest != FileName("\udcfe").digest  # bytes that are no UTF-8


def test_folders_above_count_as_far_as_they_were_bound() -> None:
    """A part of a folder is opened by itself; what lies deeper now is another file."""
    at = file_name(Path("/srv/archive/a/b/c.mfn"), Path("/srv/archive/a"))
    assert (at.name, at.above) == ("b/c", "srv/archive/a")
    fitting = ("b/c", "a/b/c", "archive/a/b/c", "srv/archive/a/b/c")
    assert all(at.fits(FileName(each).digest) for each in fitting)
    others = ("c", "a/c", "/b/c", "x/b/c", "/srv/archive/a/b/c", "")
    assert not any(
        at.fits(FileName(each).digest) for each in others if each != "/srv/archive/a/b/c"
    )


def test_docs_format_is_enough_to_open_one() -> None:
    """A decoder that is written from the page: the third form, and what stands for a name."""
    key, handle = bytes(range(32)), b"12345678"
    digest = hashlib.sha256(b"mycelium-fractal-net/name/v1" + "a/März".encode()).digest()
    assert FileName("a/März").digest == digest
    message = Sealer.named(key, handle, digest).seal(b"data", b"row 17")
    header = b"MFN\x04" + handle + digest
    assert message[:44] == header
    context = b"mycelium-fractal-net/named/v1" + header
    assert body(key, context + b"row 17", message[44:]) == b"data"
    with pytest.raises(Refused):
        body(key, context, message[44:])
    with pytest.raises(InvalidInputError, match="32 bytes"):
        Sealer.named(key, handle, digest[1:])
