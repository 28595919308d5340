"""A migration that is really killed, at random moments, and run again: nothing is ever lost."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net import initialise, open_keyring
from mycelium_fractal_net.legacy.key import import_xor_key
from mycelium_fractal_net.legacy.xor_format import open_xor
from tests.support.cli import environment
from tests.support.legacy_xor import OLD_KEY, write_xor
from tests.support.presence import need

if TYPE_CHECKING:
    from pathlib import Path

    from mycelium_fractal_net.security.keyring.keyring import Keyring

pytestmark = pytest.mark.long

_RUN = """
import sys
from pathlib import Path
from mycelium_fractal_net import open_keyring
from mycelium_fractal_net.legacy.xor_format import xor_key
from mycelium_fractal_net.legacy.files import {call}
with open_keyring(home=sys.argv[1]) as keyring:
    xor_key(keyring)
    print("ready", flush=True)
    report = {call}(keyring, [Path(sys.argv[2])], workers=2)
    print(report.done, report.skipped, len(report.failed))
"""
_FILES = 80
_OLD = ".xor-old"
_SIDES = {
    "migrate_xor": (True, True),
    "commit_xor": (True, False),
    "roll_back_xor": (False, False),
}


def holds(keyring: Keyring, path: Path) -> tuple[bytes, bool]:
    """What a file holds, and whether it is sealed. Raises where it does not open."""
    content = path.read_bytes()
    if content.startswith(b"MFN\x01"):
        return keyring.decrypt(content), True
    return open_xor(keyring, content).data, False


@pytest.mark.parametrize("call", ["migrate_xor", "commit_xor", "roll_back_xor"])
def test_a_killed_migration_is_gone_on_with(tmp_path: Path, call: str) -> None:
    """Killed again and again: the file under its name opens every time, as old or as new, and the
    old one is there as long as it may be asked for. The last run completes."""
    home, folder = tmp_path / "home", tmp_path / "letters"
    with initialise(home=home) as keyring:
        import_xor_key(keyring.provider, OLD_KEY)
    folder.mkdir()
    for number in range(_FILES):
        (folder / f"{number}").write_text(write_xor(f"letter {number}"))
    if call != "migrate_xor":
        _complete(home, folder, "migrate_xor")
    for _ in range(4):
        _killed(home, folder, call)
        _check(home, folder)
    done, skipped = _complete(home, folder, call)
    assert done + (skipped if call == "migrate_xor" else 0) <= _FILES
    sealed, kept = _SIDES[call]
    with open_keyring(home=home) as keyring:
        for number in range(_FILES):
            path = folder / f"{number}"
            assert holds(keyring, path) == (f"letter {number}".encode(), sealed)
            assert path.with_name(f"{number}{_OLD}").exists() is kept
    assert len(list(folder.iterdir())) == _FILES * (2 if kept else 1)


def _command(home: Path, folder: Path, call: str) -> list[str]:
    return [sys.executable, "-c", _RUN.format(call=call), str(home), str(folder)]


def _killed(home: Path, folder: Path, call: str) -> None:
    environ = {k: v for k, v in environment().items() if not k.startswith("COVERAGE_")}
    command = _command(home, folder, call)
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(random.uniform(0.005, 0.25))
        process.send_signal(signal.SIGKILL)


def _complete(home: Path, folder: Path, call: str) -> tuple[int, int]:
    finished = subprocess.run(
        _command(home, folder, call), capture_output=True, check=True, env=environment()
    )
    done, skipped, failed = map(int, finished.stdout.split()[1:])
    assert failed == 0
    return done, skipped


def _check(home: Path, folder: Path) -> None:
    """Every file opens; so does every old one, and it is there where its file is not sealed."""
    with open_keyring(home=home) as keyring:
        for number in range(_FILES):
            path = folder / f"{number}"
            content = f"letter {number}".encode()
            assert holds(keyring, path)[0] == content
            kept = path.with_name(f"{number}{_OLD}")
            if kept.exists():
                assert holds(keyring, kept) == (content, False)
    # What changed places a moment before is left under a hidden name, for the next run.
    left = {path.name.removesuffix(_OLD) for path in folder.iterdir() if path.name[0] != "."}
    assert left == {str(number) for number in range(_FILES)}


def test_the_two_names_are_given_in_an_order_that_loses_nothing(tmp_path: Path) -> None:
    """Killed at each system call that changes a name, in turn, by the kernel itself."""
    if shutil.which("strace") is None:
        need("strace")
    home, folder = tmp_path / "home", tmp_path / "letters"
    with initialise(home=home) as keyring:
        import_xor_key(keyring.provider, OLD_KEY)
    folder.mkdir()
    path = folder / "letter"
    message = write_xor("letter")
    environ = {k: v for k, v in environment().items() if not k.startswith("COVERAGE_")}
    killed = set()
    for name in ("linkat", "rename,renameat,renameat2"):
        for turn in (1, 2, 3):
            path.unlink(missing_ok=True)
            path.with_name(f"letter{_OLD}").unlink(missing_ok=True)
            path.write_text(message)
            traced = subprocess.run(
                [
                    "strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={name}", "-P", str(path),
                    "-P", str(folder), "-P", str(path.with_name(f"letter{_OLD}")),
                    "-e", f"inject={name}:signal=SIGKILL:when={turn}",
                    *_command(home, folder, "migrate_xor"),
                ],
                capture_output=True, check=False, env=environ,
            )  # fmt: skip
            if traced.returncode != 0:
                killed.add((name, turn))
            with open_keyring(home=home) as keyring:
                data, sealed = holds(keyring, path)
                assert data == b"letter"
                if sealed:
                    assert holds(keyring, path.with_name(f"letter{_OLD}")) == (b"letter", False)
            _complete(home, folder, "migrate_xor")
            with open_keyring(home=home) as keyring:
                assert holds(keyring, path) == (b"letter", True)
    assert len(killed) >= 2
