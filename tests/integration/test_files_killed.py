"""A run that is really killed, at a random moment, and run again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mycelium_fractal_net import initialise, open_keyring
from mycelium_fractal_net.files import open_tree, seal_tree

pytestmark = pytest.mark.long

_RUN = """
import sys
from pathlib import Path
from mycelium_fractal_net import open_keyring
from mycelium_fractal_net.files import {call}
with open_keyring(home=sys.argv[1]) as keyring:
    print("ready", flush=True)
    report = {call}(keyring, Path(sys.argv[2]), Path(sys.argv[3]), workers=2)
    print(report.done, report.skipped, len(report.failed))
"""
_FILES = 1500


@pytest.mark.parametrize("call", ["seal_tree", "open_tree"])
def test_a_killed_folder_run_is_resumed(tmp_path: Path, call: str) -> None:
    """Killed thrice in the middle: no part of a file is left, and the fourth run completes."""
    home, photos, sealed = tmp_path / "home", tmp_path / "photos", tmp_path / "sealed"
    initialise(home=home).close()
    for number in range(_FILES):
        path = photos / str(number % 7) / str(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(1000 + number))
    source, target = photos, sealed
    if call == "open_tree":
        with open_keyring(home=home) as keyring:
            seal_tree(keyring, photos, sealed)
        source, target = sealed, tmp_path / "back"
    command = [sys.executable, "-c", _RUN.format(call=call), str(home), str(source), str(target)]
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("MFN_", "COVERAGE_"))}
    partly = 0
    for _ in range(3):
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(random.uniform(0.02, 0.25))
            process.send_signal(signal.SIGKILL)
        there = [path for path in target.rglob("*") if path.is_file()]
        assert not [path for path in there if path.name.endswith(".mfn-partial")]
        partly = len(there)
    finished = subprocess.run(command, capture_output=True, check=True, env=environ)
    done, skipped, failed = map(int, finished.stdout.split()[1:])
    assert (done + skipped, skipped, failed) == (_FILES, partly, 0)
    with open_keyring(home=home) as keyring:
        back = tmp_path / "back"
        if call == "seal_tree":
            assert open_tree(keyring, sealed, back).failed == []
    for path in photos.rglob("*"):
        if path.is_file():
            assert (back / path.relative_to(photos)).read_bytes() == path.read_bytes()
