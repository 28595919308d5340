"""What a library's number says: that it does not answer, that it refuses, or what was edited.

Some say several of these. ``CKR_GENERAL_ERROR`` is what SoftHSM answers to a tag that is wrong,
and to a token that is gone: those are looked into (see :mod:`.recovery`).
"""

from __future__ import annotations

from typing import Final

from mycelium_fractal_net.security.errors import (
    CustodianDeniedError,
    CustodianUnavailableError,
    MfnError,
    PicklableError,
    StoreIntegrityError,
)

OK: Final = 0x0
ATTRIBUTE_SENSITIVE: Final = 0x11
ATTRIBUTE_TYPE_INVALID: Final = 0x12
CANT_LOCK: Final = 0xA
PIN_INCORRECT: Final = 0xA0
USER_ALREADY_LOGGED_IN: Final = 0x100
ALREADY_INITIALIZED: Final = 0x191
FUNCTION_NOT_SUPPORTED: Final = 0x54
OBJECT_HANDLE_INVALID: Final = 0x82
PIN_LOCKED: Final = 0xA4
TOKEN_NOT_PRESENT: Final = 0xE0

_DENIED: Final = {
    ATTRIBUTE_SENSITIVE: ("ATTRIBUTE_SENSITIVE", "the token does not show what it unwrapped"),
    0x1B: ("ACTION_PROHIBITED", "the token prohibits it"),
    0x63: ("KEY_TYPE_INCONSISTENT", "the key is of another type"),
    0x62: ("KEY_SIZE_RANGE", "the key has another size"),
    0x68: ("KEY_FUNCTION_NOT_PERMITTED", "the key's attributes do not permit it"),
    0x69: ("KEY_NOT_WRAPPABLE", "the token does not wrap such a key"),
    0x6A: ("KEY_UNEXTRACTABLE", "the token does not wrap such a key"),
    0xF1: ("UNWRAPPING_KEY_SIZE_RANGE", "the key has another size"),
    0xF2: ("UNWRAPPING_KEY_TYPE_INCONSISTENT", "the key is of another type"),
    0x114: ("WRAPPING_KEY_SIZE_RANGE", "the key has another size"),
    0x115: ("WRAPPING_KEY_TYPE_INCONSISTENT", "the key is of another type"),
    FUNCTION_NOT_SUPPORTED: ("FUNCTION_NOT_SUPPORTED", "the library cannot do it"),
    0x70: ("MECHANISM_INVALID", "the token cannot do it"),
    0x71: ("MECHANISM_PARAM_INVALID", "the token does not take such parameters"),
    PIN_INCORRECT: ("PIN_INCORRECT", "the PIN is wrong"),
    0xA1: ("PIN_INVALID", "the PIN holds what the token does not take"),
    0xA2: ("PIN_LEN_RANGE", "the PIN is shorter or longer than the token takes"),
    0xA3: ("PIN_EXPIRED", "the PIN has expired"),
    PIN_LOCKED: ("PIN_LOCKED", "the PIN is locked: its security officer sets a new one"),
    0x102: ("USER_PIN_NOT_INITIALIZED", "the token has no user PIN yet"),
    0x104: ("USER_ANOTHER_ALREADY_LOGGED_IN", "another user is logged in"),
    0x105: ("USER_TOO_MANY_TYPES", "other users are logged in"),
    0xE2: ("TOKEN_WRITE_PROTECTED", "the token is write-protected"),
    0xB5: ("SESSION_READ_ONLY", "the token is read-only"),
    0x13: ("ATTRIBUTE_VALUE_INVALID", "the token does not take such a key"),
    0xD0: ("TEMPLATE_INCOMPLETE", "the token wants more attributes of a key"),
    0xD1: ("TEMPLATE_INCONSISTENT", "the token does not take these attributes together"),
    0x140: ("CURVE_NOT_SUPPORTED", "the token has not that curve"),
    0x200: ("FUNCTION_REJECTED", "it was rejected at the token"),
}

_UNAVAILABLE: Final = {
    0x2: "HOST_MEMORY",
    0x3: "SLOT_ID_INVALID",
    0x5: "GENERAL_ERROR",
    0x6: "FUNCTION_FAILED",
    0x7: "ARGUMENTS_BAD",
    0x8: "NO_EVENT",
    CANT_LOCK: "CANT_LOCK",
    0x30: "DEVICE_ERROR",
    0x31: "DEVICE_MEMORY",
    0x32: "DEVICE_REMOVED",
    0x50: "FUNCTION_CANCELED",
    0x60: "KEY_HANDLE_INVALID",
    OBJECT_HANDLE_INVALID: "OBJECT_HANDLE_INVALID",
    0x90: "OPERATION_ACTIVE",
    0x91: "OPERATION_NOT_INITIALIZED",
    0xB0: "SESSION_CLOSED",
    0xB1: "SESSION_COUNT",
    0xB3: "SESSION_HANDLE_INVALID",
    TOKEN_NOT_PRESENT: "TOKEN_NOT_PRESENT",
    0xE1: "TOKEN_NOT_RECOGNIZED",
    0xF0: "UNWRAPPING_KEY_HANDLE_INVALID",
    0x101: "USER_NOT_LOGGED_IN",
    0x113: "WRAPPING_KEY_HANDLE_INVALID",
    0x190: "CRYPTOKI_NOT_INITIALIZED",
    ALREADY_INITIALIZED: "CRYPTOKI_ALREADY_INITIALIZED",
}

_EDITED: Final = {
    0x20: "DATA_INVALID",
    0x21: "DATA_LEN_RANGE",
    0x40: "ENCRYPTED_DATA_INVALID",
    0x41: "ENCRYPTED_DATA_LEN_RANGE",
    0x42: "AEAD_DECRYPT_FAILED",
    0x110: "WRAPPED_KEY_INVALID",
    0x112: "WRAPPED_KEY_LEN_RANGE",
}


class TokenError(PicklableError):
    """A function of the library gave something else than OK. It does not leave this package."""

    def __init__(self, function: str, code: int) -> None:
        super().__init__(f"{function}: {name_of(code)}")
        self.function = function
        self.code = code

    @property
    def is_clear(self) -> bool:
        """Whether it says one thing: the token refuses, or what it was to decrypt was edited."""
        return self.code in _DENIED or self.code in _EDITED

    @property
    def is_refusal(self) -> bool:
        """Whether the token answered, and refuses; whatever state it is in, it is there."""
        return self.code in _DENIED

    def error(self) -> MfnError:
        """What a caller is told."""
        if self.code in _EDITED:
            return StoreIntegrityError("what the token was given does not decrypt")
        if self.is_refusal:
            name, says = _DENIED[self.code]
            return CustodianDeniedError(f"{says} (CKR_{name})")
        if self.code in (TOKEN_NOT_PRESENT, 0xE1):
            return CustodianUnavailableError(
                f"no token as MFN_PKCS11_URI names it is there (CKR_{name_of(self.code)})"
            )
        return CustodianUnavailableError(f"the token does not answer (CKR_{name_of(self.code)})")


def name_of(code: int) -> str:
    """What pkcs11t.h calls it, without ``CKR_``."""
    if code in _DENIED:
        return _DENIED[code][0]
    return _UNAVAILABLE.get(code) or _EDITED.get(code) or f"0x{code:08X}"
