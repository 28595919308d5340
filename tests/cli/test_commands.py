"""The frame of the command line: its exit codes, its lines, its document."""

from __future__ import annotations

import errno
import inspect
import json
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.cli import main, terminal
from mycelium_fractal_net.cli.app import mfn
from mycelium_fractal_net.cli.exits import EXIT_MEANINGS, outcome_of
from mycelium_fractal_net.security import errors
from mycelium_fractal_net.security.errors import ExitCode
from scripts import cli_docs
from tests.support.cli import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
ERRORS = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if each.__module__ == errors.__name__ and issubclass(each, errors.MfnError)
]


def made(kind: type[Exception]) -> Exception:
    """An error of that class."""
    if kind is errors.MissingExtraError:
        return errors.MissingExtraError("PostgreSQL", "postgresql")
    if kind is errors.BoundNameError:
        return errors.BoundNameError("something is wrong")
    if issubclass(
        kind, errors.AuthenticationError | errors.DecryptionError | errors.InvalidSignatureError
    ):
        return kind()
    return kind("something is wrong")


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_of_the_package_has_a_code_and_advice(kind: type[errors.MfnError]) -> None:
    """Only the root itself, which nobody raises, is unexpected."""
    outcome = outcome_of(made(kind))
    assert outcome.advice
    assert (outcome.code is ExitCode.UNEXPECTED) == (kind is errors.MfnError)


def test_an_unknown_error_gives_its_class_and_not_its_text() -> None:
    """Its text was not written for users and may quote a secret."""
    outcome = outcome_of(ValueError("hunter2"))
    assert outcome.code is ExitCode.UNEXPECTED
    assert "hunter2" not in outcome.what + outcome.advice
    assert "ValueError" in outcome.what


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOENT, ExitCode.INPUT),
        (errno.EEXIST, ExitCode.EXISTS),
        (errno.ENOSPC, ExitCode.WRITE),
        (errno.EACCES, ExitCode.WRITE),
        (errno.EROFS, ExitCode.WRITE),
    ],
)
def test_an_error_of_the_system_has_its_code_and_names_the_path(
    number: int, code: ExitCode
) -> None:
    """The path and the reason, without the number."""
    outcome = outcome_of(OSError(number, "Some reason", "some/path"))
    assert (outcome.code, outcome.what) == (code, "some/path: some reason")


def test_an_error_that_brings_its_own_advice_gets_no_second() -> None:
    """The errors of key states end with what to do."""
    assert outcome_of(errors.KeyStateError("it is old; rotate it")).advice == ""


def test_every_exit_code_has_a_meaning_and_the_numbers_stay() -> None:
    """Scripts rely on them: this list may grow and never change."""
    assert list(EXIT_MEANINGS) == list(ExitCode)
    assert {code.name: code.value for code in ExitCode} == {
        "OK": 0, "UNEXPECTED": 1, "USAGE": 2, "CONFIGURATION": 3, "INPUT": 4, "EXISTS": 5,
        "WRITE": 6, "KEY_UNKNOWN": 7, "NOT_AUTHENTIC": 8, "FORBIDDEN": 9, "STORE": 10,
        "PARTIAL": 11, "DOCTOR_NOTICE": 20, "DOCTOR_WARNING": 21, "DOCTOR_CRITICAL": 22,
        "INTERRUPTED": 130, "BROKEN_PIPE": 141, "TERMINATED": 143,
    }  # fmt: skip


def test_the_document_has_every_command_option_and_exit_code_of_the_code() -> None:
    """docs/cli.md holds the help of every command word for word, and the table of codes."""
    page = (ROOT / "docs" / "cli.md").read_text()
    assert page == cli_docs.page(page)
    for name in ("encrypt", "key cancel-destruction", "master passphrase", "doctor"):
        assert f"### `mfn {name}`" in page


def test_every_command_and_option_says_what_it_does() -> None:
    """No option without its help text, no command without its sentence."""
    text = cli_docs.commands()
    assert not re.findall(r"^  (?:-\w, )?--[\w-]+(?: \w+)?$", text, re.MULTILINE)


def test_the_list_of_commands_says_of_each_what_its_own_help_says() -> None:
    """The list is there before the commands are; a sentence has the same words in both places."""
    context = mfn.make_context("mfn", [], resilient_parsing=True)
    for name, listed in mfn.commands.items():
        command = mfn.get_command(context, name)
        assert command is not None
        assert command is not listed
        assert command.name == name
        assert listed.get_short_help_str(1000) == command.get_short_help_str(1000)


def test_a_command_that_does_not_exist_names_the_one_that_was_meant(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Among those that are imported when they are called, and within a group."""
    for typed, meant in ((["kee"], "key"), (["key", "lst"], "list")):
        assert main(typed) == ExitCode.USAGE
        assert f"did you mean '{meant}'?" in capsys.readouterr().err.lower()


def test_help_loads_no_command_and_nothing_heavy() -> None:
    """Whoever asks for help, or mistypes, does not wait for what a command needs."""
    code = (
        "import sys; before = set(sys.modules);"
        "from mycelium_fractal_net.cli import main; main(['--help']);"
        "heavy = ('cryptography', 'msgspec', 'pydantic', 'sqlalchemy',"
        " 'mycelium_fractal_net.config', 'mycelium_fractal_net.bootstrap',"
        " 'mycelium_fractal_net.cli.commands');"
        "new = sys.modules.keys() - before;"
        "print([name for name in new if name.startswith(heavy)], file=sys.stderr)"
    )
    done = subprocess.run([PROGRAM[0], "-c", code], capture_output=True, text=True, check=True)
    assert "  migrate-xor  " in done.stdout
    assert done.stderr == "[]\n"


def test_a_long_table_is_printed_as_it_comes(capsys: pytest.CaptureFixture[str]) -> None:
    """Its first rows are out before the last are read; a later, wider part is aligned in itself."""
    seen = []

    def rows() -> Iterator[tuple[str, str]]:
        for number in range(2000):
            if number == 1500:
                seen.append(capsys.readouterr().out)
            yield (f"k{number}" if number < 1000 else f"key{number}", "x")

    terminal.columns(("KEY", "X"), rows())
    first = seen[0].splitlines()
    assert first[:2] == ["KEY   X", "k0    x"]
    assert len(first) == 1000
    assert capsys.readouterr().out.splitlines()[-1] == "key1999  x"


def test_ctrl_c_while_the_program_loads_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything can have been done, and without a trace."""

    def pressed(arguments: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("mycelium_fractal_net.cli.run.run", pressed)
    assert main(["key", "list"]) == ExitCode.INTERRUPTED
    assert capsys.readouterr().err == "mfn: interrupted before anything was done\n"


def test_one_is_not_a_plural() -> None:
    """1 file, 2 files, 0 files."""
    assert [terminal.counted(n, "file") for n in (0, 1, 2)] == ["0 files", "1 file", "2 files"]


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 20, "1.0 MiB"), (1 << 30, "1.0 GiB"),
     (5 << 40, "5.0 TiB")],
)  # fmt: skip
def test_sizes_read_well(count: int, text: str) -> None:
    """Binary units, one digit."""
    assert terminal.byte_size(count) == text


def test_what_is_printed_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    """A file name may hold escape sequences; they are not sent to the terminal."""
    terminal.say("a\x1b[2Jb\nc")
    assert capsys.readouterr().out == "a\\x1b[2Jb\\nc\n"


def test_json_of_the_command_line_is_printable_ascii() -> None:
    """Tables and trees for machines are shown on terminals too: SARIF and CBOM among them."""
    text = "a\x1b[2J\x7f\x9b\u202e\u2028\udcff\U0001f511"
    for value in ({"path": text}, {"path": text.replace("\udcff", "")}):
        made = terminal.json_text(value)
        assert made.isascii()
        assert all(line.isprintable() for line in made.splitlines())
        assert json.loads(made) == value


def test_an_empty_array_is_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    """A store without keys lists as ``[]``."""
    terminal.json_array([])
    assert capsys.readouterr().out == "[]\n"


def test_an_array_is_printed_as_a_value_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Two spaces, and in ASCII, whatever is in it."""
    values = [{"a": [], "b": {}, "c": [1, None, True]}, {"name": "Zoë\x00\\"}, "x", "\udc80"]
    terminal.json_array(values)
    written = capsys.readouterr().out
    assert json.loads(written) == values
    assert written.isascii()
    assert json.dumps(values[0], indent=2) in written
