"""What the exit codes mean, and how a failure ends: its code, what is wrong, what to do."""

from __future__ import annotations

from typing import Final, NamedTuple

from mycelium_fractal_net.security.errors import UNEXPECTED, ExitCode, MfnError

EXIT_MEANINGS: Final[dict[ExitCode, str]] = {
    ExitCode.OK: "done",
    ExitCode.UNEXPECTED: "an error in mfn itself; `--debug` shows where",
    ExitCode.USAGE: "the command line does not make sense",
    ExitCode.CONFIGURATION: "a setting is unknown or wrong, or an extra is missing",
    ExitCode.INPUT: "an input is missing or cannot be read",
    ExitCode.EXISTS: "the output, or the key to be made, exists; it was kept",
    ExitCode.WRITE: "the output could not be written: no space, or no permission",
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


class CommandError(Exception):
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


# The errors of the system, which know no kind. The narrower stand first.
_OF_THE_SYSTEM: Final[tuple[tuple[type[OSError], ExitCode, str], ...]] = (
    (FileExistsError, ExitCode.EXISTS, "add --force to replace it, or name another with -o"),
    (FileNotFoundError, ExitCode.INPUT, "check the path"),
    (OSError, ExitCode.WRITE, "make room or choose another place with -o; nothing was left behind"),
)


def _what(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror is not None:
        name = error.filename if error.filename2 is None else error.filename2
        reason = error.strerror[:1].lower() + error.strerror[1:]
        return reason if name is None else f"{_path_text(name)}: {reason}"
    return str(error)


def _path_text(name: object) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


def outcome_of(error: Exception) -> Outcome:
    """The exit code and the two halves of the line for ``error``.

    An error that is neither ours nor the system's gives only the name of its class: its text
    was not written for users and could quote what it was given.
    """
    if isinstance(error, CommandError):
        return Outcome(error.code, error.what, error.advice)
    if isinstance(error, MfnError):
        return _advised(error, error.kind.exit_code, error.kind.advice)
    for kind, code, advice in _OF_THE_SYSTEM:
        if isinstance(error, kind):
            return _advised(error, code, advice)
    return Outcome(
        UNEXPECTED.exit_code, f"unexpected error: {type(error).__name__}", UNEXPECTED.advice
    )


def _advised(error: Exception, code: ExitCode, advice: str) -> Outcome:
    what = _what(error)
    return Outcome(code, what, "" if ";" in what else advice)  # some bring their own advice
