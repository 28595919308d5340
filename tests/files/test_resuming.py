"""What counts as done when a folder is opened again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.files import open_tree, seal_tree

if TYPE_CHECKING:
    from pathlib import Path

    from mycelium_fractal_net.security.keyring.keyring import Keyring

CONTENT = os.urandom(2 << 20)


@pytest.fixture
def sealed(keyring: Keyring, tmp_path: Path) -> Path:
    """A folder with one large and one small file in it."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "large").write_bytes(CONTENT)
    (folder / "small").write_bytes(b"content")
    seal_tree(keyring, folder, tmp_path / "sealed", key_id="orders")
    return tmp_path / "sealed"


def planted(like: Path, content: bytes) -> None:
    """``like`` with another content, and the time that it had."""
    status = like.stat()
    assert len(content) == status.st_size
    like.write_bytes(content)
    os.utime(like, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("byte", [0, 16_384, len(CONTENT) - 1])
def test_a_file_of_the_same_size_and_time_is_not_done(
    keyring: Keyring, sealed: Path, tmp_path: Path, byte: int
) -> None:
    """Somebody put it there or changed it; it is kept and reported, and --force replaces it."""
    back = tmp_path / "back"
    assert open_tree(keyring, sealed, back).done == 2
    other = CONTENT[:byte] + bytes([CONTENT[byte] ^ 1]) + CONTENT[byte + 1 :]
    planted(back / "large", other)
    report = open_tree(keyring, sealed, back)
    assert (report.done, report.skipped, report.failures) == (0, 1, 1)
    assert "is not this file's output" in report.failed[0][1]
    assert (back / "large").read_bytes() == other
    assert open_tree(keyring, sealed, back, force=True).done == 2
    assert (back / "large").read_bytes() == CONTENT


def test_what_was_opened_before_is_done(keyring: Keyring, sealed: Path, tmp_path: Path) -> None:
    """Its content is what the message holds, whoever wrote it."""
    back = tmp_path / "back"
    open_tree(keyring, sealed, back)
    (back / "small").unlink()
    report = open_tree(keyring, sealed, back)
    assert (report.done, report.skipped, report.failures) == (1, 1, 0)


def test_messages_that_changed_their_names_are_not_done(
    keyring: Keyring, sealed: Path, tmp_path: Path
) -> None:
    """Of the same size and time, what was opened before is no more what is in them."""
    (tmp_path / "in" / "other").write_bytes(b"CONTENT")
    os.utime(tmp_path / "in" / "other", ns=(0, 0))
    os.utime(tmp_path / "in" / "small", ns=(0, 0))
    sealed = tmp_path / "again"
    seal_tree(keyring, tmp_path / "in", sealed, key_id="orders")
    back = tmp_path / "back"
    open_tree(keyring, sealed, back)
    (sealed / "other.mfn").rename(sealed / "x")
    (sealed / "small.mfn").rename(sealed / "other.mfn")
    (sealed / "x").rename(sealed / "small.mfn")
    report = open_tree(keyring, sealed, back)
    assert (report.done, report.skipped, report.failures) == (0, 1, 2)
