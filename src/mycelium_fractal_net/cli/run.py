"""One run of ``mfn``: from arguments to an exit code, with every failure told in one line."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Final, NoReturn

import click

from mycelium_fractal_net.cli.app import mfn
from mycelium_fractal_net.cli.completion import COMPLETION_VARIABLE, complete
from mycelium_fractal_net.cli.exits import outcome_of
from mycelium_fractal_net.cli.invocation import Invocation
from mycelium_fractal_net.cli.terminal import complain, handling, show_traceback
from mycelium_fractal_net.security.errors import ExitCode

_PROGRAM: Final = "mfn"
_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)


def run(arguments: list[str]) -> int:
    """Run the command that ``arguments`` name; returns the exit code."""
    invocation = Invocation()
    try:
        with _unwinding_signals(invocation):
            code = _invoke(arguments, invocation)
            _flush()
            return code
    except KeyboardInterrupt:
        return _interrupted(invocation)
    except BrokenPipeError:
        _abandon_stdout()
        return ExitCode.BROKEN_PIPE
    except click.ClickException as error:
        return _misused(error)
    except Exception as error:
        try:
            _flush()
        except OSError:  # a full disk, which would fail the interpreter's last flush as well
            _abandon_stdout()
        return _failed(error, invocation)


def _invoke(arguments: list[str], invocation: Invocation) -> int:
    if COMPLETION_VARIABLE in os.environ:
        return complete(mfn, os.environ[COMPLETION_VARIABLE])
    # Not mfn.main(): it turns Ctrl-C, closed pipes and the end of input into codes of its own.
    try:
        with mfn.make_context(_PROGRAM, arguments, obj=invocation) as context:
            mfn.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    return ExitCode.OK


@contextlib.contextmanager
def _unwinding_signals(invocation: Invocation) -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the stack as Ctrl-C does, so that temporary files go."""

    def unwind(number: int, _frame: FrameType | None) -> NoReturn:
        invocation.ended_by = number
        raise KeyboardInterrupt

    with handling(_ENDING, unwind):
        yield


def _interrupted(invocation: Invocation) -> int:
    if invocation.debug:
        show_traceback()
    if invocation.ends_when_asked:
        return ExitCode.OK
    complain("interrupted; finished files are kept, unfinished ones were removed")
    return ExitCode.INTERRUPTED if invocation.ended_by is None else ExitCode.TERMINATED


def _misused(error: click.ClickException) -> int:
    what = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    path = _PROGRAM if context is None else context.command_path
    complain(f"{what[:1].lower()}{what[1:]}; '{path} --help' shows how it is used")
    return ExitCode.USAGE


def _failed(error: Exception, invocation: Invocation) -> int:
    if invocation.debug:
        show_traceback()
    code, what, advice = outcome_of(error, invocation.options)
    complain(f"{what}; {advice}" if advice else what)
    return code


def _flush() -> None:
    if sys.stdout is not None:  # as it is where the shell closed it
        sys.stdout.flush()


def _abandon_stdout() -> None:
    """Point standard output to nowhere, so that the interpreter's last flush does not complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
