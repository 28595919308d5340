"""What a failure is called in a record: the names that the service's problems have too."""

from __future__ import annotations

from typing import Final

from mycelium_fractal_net.security import errors

__all__ = ["outcome_of"]

# The first class that an error is an instance of decides, so the narrower stand first.
_TABLE: Final[tuple[tuple[type[Exception], str], ...]] = (
    (errors.AuthenticationError, "unauthenticated"),
    (errors.NotPermittedError, "forbidden"),
    (errors.KeyNotFoundError, "not-found"),
    (errors.DecryptionError, "decryption-failed"),
    (errors.InvalidSignatureError, "invalid-signature"),
    (errors.KeyExistsError, "exists"),
    (errors.KeyStateError, "key-state"),
    (errors.KeyUsageError, "key-usage"),
    (errors.KeyNotExportableError, "not-exportable"),
    (errors.UsageLimitError, "usage-limit"),
    (errors.AlgorithmNotAllowedError, "algorithm"),
    (errors.InvalidInputError, "invalid"),
    (errors.ConflictError, "conflict"),
    (errors.AuditUnavailableError, "audit-unavailable"),
    (errors.StoreIntegrityError, "store-integrity"),
    (errors.StoreError, "store-unavailable"),
    (errors.MasterKeyError, "master-key"),
)
_UNEXPECTED: Final = "unexpected"


def outcome_of(error: BaseException) -> str:
    """The name of a failure. Its text is not recorded: it may have been made from the input."""
    return next((name for cls, name in _TABLE if isinstance(error, cls)), _UNEXPECTED)
