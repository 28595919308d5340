"""What the exit codes mean, and how a failure ends: its code, what is wrong, what to do."""

from __future__ import annotations

import errno
from collections.abc import Collection
from typing import Final, NamedTuple

from mycelium_fractal_net.security.errors import UNEXPECTED, ExitCode, MfnError, PicklableError

EXIT_MEANINGS: Final[dict[ExitCode, str]] = {
    ExitCode.OK: "done",
    ExitCode.UNEXPECTED: "an error in mfn itself; `--debug` shows where",
    ExitCode.USAGE: "the command line does not make sense",
    ExitCode.CONFIGURATION: "a setting is unknown or wrong, or an extra is missing",
    ExitCode.INPUT: "an input is missing or cannot be read",
    ExitCode.EXISTS: "the output, or the key to be made, exists; it was kept",
    ExitCode.WRITE: "the output could not be written: no space, no permission, or somebody else is"
    " at work on it or on the input; or the disk of the key store is full",
    ExitCode.KEY_UNKNOWN: "no such key or version",
    ExitCode.NOT_AUTHENTIC: "the message does not open, the signature does not verify, or audit"
    " records were tampered with",
    ExitCode.FORBIDDEN: "the key's state, type or use, or the policy, forbids it",
    ExitCode.STORE: "the key store or the master key is missing, damaged or out of reach",
    ExitCode.PARTIAL: "some files of a folder, or values of a column, failed; the others are done",
    ExitCode.DOCTOR_NOTICE: "`mfn doctor` found notices",
    ExitCode.DOCTOR_WARNING: "`mfn doctor` found warnings",
    ExitCode.DOCTOR_CRITICAL: "`mfn doctor` found something critical",
    ExitCode.INTERRUPTED: "Ctrl-C",
    ExitCode.BROKEN_PIPE: "whoever read the output has gone",
    ExitCode.TERMINATED: "SIGTERM or SIGHUP",
}


class CommandError(PicklableError):
    """A failure that the command line itself sees: what is wrong, and what to do about it."""

    def __init__(self, code: ExitCode, what: str, advice: str = "") -> None:
        super().__init__(what)
        self.code = code
        self.what = what
        self.advice = advice


class Outcome(NamedTuple):
    """How a failure ends: the exit code, what is wrong, what to do about it."""

    code: ExitCode
    what: str
    advice: str


NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a write fails with where there is no room, be it by a quota or a limit."""


def _of_the_system(error: OSError, options: Collection[str]) -> tuple[ExitCode, str]:
    """The exit code and advice for an error that knows no kind, in a command with ``options``."""
    elsewhere = "name another with -o" if "-o" in options else ""
    if isinstance(error, FileExistsError):
        replace = "add --force to replace it" if "--force" in options else "move it away"
        return ExitCode.EXISTS, " or ".join(filter(None, (replace, elsewhere)))
    if isinstance(error, FileNotFoundError):
        return ExitCode.INPUT, "check the path"
    mend = "make room" if error.errno in NO_ROOM else "see to its mode and file system"
    return ExitCode.WRITE, " or ".join(
        filter(None, (mend, elsewhere))
    ) + " (nothing was left there)"


def _what(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror is not None:
        name = error.filename if error.filename2 is None else error.filename2
        reason = error.strerror[:1].lower() + error.strerror[1:]
        return reason if name is None else f"{_path_text(name)}: {reason}"
    return str(error)


def _path_text(name: object) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


def outcome_of(error: Exception, options: Collection[str] = ()) -> Outcome:
    """The exit code and the two halves of the line for ``error`` of a command with ``options``.

    An error that is neither ours nor the system's gives only the name of its class: its text
    was not written for users and could quote what it was given.
    """
    if isinstance(error, CommandError):
        return Outcome(error.code, error.what, error.advice)
    if isinstance(error, MfnError):
        return _advised(error, error.kind.exit_code, error.kind.advice)
    if isinstance(error, OSError):
        return _advised(error, *_of_the_system(error, options))
    return Outcome(
        UNEXPECTED.exit_code, f"unexpected error: {type(error).__name__}", UNEXPECTED.advice
    )


def _advised(error: Exception, code: ExitCode, advice: str) -> Outcome:
    what = _what(error)
    return Outcome(code, what, "" if ";" in what else advice)  # some bring their own advice
