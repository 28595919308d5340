"""Every error that this package raises, under one root.

    MfnError
    ├── ConfigurationError            a setting is unknown or wrong; nothing was started
    │   └── MissingExtraError         an optional dependency is needed; names the extra
    ├── InvalidInputError             what the caller passed cannot be used as it is
    │   └── InvalidKeyError           key material of the wrong size, kind or encoding
    ├── AlgorithmNotAllowedError      the policy does not allow the algorithm
    ├── DecryptionError               the message does not open; one text for every reason
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
    ├── AuthenticationError           the credential is not accepted; one text for every reason
    ├── NotPermittedError             the credential's scopes do not cover the operation
    ├── AuditUnavailableError         the audit record cannot be written, so nothing is answered
    ├── DatabaseUnavailableError      the database of a column does not do what it is asked
    ├── ServiceError                  the service answered what a client cannot use
    │   └── ServiceUnavailableError   the service cannot be reached, or does not serve now
    └── StoreError
        ├── StoreUnavailableError     the store cannot be reached or is not fresh enough
        ├── StoreIntegrityError       a row fails its authentication; names the row
        ├── StoreVersionError         the schema is not the one this release works with
        └── StorePermissionsError     a file or folder may be read by others

An outage is never a :class:`DecryptionError`, and tampering is never an outage: the two
call for different people. No error carries a key, a plaintext, a passphrase or the bytes
it was given; ``str(error)`` is one line that may be shown to a user.
"""

from __future__ import annotations

__all__ = [
    "AlgorithmNotAllowedError",
    "AuditUnavailableError",
    "AuthenticationError",
    "ConfigurationError",
    "ConflictError",
    "DatabaseUnavailableError",
    "DecryptionError",
    "InvalidInputError",
    "InvalidKeyError",
    "InvalidSignatureError",
    "KeyExistsError",
    "KeyNotExportableError",
    "KeyNotFoundError",
    "KeyStateError",
    "KeyUsageError",
    "MasterKeyError",
    "MfnError",
    "MissingExtraError",
    "NotPermittedError",
    "RequestSignatureError",
    "ServiceError",
    "ServiceUnavailableError",
    "StoreError",
    "StoreIntegrityError",
    "StorePermissionsError",
    "StoreUnavailableError",
    "StoreVersionError",
    "UsageLimitError",
]


class MfnError(Exception):
    """The root of every error of this package."""


class ConfigurationError(MfnError):
    """A setting is unknown, misspelt or out of its range. The value is never quoted."""


class MissingExtraError(ConfigurationError):
    """An optional dependency is needed; the text names the extra that brings it."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the extra {extra!r}: pip install 'mycelium-fractal-net[{extra}]'"
        )
        self.extra = extra


class InvalidInputError(MfnError):
    """What the caller passed cannot be used as it is."""


class InvalidKeyError(InvalidInputError):
    """Key material of the wrong size, kind or encoding."""


class AlgorithmNotAllowedError(MfnError):
    """The policy in force does not allow the algorithm."""


class DecryptionError(MfnError):
    """The message does not open.

    Wrong key, wrong associated data, a changed bit, a cut, an unknown key version: all of
    them give this error with this one text, so that nobody learns from it which it was.
    """

    TEXT = "the message does not open: it was changed, cut, or made for other data or another key"

    def __init__(self) -> None:
        super().__init__(self.TEXT)


class InvalidSignatureError(MfnError):
    """The signature or MAC does not verify. One text for every reason."""

    TEXT = "the signature does not verify"

    def __init__(self) -> None:
        super().__init__(self.TEXT)


class RequestSignatureError(InvalidSignatureError):
    """The request is not signed as it must be, or its body is not the one that was signed."""


class KeyNotFoundError(MfnError):
    """No such key, or no such version of it."""


class KeyExistsError(MfnError):
    """A key of that name is there already."""


class KeyUsageError(MfnError):
    """The key's type or use does not serve the operation."""


class KeyStateError(MfnError):
    """The state of the key version forbids the operation."""


class KeyNotExportableError(MfnError):
    """The key material never leaves its custodian, or is no key material at all."""


class UsageLimitError(MfnError):
    """The key version has protected as many messages as it may (SP 800-38D section 8.3)."""


class ConflictError(MfnError):
    """Somebody else changed the record first; nothing was changed. Trying again is safe."""


class MasterKeyError(MfnError):
    """The master key is absent, damaged, or not the one that wrapped the store."""


class AuthenticationError(MfnError):
    """The credential is not accepted: unknown, malformed, revoked or expired, all the same."""

    TEXT = "the API key is not accepted"

    def __init__(self) -> None:
        super().__init__(self.TEXT)


class NotPermittedError(MfnError):
    """The scopes of the credential do not cover the operation."""


class AuditUnavailableError(MfnError):
    """The audit record cannot be written durably, so the operation gives no result."""


class DatabaseUnavailableError(MfnError):
    """The database of a column, which is not the key store, does not do what it is asked.

    Work on a column is committed in small parts: what was done stays done.
    """


class ServiceError(MfnError):
    """The service answered what a client cannot use: not as agreed, or that it failed itself."""


class ServiceUnavailableError(ServiceError):
    """The service cannot be reached, or does not serve now. Whether it did the work is unknown."""


class StoreError(MfnError):
    """The key store cannot serve."""


class StoreUnavailableError(StoreError):
    """The store cannot be reached, or was not read recently enough to trust a cached state."""


class StoreIntegrityError(StoreError):
    """A row of the store fails its authentication. The text names the row."""


class StoreVersionError(StoreError):
    """The schema of the store is not the one that this release works with."""


class StorePermissionsError(StoreError):
    """A file or folder of the store may be read or written by others."""
