"""Ctrl-C and its relatives, as real signals to a real process in the middle of its work."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from mycelium_fractal_net.security.errors import ExitCode
from tests.support.cli import PROGRAM, Mfn, environment, snapshot

MIB = 1 << 20
WAIT_SECONDS = 20


def started(mfn: Mfn, *arguments: str) -> subprocess.Popen[bytes]:
    """A run that reads standard input from a pipe."""
    return subprocess.Popen(
        [*PROGRAM, "--home", str(mfn.home), *arguments],
        cwd=mfn.folder,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """Its exit code and what it wrote to standard error."""
    _, err = process.communicate(timeout=WAIT_SECONDS)
    return process.returncode, err.decode()


def feed(process: subprocess.Popen[bytes], data: bytes) -> None:
    """Give it input; returns when all but a pipe's worth of it was taken."""
    assert process.stdin is not None
    process.stdin.write(data)
    process.stdin.flush()


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, ExitCode.INTERRUPTED),
        (signal.SIGTERM, ExitCode.TERMINATED),
        (signal.SIGHUP, ExitCode.TERMINATED),
    ],
)
def test_a_signal_while_sealing_leaves_no_output_and_one_line(
    mfn: Mfn, number: signal.Signals, code: ExitCode
) -> None:
    """Half of the input was sealed by then; nothing of it stays."""
    process = started(mfn, "encrypt", "-", "-o", "out.mfn")
    feed(process, bytes(MIB))
    process.send_signal(number)
    status, err = ended(process)
    assert status == code
    assert err.startswith("mfn: interrupted")
    assert err.count("\n") == 1
    assert snapshot(mfn.folder) == {}


def test_ctrl_c_while_opening_keeps_the_output_that_force_would_replace(mfn: Mfn) -> None:
    """The old file has its name and its bytes."""
    (mfn.folder / "plain").write_bytes(bytes(2 * MIB))
    mfn.ok("encrypt", "plain")
    before = snapshot(mfn.folder)
    process = started(mfn, "decrypt", "-", "-o", "plain", "--force")
    feed(process, before["plain.mfn"][:MIB])
    process.send_signal(signal.SIGINT)
    assert ended(process)[0] == ExitCode.INTERRUPTED
    assert snapshot(mfn.folder) == before


def written(process: subprocess.Popen[bytes]) -> int:
    """How many bytes the process has written so far."""
    for line in Path(f"/proc/{process.pid}/io").read_text().splitlines():
        if line.startswith("wchar: "):
            return int(line.removeprefix("wchar: "))
    raise AssertionError("the kernel does not count what processes write")


def test_ctrl_c_in_a_folder_keeps_finished_files_and_the_next_run_goes_on(mfn: Mfn) -> None:
    """The large file was in work and leaves nothing; afterwards all are there."""
    photos = mfn.folder / "photos"
    photos.mkdir()
    (photos / "small").write_bytes(b"small")
    with (photos / "large").open("wb") as file:
        file.truncate(512 * MIB)  # holes: nothing to write, and long to seal
    process = started(mfn, "encrypt", "-r", "photos", "-o", "sealed", "--workers", "1")
    deadline = time.monotonic() + WAIT_SECONDS
    while written(process) < 4 * MIB and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    status, err = ended(process)
    assert (status, err.count("\n")) == (ExitCode.INTERRUPTED, 1)
    assert not (mfn.folder / "sealed" / "large.mfn").exists()
    with (photos / "large").open("r+b") as file:
        file.truncate(MIB)
    mfn.ok("encrypt", "-r", "photos", "-o", "sealed")
    names = sorted(os.listdir(mfn.folder / "sealed"))
    assert names == ["large.mfn", "small.mfn"]
    mfn.ok("decrypt", "-r", "sealed", "-o", "back")
    assert (mfn.folder / "back" / "small").read_bytes() == b"small"
