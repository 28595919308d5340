"""What cannot be undone is asked for on a terminal, and nowhere else."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.cli import PROGRAM, environment

if TYPE_CHECKING:
    from tests.support.cli import Mfn


def on_terminal(mfn: Mfn, answer: str, *arguments: str) -> tuple[int, str]:
    """Run a command on a terminal where somebody types ``answer``; its code and what it said."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, "--home", str(mfn.home), *arguments],
        env=environment(), cwd=mfn.folder, stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, answer.encode())
    said = b""
    try:
        while block := os.read(ours, 65_536):
            said += block
    except OSError:  # the terminal has gone with the process
        pass
    finally:
        os.close(ours)
    return process.wait(), said.decode()


def state(mfn: Mfn) -> str:
    """The state of the first version of ``orders``."""
    return str(mfn.ok("key", "show", "orders", "--json").json["versions"][0]["state"])


def test_no_answer_but_yes_does_it(mfn: Mfn) -> None:
    """An empty line is no; nothing is changed then, and the exit code says so."""
    for answer in ("\n", "n\n", "nonsense\n"):
        code, said = on_terminal(mfn, answer, "key", "compromise", "orders")
        assert code == 2
        assert "cannot be undone" in said
        assert "nothing was done" in said
        assert state(mfn) == "active"
    code, _ = on_terminal(mfn, "y\n", "key", "compromise", "orders")
    assert (code, state(mfn)) == (0, "compromised")


def test_yes_is_said_beforehand_or_by_a_program(mfn: Mfn) -> None:
    """``--yes`` asks nothing; nor does a command that is not on a terminal."""
    code, said = on_terminal(mfn, "", "key", "compromise", "orders", "--yes")
    assert (code, state(mfn)) == (0, "compromised")
    assert "[y/N]" not in said
    mfn.ok("key", "compromise", "release")


@pytest.mark.parametrize(
    "command",
    [
        "key destroy orders:v1", "credential revoke ID", "credential rotate ID --revoke-previous",
        "signer revoke billing", "master forget local", "key abandon release:v1 --reason gone",
        "rotation cleanup orders --reason done",
        "migrate-xor --commit plain", "rewrap plain.mfn --finished orders --reason done",
    ],
)  # fmt: skip
def test_each_command_that_cannot_be_undone_asks_first(mfn: Mfn, command: str) -> None:
    """Before it opens the store."""
    Path("plain").write_bytes(b"x")
    code, said = on_terminal(mfn, "n\n", *command.split())
    assert code == 2
    assert "this cannot be undone. Go on? [y/N]" in said


def test_what_can_be_undone_asks_nothing(mfn: Mfn) -> None:
    """A listing of what might go, a rotation, a suspension."""
    for command in ("rotation cleanup orders", "key rotate orders", "key suspend orders:v1"):
        code, said = on_terminal(mfn, "", *command.split())
        assert code == 0
        assert "[y/N]" not in said
