"""Completion in a shell: the script is installed, and a real shell completes with it."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import shlex
import shutil
import sqlite3
import subprocess
import time
from pathlib import Path

import click
import pytest

from mycelium_fractal_net.cli import completion
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.invocation import Invocation
from mycelium_fractal_net.security.errors import ExitCode
from tests.support.cli import PROGRAM, Mfn, environment


@pytest.fixture
def shells(tmp_path: Path) -> Path:
    """A folder with ``mfn``, and with shells of several names, which are all bash."""
    bash = shutil.which("bash")
    assert bash is not None
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "zsh", "fish"):
        (folder / name).symlink_to(bash)
    program = folder / "mfn"
    program.write_text(f'#!{bash}\nexec {shlex.join(PROGRAM)} "$@"\n')
    program.chmod(0o755)
    return folder


def in_shell(shells: Path, shell: str, script: str, **more: str) -> str:
    """What a shell of that name prints; the home folder is the parent of ``shells``."""
    done = subprocess.run(
        [shells / shell, "-c", f"{script}\ntrue"],
        env=environment({"HOME": str(shells.parent), "PATH": f"{shells}:/usr/bin:/bin", **more}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def test_bash_completes_commands_and_keys_once_it_is_installed(shells: Path, mfn: Mfn) -> None:
    """Through the line in its startup file, as the next shell does."""
    home = shells.parent
    (home / ".bashrc").write_text("# mine")
    said = in_shell(shells, "bash", "mfn --install-completion")
    script = home / ".bash_completions" / "mfn.sh"
    assert str(script) in said
    line = "source ~/.bash_completions/mfn.sh"
    assert (home / ".bashrc").read_text() == f"# mine\n{line}\n"
    in_shell(shells, "bash", "mfn --install-completion")
    assert (home / ".bashrc").read_text() == f"# mine\n{line}\n"

    def completed(*words: str) -> list[str]:
        typed = f"COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}"
        ask = f'source ~/.bashrc; {typed}; _mfn_completion mfn; echo "${{COMPREPLY[@]}}"'
        return in_shell(shells, "bash", ask, MFN_HOME=str(mfn.home)).split()

    assert completed("mfn", "mig") == ["migrate-xor"]
    assert completed("mfn", "key", "show", "ord") == ["orders"]
    assert completed("mfn", "encrypt", "--assoc") == [
        "--associated-data", "--associated-data-file",
    ]  # fmt: skip
    # Bash ends a word at a colon, and puts what comes back behind it.
    assert completed("mfn", "key", "suspend", "orders", ":") == ["v1"]
    assert completed("mfn", "key", "suspend", "orders", ":", "v") == ["v1"]
    assert completed("mfn", "key", "suspend", "orders:v") == ["orders:v1"]
    assert completed("mfn", "--home", str(mfn.home), "key", "show", "") == sorted(
        ["default-encryption", "default-mac", "default-signing", "orders", "release"]
    )


def test_a_version_is_completed_behind_its_colon_where_somebody_types(
    shells: Path, mfn: Mfn
) -> None:
    """In an interactive bash: the TAB key, and the command that then runs."""
    home = shells.parent
    in_shell(shells, "bash", "mfn --install-completion")
    ours, theirs = pty.openpty()
    shell = subprocess.Popen(
        [shells / "bash", "--rcfile", home / ".bashrc", "-i"],
        env=environment(
            {"HOME": str(home), "PATH": f"{shells}:/usr/bin:/bin", "MFN_HOME": str(mfn.home)}
        ),
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    said = b""
    try:
        os.write(ours, b"mfn key public release:\t")
        deadline = time.monotonic() + 60
        while b"release:v1" not in said and time.monotonic() < deadline:
            if select.select([ours], [], [], 0.2)[0]:
                said += os.read(ours, 65_536)
        os.write(ours, b"\n")
        while b"END PUBLIC KEY" not in said and time.monotonic() < deadline:
            if select.select([ours], [], [], 0.2)[0]:
                said += os.read(ours, 65_536)
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)
    assert b"release:v1" in said
    assert b"END PUBLIC KEY" in said


def test_powershell_gets_a_script_and_what_it_asks_for(shells: Path, mfn: Mfn) -> None:
    """As its script asks: the line up to the cursor and the word there; a colon ends none."""
    (shells / "pwsh").symlink_to(shutil.which("bash") or "")
    in_shell(shells, "pwsh", "mfn --install-completion")
    home = shells.parent
    assert (
        "Register-ArgumentCompleter -Native -CommandName mfn"
        in (home / ".config/powershell/mfn.ps1").read_text()
    )

    def completed(line: str, word: str) -> list[str]:
        asked = {"_MFN_COMPLETE": "pwsh_complete", "COMP_WORDS": line, "COMP_WORD": word}
        said = mfn.process(env={**asked, "MFN_HOME": str(mfn.home)}).out
        return [each.split("\t")[1] for each in said.splitlines()]

    assert completed("mfn key suspend orders:v", "orders:v") == ["orders:v1"]
    assert completed("mfn key cancel", "cancel") == ["cancel-destruction"]
    assert "orders" in completed("mfn key show ", "")


def test_zsh_and_fish_get_scripts_of_their_own(shells: Path) -> None:
    """Each where its shell looks."""
    in_shell(shells, "zsh", "mfn --install-completion")
    home = shells.parent
    assert (home / ".zfunc" / "_mfn").read_text().startswith("#compdef mfn\n")
    assert "fpath+=~/.zfunc" in (home / ".zshrc").read_text()
    in_shell(shells, "fish", "mfn --install-completion")
    installed = home / ".config" / "fish" / "completions" / "mfn.fish"
    assert "complete --no-files --command mfn" in installed.read_text()


def test_the_script_is_shown_and_nothing_is_installed(shells: Path) -> None:
    """For whoever keeps startup files elsewhere."""
    assert "_mfn_completion_setup" in in_shell(shells, "bash", "mfn --show-completion")
    assert "#compdef mfn" in in_shell(shells, "zsh", "mfn --show-completion")
    assert [path.name for path in shells.parent.iterdir()] == ["bin"]


def test_the_script_of_an_earlier_release_still_completes(mfn: Mfn) -> None:
    """It asks in other words, and takes values alone, one a line."""
    asked = {"COMP_CWORD": "3", "COMP_WORDS": "mfn key show ord", "MFN_HOME": str(mfn.home)}
    assert mfn.process(env={"_MFN_COMPLETE": "complete_bash", **asked}).out == "orders\n"
    assert mfn.process(env={"_MFN_COMPLETE": "bash_complete", **asked}).out == "plain,orders\n"
    file = asked | {"COMP_WORDS": "mfn restore --", "COMP_CWORD": "2"}
    assert "--json" in mfn.process(env={"_MFN_COMPLETE": "complete_bash", **file}).out


def test_a_shell_that_there_is_no_script_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what started this process nor the login shell is one that can complete."""
    monkeypatch.setattr(completion, "_PLACES", {})
    with pytest.raises(CommandError, match="none of them") as caught:
        completion._current_shell()
    assert caught.value.code is ExitCode.USAGE


def test_a_damaged_record_does_not_keep_the_others_from_being_completed(mfn: Mfn) -> None:
    """It is not completed; ``list`` and doctor name it."""
    with contextlib.closing(sqlite3.connect(mfn.home / "keys.db")) as database, database:
        database.execute("UPDATE mfn_keys SET mac = zeroblob(32) WHERE key_id = 'orders'")
    context = click.Context(click.Command("mfn"), obj=Invocation(home=str(mfn.home)))
    found = completion.key_names(context, click.Option(["--key"]), "")
    assert "release" in found
    assert "orders" not in found
