"""Every error that this package raises, under one root.

    MfnError
    ├── ConfigurationError            a setting is unknown or wrong; nothing was started
    │   └── MissingExtraError         an optional dependency is needed; names the extra
    ├── InvalidInputError             what the caller passed cannot be used as it is
    │   └── InvalidKeyError           key material of the wrong size, kind or encoding
    ├── AlgorithmNotAllowedError      the policy does not allow the algorithm
    ├── DecryptionError               the message does not open; one text for every reason
    │   └── BoundNameError            a file is not called what its message is bound to
    ├── InvalidSignatureError         the signature or MAC does not verify
    │   └── RequestSignatureError     the request is not signed as it must be
    ├── KeyNotFoundError              no such key or version
    ├── KeyExistsError                the name is taken
    ├── KeyUsageError                 the key's type or use does not serve the operation
    ├── KeyStateError                 the state of the key version forbids the operation
    ├── KeyNotExportableError         the key never leaves its custodian
    ├── UsageLimitError               the key version has protected all it may protect
    ├── ConflictError                 somebody else changed it first; nothing was changed
    ├── MasterKeyError                the master key is absent, damaged or not the right one
    ├── CustodianUnavailableError     the custodian of the master key does not answer
    ├── CustodianDeniedError          the custodian refuses to use the master key
    ├── AuthenticationError           the credential is not accepted; one text for every reason
    ├── NotPermittedError             the credential's scopes do not cover the operation
    ├── AuditUnavailableError         the audit record cannot be written, so nothing is answered
    ├── DatabaseUnavailableError      the database of a column does not do what it is asked
    ├── ServiceError                  the service answered what a client cannot use
    │   └── ServiceUnavailableError   the service cannot be reached, or does not serve now
    └── StoreError
        ├── StoreUnavailableError     the store cannot be reached or is not fresh enough
        │   └── StoreFullError        its disk is full
        ├── StoreIntegrityError       a row fails its authentication; names the row
        │   └── UnknownMasterKeyError it names a master key that is not configured here
        ├── StoreVersionError         the schema is not the one this release works with
        └── StorePermissionsError     a file or folder may be read by others

An outage is never a :class:`DecryptionError`, and tampering is never an outage: the two
call for different people. No error carries a key, a plaintext, a passphrase or the bytes
it was given; ``str(error)`` is one line that may be shown to a user.

Each class knows its :class:`Kind`: what it is called in problems and audit records, its HTTP
status, its exit code. There is no other table.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, ClassVar, Final, NamedTuple

__all__ = [
    "AlgorithmNotAllowedError",
    "AuditUnavailableError",
    "AuthenticationError",
    "BoundNameError",
    "ConfigurationError",
    "ConflictError",
    "CustodianDeniedError",
    "CustodianUnavailableError",
    "DatabaseUnavailableError",
    "DecryptionError",
    "ExitCode",
    "InvalidInputError",
    "InvalidKeyError",
    "InvalidSignatureError",
    "KeyExistsError",
    "KeyNotExportableError",
    "KeyNotFoundError",
    "KeyStateError",
    "KeyUsageError",
    "Kind",
    "MasterKeyError",
    "MfnError",
    "MissingExtraError",
    "NotPermittedError",
    "RequestSignatureError",
    "ServiceError",
    "ServiceUnavailableError",
    "StoreError",
    "StoreFullError",
    "StoreIntegrityError",
    "StorePermissionsError",
    "StoreUnavailableError",
    "StoreVersionError",
    "UnknownMasterKeyError",
    "UsageLimitError",
]


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


class Kind(NamedTuple):
    """A kind of failure: how it is named and shown, over HTTP and on the command line."""

    status: int  # HTTP
    slug: str  # in the URI reference of a problem (RFC 9457), and in audit records
    title: str
    detail: str | None = None  # over HTTP, in place of the error's own text
    retry_after: int | None = None  # seconds
    exit_code: ExitCode = ExitCode.UNEXPECTED
    advice: str = "run it again with --debug and report it"


# Of the project's name on PyPI nothing is said: it is not published there, so whoever takes the
# name would be installed. README.md, "Install", says the same.
INSTALL_EXTRA: Final = "in the checkout: pip install '.[{extra}]', with a wheel: 'FILE[{extra}]'"


UNEXPECTED: Final = Kind(
    500, "unexpected", "Something went wrong", "the log says more, under the request id"
)
"""The kind of what no caller of the service can cause, and of whatever is no error of ours."""


class PicklableError(Exception):
    """Crosses processes with all that it knows, whatever its constructor takes."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args), self.__dict__


def _restored(cls: type[PicklableError], args: tuple[Any, ...]) -> PicklableError:
    error = cls.__new__(cls)
    error.args = args
    return error


class MfnError(PicklableError):
    """The root of every error of this package."""

    kind: ClassVar[Kind] = UNEXPECTED


class ConfigurationError(MfnError):
    """A setting is unknown, misspelt or out of its range. The value is never quoted."""

    kind: ClassVar[Kind] = UNEXPECTED._replace(
        exit_code=ExitCode.CONFIGURATION, advice="mend the configuration and try again"
    )


class FipsModeError(ConfigurationError):
    """FIPS mode was asked for, and this process cannot be shown to run on a FIPS provider."""

    kind: ClassVar[Kind] = ConfigurationError.kind._replace(
        advice="docs/fips.md says how FIPS mode is set up"
    )


class MissingExtraError(ConfigurationError):
    """An optional dependency is needed; the text names the extra that brings it."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the extra {extra!r} ({INSTALL_EXTRA.format(extra=extra)})"
        )
        self.extra = extra


EXTRA_MODULES: Final[dict[str, tuple[str, ...]]] = {
    "aws-kms": ("botocore",),
    "client": ("anyio", "h11", "httpx"),
    "django": ("django",),
    "fsspec": ("fsspec",),
    "mysql": ("pymysql",),
    "numpy": ("numpy",),
    "pkcs11": (),
    "postgresql": ("psycopg",),
    "pyarrow": ("pyarrow",),
    "redis": ("redis",),
    "server": (
        "fastapi", "httptools", "limits", "prometheus_client", "pybase64", "pydantic", "uvicorn",
        "uvloop",
    ),
    "vault": (),
}  # fmt: skip
"""What each extra has Python import."""


def unusable_extra(feature: str, extra: str, error: ImportError) -> ConfigurationError:
    """What to raise for an extra that does not import: it is missing, or there and broken."""
    absent = (error.name or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and absent in EXTRA_MODULES[extra]:
        return MissingExtraError(feature, extra)
    cause = " ".join(str(error).split())
    return ConfigurationError(f"{feature}: the extra {extra!r} is there and not whole: {cause}")


class InvalidInputError(MfnError):
    """What the caller passed cannot be used as it is."""

    kind: ClassVar[Kind] = Kind(
        422,
        "invalid",
        "The request does not fit its description",
        exit_code=ExitCode.USAGE,
        advice="'mfn COMMAND --help' says what is taken",
    )


class InvalidKeyError(InvalidInputError):
    """Key material of the wrong size, kind or encoding."""


class AlgorithmNotAllowedError(MfnError):
    """The policy in force does not allow the algorithm."""

    kind: ClassVar[Kind] = Kind(
        422,
        "algorithm",
        "The policy forbids the algorithm",
        exit_code=ExitCode.FORBIDDEN,
        advice="the configuration says what is allowed",
    )


class DecryptionError(MfnError):
    """The message does not open.

    Wrong key, wrong associated data, a changed bit, a cut, an unknown key version: all of
    them give this error with this one text, so that nobody learns from it which it was.
    """

    kind: ClassVar[Kind] = Kind(
        400,
        "decryption-failed",
        "The message does not open",
        exit_code=ExitCode.NOT_AUTHENTIC,
        advice="give the -a it was sealed with, and the store that holds its key",
    )

    TEXT = "the message does not open: it was changed, cut, or made for other data or another key"

    def __init__(self) -> None:
        super().__init__(self.TEXT)


class BoundNameError(DecryptionError):
    """A sealed file is not called what its message is bound to, as anybody can see."""

    kind: ClassVar[Kind] = DecryptionError.kind._replace(
        advice="give it that name back, or name it with --bound-name"
    )

    def __init__(self, what: str) -> None:
        MfnError.__init__(self, what)


class InvalidSignatureError(MfnError):
    """The signature or MAC does not verify. One text for every reason."""

    kind: ClassVar[Kind] = Kind(
        400,
        "invalid-signature",
        "It does not verify",
        exit_code=ExitCode.NOT_AUTHENTIC,
        advice="do not use the file unless you know why",
    )

    TEXT = "the signature does not verify"

    def __init__(self) -> None:
        super().__init__(self.TEXT)


class RequestSignatureError(InvalidSignatureError):
    """The request is not signed as it must be, or its body is not the one that was signed."""

    kind: ClassVar[Kind] = Kind(
        401,
        "request-signature",
        "The request is not signed as it must be",
        "the body is not the one that was signed",
        exit_code=ExitCode.NOT_AUTHENTIC,
        advice="do not use the file unless you know why",
    )


class KeyNotFoundError(MfnError):
    """No such key, or no such version of it."""

    kind: ClassVar[Kind] = Kind(
        404,
        "not-found",
        "There is no such resource",
        "it is not there, or this credential may not use it",
        exit_code=ExitCode.KEY_UNKNOWN,
        advice="'mfn key list' shows the keys there are",
    )


class KeyExistsError(MfnError):
    """A key of that name is there already."""

    kind: ClassVar[Kind] = Kind(
        409,
        "exists",
        "The name is taken",
        exit_code=ExitCode.EXISTS,
        advice="choose another name, or for a new version: mfn key rotate KEY",
    )


class KeyUsageError(MfnError):
    """The key's type or use does not serve the operation."""

    kind: ClassVar[Kind] = Kind(
        400,
        "key-usage",
        "The key does not serve this",
        exit_code=ExitCode.FORBIDDEN,
        advice="'mfn key show KEY' says what the key is for",
    )


class KeyStateError(MfnError):
    """The state of the key version forbids the operation."""

    kind: ClassVar[Kind] = Kind(
        409,
        "key-state",
        "The state of the key forbids it",
        exit_code=ExitCode.FORBIDDEN,
        advice="'mfn key show KEY' lists the states",
    )


class KeyNotExportableError(MfnError):
    """The key material never leaves its custodian, or is no key material at all."""

    kind: ClassVar[Kind] = Kind(
        400,
        "not-exportable",
        "The key never leaves",
        exit_code=ExitCode.FORBIDDEN,
        advice="use the key through mfn",
    )


class UsageLimitError(MfnError):
    """The key version has protected as many messages as it may (SP 800-38D section 8.3)."""

    kind: ClassVar[Kind] = Kind(
        409,
        "usage-limit",
        "The key has protected all it may",
        exit_code=ExitCode.FORBIDDEN,
        advice="'mfn key rotate KEY' gives a fresh version",
    )


class ConflictError(MfnError):
    """Somebody else changed the record first; nothing was changed. Trying again is safe."""

    kind: ClassVar[Kind] = Kind(
        409,
        "conflict",
        "Somebody else was first",
        retry_after=1,
        exit_code=ExitCode.STORE,
        advice="nothing was changed; try again",
    )


class FileBusyError(ConflictError):
    """Somebody else is at work on a file or in a folder; what is there was left as it is."""

    kind: ClassVar[Kind] = ConflictError.kind._replace(
        exit_code=ExitCode.WRITE, advice="nothing was changed; try again once nobody works on it"
    )


class MasterKeyInUseError(ConflictError):
    """A former master key is needed still; nothing was forgotten."""

    kind: ClassVar[Kind] = ConflictError.kind._replace(
        advice="nothing was changed; 'mfn master status' counts what is under each"
    )


class MasterKeyError(MfnError):
    """The master key is absent, damaged, or not the one that wrapped the store."""

    kind: ClassVar[Kind] = Kind(
        503,
        "master-key",
        "The master key does not serve",
        "the operator must see to it",
        5,
        ExitCode.STORE,
        "'mfn doctor' looks closer",
    )


class CustodianUnavailableError(MfnError):
    """The custodian of the master key does not answer, or not in time. Trying again is safe."""

    kind: ClassVar[Kind] = Kind(
        503,
        "custodian-unavailable",
        "The custodian of the master key does not answer",
        "try again",
        5,
        ExitCode.STORE,
        "nothing was changed; see whether it runs and can be reached, and try again",
    )


class CustodianDeniedError(MfnError):
    """The custodian of the master key refuses: permissions, a disabled key, a sealed vault."""

    kind: ClassVar[Kind] = Kind(
        502,
        "custodian-denied",
        "The custodian of the master key refuses",
        "the operator must see to its permissions",
        exit_code=ExitCode.STORE,
        advice="see to its permissions, and whether the key there is enabled",
    )


class AuthenticationError(MfnError):
    """The credential is not accepted: unknown, malformed, revoked or expired, all the same."""

    kind: ClassVar[Kind] = Kind(
        401,
        "unauthenticated",
        "The API key is not accepted",
        exit_code=ExitCode.FORBIDDEN,
        advice="'mfn credential list' shows those there are",
    )

    TEXT = "the API key is not accepted"

    def __init__(self) -> None:
        super().__init__(self.TEXT)


class NotPermittedError(MfnError):
    """The scopes of the credential do not cover the operation."""

    kind: ClassVar[Kind] = Kind(
        403,
        "forbidden",
        "The credential does not permit it",
        exit_code=ExitCode.FORBIDDEN,
        advice="use a credential that has the scope",
    )


class AuditUnavailableError(MfnError):
    """The audit record cannot be written durably, so the operation gives no result."""

    kind: ClassVar[Kind] = Kind(
        503,
        "audit-unavailable",
        "The operation cannot be recorded",
        "the audit record cannot be written, so there is no result",
        1,
        ExitCode.STORE,
        "nothing was done; 'mfn doctor' looks closer",
    )


class DatabaseUnavailableError(MfnError):
    """The database of a column, which is not the key store, does not do what it is asked.

    Work on a column is committed in small parts: what was done stays done.
    """

    kind: ClassVar[Kind] = UNEXPECTED._replace(
        exit_code=ExitCode.INPUT,
        advice="what was done stays done; mend the cause and run the same again",
    )


class ServiceError(MfnError):
    """The service answered what a client cannot use: not as agreed, or that it failed itself."""

    kind: ClassVar[Kind] = UNEXPECTED._replace(
        exit_code=ExitCode.STORE, advice="see whether the service runs, and what its log says"
    )


class ServiceUnavailableError(ServiceError):
    """The service cannot be reached, or does not serve now. Whether it did the work is unknown."""


class StoreError(MfnError):
    """The key store cannot serve."""

    kind: ClassVar[Kind] = Kind(
        503,
        "store-unavailable",
        "The key store does not answer",
        "try again",
        1,
        ExitCode.STORE,
        "'mfn doctor' says what to mend",
    )


class StoreUnavailableError(StoreError):
    """The store cannot be reached, or was not read recently enough to trust a cached state.

    ``detail`` says the cause over HTTP, without a name of a host, a user or a file.
    """

    detail: str | None = None

    def __init__(self, text: str, *, detail: str | None = None) -> None:
        super().__init__(text)
        self.detail = detail


class StoreFullError(StoreUnavailableError):
    """The disk of the store is full, or its owner's quota is used up. Nothing was changed."""

    kind: ClassVar[Kind] = StoreError.kind._replace(
        exit_code=ExitCode.WRITE, advice="nothing was changed; make room, and run it again"
    )


class StoreIntegrityError(StoreError):
    """A row of the store fails its authentication. The text names the row."""

    kind: ClassVar[Kind] = Kind(
        500,
        "store-integrity",
        "The key store fails its authentication",
        "a record of the key store was refused; the operator must look into it",
        exit_code=ExitCode.STORE,
        advice="'mfn doctor' says what to mend",
    )


class UnknownMasterKeyError(StoreIntegrityError):
    """A row names a master key that is not configured here: edited, or another machine has it."""


class StoreVersionError(StoreError):
    """The schema of the store is not the one that this release works with."""


class StorePermissionsError(StoreError):
    """A file or folder of the store may be read or written by others."""


def kind_of(error: BaseException) -> Kind:
    """The kind of ``error``; of what is none of ours :data:`UNEXPECTED`."""
    kind = getattr(error, "kind", UNEXPECTED)
    if isinstance(error, StoreUnavailableError) and error.detail is not None:
        return error.kind._replace(detail=error.detail)
    return kind if isinstance(kind, Kind) else UNEXPECTED


def classes() -> dict[str, type[MfnError]]:
    """The class that each slug stands for: of several the one nearest to the root."""
    found: dict[str, type[MfnError]] = {}
    level: list[type[MfnError]] = [MfnError]
    while level:
        for cls in level:
            found.setdefault(cls.kind.slug, cls)
        level = [below for cls in level for below in cls.__subclasses__()]
    return found
