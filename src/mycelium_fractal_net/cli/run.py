"""One run of ``mfn``: from arguments to an exit code, with every failure told in one line."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Final, NoReturn

import typer

from mycelium_fractal_net.cli.app import command
from mycelium_fractal_net.cli.exits import outcome_of
from mycelium_fractal_net.cli.session import Session
from mycelium_fractal_net.cli.terminal import complain
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["run"]

_PROGRAM: Final = "mfn"
_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)
_COMPLETION_VARIABLE: Final = "_MFN_COMPLETE"  # set by the scripts of --install-completion


def run(arguments: list[str]) -> int:
    """Run the command that ``arguments`` name; returns the exit code."""
    session = Session()
    try:
        with _unwinding_signals(session):
            code = _invoke(arguments, session)
            _flush()
            return code
    except KeyboardInterrupt:
        return _interrupted(session)
    except BrokenPipeError:
        _abandon_stdout()
        return ExitCode.BROKEN_PIPE
    except typer.TyperException as error:
        return _misused(error)
    except Exception as error:
        try:
            _flush()
        except OSError:  # a full disk, which would fail the interpreter's last flush as well
            _abandon_stdout()
        return _failed(error, session)


def _invoke(arguments: list[str], session: Session) -> int:
    entry = command()
    if _COMPLETION_VARIABLE in os.environ:
        entry.main(args=arguments, prog_name=_PROGRAM, complete_var=_COMPLETION_VARIABLE)
    # Not entry.main(): it turns Ctrl-C, closed pipes and the end of input into codes of its own.
    try:
        with entry.make_context(_PROGRAM, arguments, obj=session) as context:
            entry.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    return ExitCode.OK


@contextlib.contextmanager
def _unwinding_signals(session: Session) -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the stack as Ctrl-C does, so that temporary files go."""

    def unwind(number: int, _frame: FrameType | None) -> NoReturn:
        session.ended_by = number
        raise KeyboardInterrupt

    former = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.getsignal(number) for number in _ENDING}
        # One that is ignored, as SIGHUP is under nohup, stays so.
        former = {n: h for n, h in handlers.items() if h not in (None, signal.SIG_IGN)}
    for number in former:
        signal.signal(number, unwind)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _interrupted(session: Session) -> int:
    if session.debug:
        traceback.print_exc()
    complain("interrupted; finished files are kept, unfinished ones were removed")
    return ExitCode.INTERRUPTED if session.ended_by is None else ExitCode.TERMINATED


def _misused(error: typer.TyperException) -> int:
    what = " ".join(error.format_message().split()).rstrip(".").replace("Value error, ", "")
    context = getattr(error, "ctx", None)
    path = _PROGRAM if context is None else context.command_path
    complain(f"{what[:1].lower()}{what[1:]}; '{path} --help' shows how it is used")
    return ExitCode.USAGE


def _failed(error: Exception, session: Session) -> int:
    if session.debug:
        # The standard form: source lines and no values of variables, which may be secrets.
        traceback.print_exc()
    code, what, advice = outcome_of(error)
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
