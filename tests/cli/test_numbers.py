"""A number is what is seen: ASCII digits, and one spelling for each."""

from __future__ import annotations

import click
import pytest

from mycelium_fractal_net.cli.app import mfn as program
from mycelium_fractal_net.cli.numbers import WHOLE, WholeNumber
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.security.errors import ConfigurationError, ExitCode
from tests.cli.test_everywhere import commands
from tests.support.cli import Mfn, one_line

LOOK_ALIKE = ["\u0661\u0662", "\uff11", "1_0", "+1", " 1", "1 ", "1.0", "1e1", "0x10", "\u00b2", ""]


def test_every_number_of_the_command_line_is_read_alike() -> None:
    """None is left to int(), which takes the digits of every script."""
    params = [each for _, command in commands(program) for each in command.params]
    numbers = [
        each
        for each in (*params, *program.params)
        if isinstance(each.type, click.types.IntParamType)
    ]
    assert len(numbers) > 10
    assert {type(each.type) for each in numbers} == {WholeNumber, type(WHOLE)}


@pytest.mark.parametrize("text", LOOK_ALIKE)
def test_what_looks_like_a_number_is_none(mfn: Mfn, text: str) -> None:
    """On the command line and in the environment."""
    one_line(mfn("audit", "show", f"--limit={text}"), ExitCode.USAGE)
    one_line(mfn("key", "policy", "orders", f"--retain={text}"), ExitCode.USAGE)
    with pytest.raises(ConfigurationError, match="MFN_OUTAGE_SECONDS"):
        load_settings(environ={"MFN_OUTAGE_SECONDS": text})


def test_a_date_has_digits_that_are_seen(mfn: Mfn) -> None:
    """strptime takes other digits too."""
    wide = "\uff12\uff10\uff19\uff19-01-01"
    line = one_line(
        mfn("doctor", "acknowledge", "swap", "--until", wide, "--reason", "known"), ExitCode.USAGE
    )
    assert "--until is a date" in line


def test_a_traceback_that_was_asked_for_shows_no_escape_sequence(mfn: Mfn) -> None:
    """The text of an error names the file, whatever that is called."""
    ran = mfn("--debug", "decrypt", "no\x1b[2J\u202ething.mfn")
    assert "Traceback" in ran.err
    assert all(line.isprintable() for line in ran.err.splitlines())
    assert "no\\x1b[2J\\u202ething.mfn" in ran.err
