"""``mfn rewrap`` that is really killed, at random moments, and run again."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net import open_keyring
from tests.support.cli import PROGRAM, environment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cli import Mfn

pytestmark = pytest.mark.long

_FILES = 1500
_KILLS = 4


@pytest.fixture
def archive(mfn: Mfn) -> Path:
    """Files of several sizes in several folders, under the first of two versions."""
    folder = mfn.folder / "archive"
    with open_keyring(home=mfn.home) as keyring:
        for number in range(_FILES):
            path = folder / str(number % 7) / f"{number}.mfn"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(keyring.encrypt(content(number), key_id="orders"))
        keyring.provider.rotate_key("orders")
    return folder


def content(number: int) -> bytes:
    return str(number).encode() * (1 + number % 300)


def test_a_killed_rewrap_is_resumed(mfn: Mfn, archive: Path) -> None:
    """Every file opens after every kill; the last run moves the rest, and sweeps what was left."""
    command = [*PROGRAM, "--home", str(mfn.home), "--quiet", "rewrap", str(archive)]
    chance = random.Random()
    for _ in range(_KILLS):
        with subprocess.Popen(command, cwd=mfn.folder, env=environment()) as process:
            wait_for_a_move(archive, process)
            time.sleep(chance.uniform(0, 0.1))
            process.send_signal(signal.SIGKILL)
        moved = all_open(mfn, archive)
    said = mfn.ok("rewrap", "archive").out
    assert f"rewrapped {_FILES - moved} file" in said
    assert all_open(mfn, archive) == _FILES
    assert sum(1 for path in archive.rglob("*") if path.is_file()) == _FILES


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_rewrap_cleanly(mfn: Mfn, archive: Path, number: int) -> None:
    """At once, with every file whole and no temporary one; and nothing is recorded as finished."""
    command = [*PROGRAM, "--home", str(mfn.home), "rewrap", str(archive)]
    command += ["--finished", "orders", "--reason", "a test"]
    with subprocess.Popen(
        command, cwd=mfn.folder, env=environment(), stderr=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        wait_for_a_move(archive, process)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert said.decode().startswith("mfn: interrupted;")
    assert process.returncode == (143 if number == signal.SIGTERM else 130)
    assert 0 < all_open(mfn, archive) < _FILES
    assert sum(1 for path in archive.rglob("*") if path.is_file()) == _FILES
    with open_keyring(home=mfn.home) as keyring:
        versions = keyring.provider.keys.get("orders").versions
    assert [version.rewrapped_at for version in versions] == [None, None]


def wait_for_a_move(archive: Path, process: subprocess.Popen[bytes]) -> None:
    """Until a file has been replaced, or the process has ended."""
    paths = [path for path in archive.rglob("*.mfn") if int(path.stem) % 10 == 0]
    before = {path: path.stat().st_ino for path in paths}
    while process.poll() is None:
        if any(path.stat().st_ino != inode for path, inode in before.items()):
            return


def all_open(mfn: Mfn, archive: Path) -> int:
    """Check that every file is there and opens; returns how many are under the newest version."""
    count = 0
    with open_keyring(home=mfn.home) as keyring:
        for number in range(_FILES):
            message = (archive / str(number % 7) / f"{number}.mfn").read_bytes()
            assert keyring.decrypt(message) == content(number)
            count += keyring.describe(message).newest
    return count
