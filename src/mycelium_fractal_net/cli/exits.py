"""The one table from error to exit code, and to the advice that goes with it."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple

from mycelium_fractal_net.security import errors


class ExitCode(IntEnum):
    """What ``mfn`` exits with. The numbers are part of the interface: they never change."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    CONFIGURATION = 3
    INPUT = 4
    EXISTS = 5
    WRITE = 6
    KEY_UNKNOWN = 7
    NOT_AUTHENTIC = 8
    FORBIDDEN = 9
    STORE = 10
    PARTIAL = 11
    DOCTOR_NOTICE = 20
    DOCTOR_WARNING = 21
    DOCTOR_CRITICAL = 22
    INTERRUPTED = 130  # 128 + SIGINT, as shells count
    BROKEN_PIPE = 141  # 128 + SIGPIPE
    TERMINATED = 143  # 128 + SIGTERM


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


# The first class that an error is an instance of decides, so the narrower stand first.
_TABLE: Final[tuple[tuple[type[Exception], ExitCode, str], ...]] = (
    (errors.ConfigurationError, ExitCode.CONFIGURATION, "mend the configuration and try again"),
    (errors.InvalidInputError, ExitCode.USAGE, "'mfn COMMAND --help' says what is taken"),
    (errors.AlgorithmNotAllowedError, ExitCode.FORBIDDEN, "the configuration says what is allowed"),
    (
        errors.DecryptionError,
        ExitCode.NOT_AUTHENTIC,
        "give the -a it was sealed with, and the store that holds its key",
    ),
    (
        errors.InvalidSignatureError,
        ExitCode.NOT_AUTHENTIC,
        "do not use the file unless you know why",
    ),
    (errors.KeyNotFoundError, ExitCode.KEY_UNKNOWN, "'mfn key list' shows the keys there are"),
    (
        errors.KeyExistsError,
        ExitCode.EXISTS,
        "choose another name, or 'mfn key rotate' for a new version",
    ),
    (errors.KeyUsageError, ExitCode.FORBIDDEN, "'mfn key show' says what the key is for"),
    (errors.KeyStateError, ExitCode.FORBIDDEN, "'mfn key show' lists the states"),
    (errors.KeyNotExportableError, ExitCode.FORBIDDEN, "use the key through mfn"),
    (errors.UsageLimitError, ExitCode.FORBIDDEN, "'mfn key rotate' gives a fresh version"),
    (errors.ConflictError, ExitCode.STORE, "nothing was changed; try again"),
    (errors.AuthenticationError, ExitCode.FORBIDDEN, "'mfn credential list' shows those there are"),
    (errors.NotPermittedError, ExitCode.FORBIDDEN, "use a credential that has the scope"),
    (errors.AuditUnavailableError, ExitCode.STORE, "nothing was done; 'mfn doctor' looks closer"),
    (errors.MasterKeyError, ExitCode.STORE, "'mfn init' makes one, 'mfn doctor' looks closer"),
    (errors.StoreError, ExitCode.STORE, "'mfn doctor' says what to mend"),
    (
        errors.DatabaseUnavailableError,
        ExitCode.INPUT,
        "what was done stays done; mend the cause and run the same again",
    ),
    (errors.ServiceError, ExitCode.STORE, "see whether the service runs, and what its log says"),
    (FileExistsError, ExitCode.EXISTS, "add --force to replace it, or name another with -o"),
    (FileNotFoundError, ExitCode.INPUT, "check the path"),
    (OSError, ExitCode.WRITE, "make room or choose another place with -o; nothing was left behind"),
    (errors.MfnError, ExitCode.UNEXPECTED, "run it again with --debug and report it"),
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

    An error of a class that the table does not know gives only the name of its class: its
    text was not written for users and could quote what it was given.
    """
    if isinstance(error, CommandError):
        return Outcome(error.code, error.what, error.advice)
    for kind, code, advice in _TABLE:
        if isinstance(error, kind):
            what = _what(error)
            # The errors of the key states bring their own advice.
            return Outcome(code, what, "" if ";" in what else advice)
    return Outcome(
        ExitCode.UNEXPECTED,
        f"unexpected error: {type(error).__name__}",
        "run it again with --debug and report it",
    )
