"""Secrets as platforms deliver them: taken where nobody but root can change where they lead."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.byte_io.delivered import delivered
from tests.support.presence import need

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A volume of Kubernetes: ``secret`` is a link to ``..data/secret``, over another link."""
    if os.geteuid() != 0:
        need("root, to whom what a platform delivers belongs")
    volume = tmp_path / "volume"
    (volume / "..2026_11_30").mkdir(parents=True)
    file = volume / "..2026_11_30" / "secret"
    file.write_bytes(b"secret")
    file.chmod(0o440)
    os.chown(file, 0, 12345)
    (volume / "..data").symlink_to("..2026_11_30")
    (volume / "secret").symlink_to("..data/secret")
    volume.chmod(0o755)
    return volume


@pytest.fixture
def mounted(volume: Path) -> Iterator[Path]:
    """The same, open to everybody's writing and mounted read-only, as it is in a container."""
    volume.chmod(0o777)
    bind = ["mount", "--bind", str(volume), str(volume)]
    if subprocess.run(bind, capture_output=True, check=False).returncode:
        need("the right to mount")
    subprocess.run(["mount", "-o", "remount,bind,ro", volume], check=True)
    yield volume
    subprocess.run(["umount", "-l", volume], check=True)


def test_a_secret_is_followed_over_links_of_root(volume: Path) -> None:
    """To the file that has it."""
    assert delivered(volume / "secret") == volume / "..2026_11_30" / "secret"
    (volume / "absolute").symlink_to(volume / "..data" / ".." / "secret")
    assert delivered(volume / "absolute") == volume / "..2026_11_30" / "secret"


def test_a_folder_that_others_write_to_is_safe_where_it_is_mounted_read_only(mounted: Path) -> None:
    """The mode of a volume's root is 0777 with the sticky bit, or without."""
    assert delivered(mounted / "secret") is not None


def test_a_folder_that_others_write_to_is_not_safe_otherwise(volume: Path) -> None:
    """Unless with the sticky bit, under which nobody removes what is root's."""
    volume.chmod(0o777)
    assert delivered(volume / "secret") is None
    volume.chmod(0o1777)
    assert delivered(volume / "secret") is not None


@pytest.mark.parametrize("mode", [0o444, 0o644, 0o640, 0o460, 0o600, 0o550])
def test_a_file_that_others_read_or_that_is_written_is_not_delivered(
    volume: Path, mode: int
) -> None:
    """A private file is taken too, by the rule for private files."""
    (volume / "..data" / "secret").chmod(mode)
    assert delivered(volume / "secret") is None


@pytest.mark.parametrize("owned", ["", "secret", "..2026_11_30", "..2026_11_30/secret"])
def test_whatever_on_the_way_is_not_roots_is_not_delivered(volume: Path, owned: str) -> None:
    """Its owner could lead somewhere else."""
    os.chown(volume / owned, 12345, -1, follow_symlinks=False)
    assert delivered(volume / "secret") is None


def test_what_is_not_there_or_no_file_or_a_circle_is_not_delivered(volume: Path) -> None:
    """Without an error: what is there is told by whoever reads it."""
    (volume / "circle").symlink_to("circle")
    for name in ("missing", "circle", "..data", "secret/inside"):
        assert delivered(volume / name) is None
