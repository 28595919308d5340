"""What an error of AWS KMS means here. Of its text nothing is shown: only what is written here.

The codes are those of the KMS API reference, "Errors" of each operation and "Common errors".
"""

from __future__ import annotations

from typing import Final

from mycelium_fractal_net.security.errors import (
    ConflictError,
    CustodianDeniedError,
    CustodianUnavailableError,
    MasterKeyError,
    MfnError,
    StoreIntegrityError,
)

_NO_PERMISSION: Final = "AWS KMS refuses: the credentials have no permission for that on this key"
_NOT_KNOWN: Final = "AWS does not know the credentials"
_SIGNATURE: Final = (
    "AWS does not take the signature of a request: the secret key is not that of the access key,"
    " or the clock of this machine is off"
)
_EXPIRED: Final = "the AWS credentials have expired"
_BUSY: Final = "AWS KMS is asked too often for this account"
_INTERNAL: Final = "AWS KMS does not serve now"
_FOREIGN: Final = "AWS KMS does not open it under this key and context"

_DENIED: Final = {
    "AccessDenied": _NO_PERMISSION,
    "AccessDeniedException": _NO_PERMISSION,
    "NotAuthorized": _NO_PERMISSION,
    "OptInRequired": "AWS KMS refuses: the account is not signed up for it",
    "DisabledException": "AWS KMS refuses: the key is disabled",
    "KMSInvalidStateException": (
        "AWS KMS refuses: the state of the key forbids it; it is to be deleted, or waits for its"
        " key material"
    ),
    "InvalidKeyUsageException": "AWS KMS refuses: the key was made for another use",
    "InvalidGrantTokenException": _NO_PERMISSION,
    "UnsupportedOperationException": "AWS KMS refuses: it does not do that in this region",
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "RequestExpired": _SIGNATURE,
    "UnrecognizedClientException": _NOT_KNOWN,
    "InvalidClientTokenId": _NOT_KNOWN,
    "MissingAuthenticationToken": _NOT_KNOWN,
    "MissingAuthenticationTokenException": _NOT_KNOWN,
    "InvalidSignatureException": _SIGNATURE,
    "SignatureDoesNotMatch": _SIGNATURE,
    "IncompleteSignature": _SIGNATURE,
    "RequestTimeTooSkewed": _SIGNATURE,
    "LimitExceededException": "AWS KMS refuses: the account has as many keys as it may have",
}
_UNAVAILABLE: Final = {
    "Throttling": _BUSY,
    "ThrottlingException": _BUSY,
    "ThrottledException": _BUSY,
    "RequestLimitExceeded": _BUSY,
    "TooManyRequestsException": _BUSY,
    "KMSInternalException": _INTERNAL,
    "DependencyTimeoutException": _INTERNAL,
    "KeyUnavailableException": "AWS KMS does not reach the key now",
    "InternalFailure": _INTERNAL,
    "InternalServerError": _INTERNAL,
    "ServiceUnavailable": _INTERNAL,
    "ServiceUnavailableException": _INTERNAL,
}
_WRONG: Final = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})

OF_CREDENTIALS: Final = frozenset(
    code for code, text in _DENIED.items() if text in (_EXPIRED, _NOT_KNOWN, _SIGNATURE)
)
"""The codes of refusals that other credentials would mend."""

OF_WHO_MAY: Final = frozenset(
    {"DryRunOperationException", "NotFoundException", "InvalidGrantIdException"}
)
"""The codes that only who has the permission is given: a trial went well, or there is no such."""


def error_of(code: object, status: object) -> MfnError:
    """The error for what KMS answered: its code, and its HTTP status where it has none of those."""
    named = code if isinstance(code, str) else ""
    if named in _WRONG:
        return StoreIntegrityError(_FOREIGN)
    if named == "NotFoundException":
        return MasterKeyError("AWS KMS has no such key in that account and region")
    if named == "AlreadyExistsException":
        return ConflictError("AWS KMS has that alias already")
    if named in _DENIED:
        return CustodianDeniedError(_DENIED[named])
    if named in _UNAVAILABLE:
        return CustodianUnavailableError(_UNAVAILABLE[named])
    if status == 429:  # RFC 6585 section 4
        return CustodianUnavailableError(_BUSY)
    if isinstance(status, int) and 400 <= status < 500:
        return CustodianDeniedError(f"AWS KMS refuses a request (HTTP {status})")
    return CustodianUnavailableError("AWS KMS answers what cannot be used")
