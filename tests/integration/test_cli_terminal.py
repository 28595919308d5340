"""What only a terminal sees: prompts without echo, progress, and no bytes."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import termios
import time
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.cli import passphrase
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.security.errors import ExitCode
from tests.support.cli import PROGRAM, Mfn, environment

if TYPE_CHECKING:
    from collections.abc import Sequence

WAIT_SECONDS = 20


def on_terminal(mfn: Mfn, *arguments: str, answers: Sequence[str] = ()) -> tuple[int, str]:
    """Run on a terminal of its own, answer each prompt; the exit code and all that was shown."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, "--home", str(mfn.home), *arguments],
        cwd=mfn.folder,
        env=environment({"TERM": "xterm", "COLUMNS": "100"}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    shown = ""
    waiting = list(answers)
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if not select.select([ours], [], [], 0.05)[0]:
            continue
        try:
            block = os.read(ours, 65_536)
        except OSError:  # the other end is closed
            break
        if not block:
            break
        shown += block.decode(errors="replace")
        if waiting and shown.endswith(": "):
            time.sleep(0.02)  # the prompt is shown just before the echo is switched off
            os.write(ours, f"{waiting.pop(0)}\n".encode())
    os.close(ours)
    return process.wait(WAIT_SECONDS), shown


def test_init_asks_twice_for_a_passphrase_and_shows_none(empty: Mfn) -> None:
    """Then every command asks for it once."""
    code, shown = on_terminal(empty, "init", "--passphrase", answers=["horse", "horse"])
    assert (code, "horse" in shown) == (0, False)
    assert shown.count("New passphrase") == 2
    code, shown = on_terminal(empty, "key", "list", answers=["horse"])
    assert (code, "default-encryption" in shown, "horse" in shown) == (0, True, False)


def test_the_passphrase_of_the_master_key_is_changed_on_the_terminal(empty: Mfn) -> None:
    """The old one is asked for once, the new one twice."""
    on_terminal(empty, "init", "--passphrase", answers=["horse", "horse"])
    answers = ["horse", "staple", "staple"]
    code, shown = on_terminal(empty, "master", "passphrase", answers=answers)
    assert (code, "horse" in shown, "staple" in shown) == (0, False, False)
    assert on_terminal(empty, "key", "list", answers=["horse"])[0] == ExitCode.STORE


def test_two_different_answers_set_no_passphrase(empty: Mfn) -> None:
    """A typing error must not lock the keys away."""
    code, shown = on_terminal(empty, "init", "--passphrase", answers=["horse", "house"])
    assert code == ExitCode.USAGE
    assert "the two passphrases differ" in shown
    assert not empty.home.exists()


def test_the_end_of_input_at_a_prompt_is_an_answer_that_is_missing(empty: Mfn) -> None:
    """Ctrl-D is exit code 4 and no trace."""
    code, shown = on_terminal(empty, "init", "--passphrase", answers=["\x04"])
    assert code in (ExitCode.INPUT, ExitCode.USAGE)
    assert "Traceback" not in shown


def test_bytes_are_not_written_to_a_terminal_unless_forced(mfn: Mfn) -> None:
    """They could do anything to it."""
    (mfn.folder / "f").write_bytes(b"x")
    code, shown = on_terminal(mfn, "encrypt", "f", "-o", "-")
    assert (code, "MFN" in shown) == (ExitCode.USAGE, False)
    assert "the output is a terminal" in shown
    code, shown = on_terminal(mfn, "encrypt", "f", "-o", "-", "--force")
    assert (code, "MFN" in shown) == (0, True)


@pytest.mark.parametrize("command", ["encrypt", "sign"])
def test_a_bar_is_drawn_for_much_work_and_taken_away(mfn: Mfn, command: str) -> None:
    """Not for little, and not with ``--quiet``."""
    (mfn.folder / "large").write_bytes(bytes(9 << 20))
    (mfn.folder / "small").write_bytes(bytes(9 << 10))
    key = {"encrypt": "orders", "sign": "release"}[command]
    drawn = {
        name: "/9.0 MiB" in on_terminal(mfn, *flags, command, file, "-k", key, "--force")[1]
        for name, file, flags in (
            ("large", "large", ()),
            ("small", "small", ()),
            ("quiet", "large", ("--quiet",)),
        )
    }
    assert drawn == {"large": True, "small": False, "quiet": False}


def test_folders_and_the_master_key_have_a_bar_that_counts(mfn: Mfn) -> None:
    """In files and in keys."""
    (mfn.folder / "photos").mkdir()
    (mfn.folder / "photos" / "a").write_bytes(b"a")
    assert "1/1" in on_terminal(mfn, "encrypt", "-r", "photos", "-o", "sealed")[1]
    assert "5/5" in on_terminal(mfn, "master", "rotate")[1]


def test_no_bar_and_no_escape_reaches_a_file(mfn: Mfn) -> None:
    """Standard error that is no terminal stays empty."""
    (mfn.folder / "large").write_bytes(bytes(9 << 20))
    ran = mfn.process("encrypt", "large")
    assert ran.err == ""
    assert "\x1b" not in ran.out


def test_ask_without_any_terminal_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard input that is a pipe is not read as an answer."""
    monkeypatch.setattr(passphrase, "_has_terminal", lambda: False)
    with pytest.raises(CommandError) as caught:
        passphrase.ask()
    assert caught.value.code is ExitCode.STORE
