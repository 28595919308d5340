"""The part of the C interface that is used here, as ctypes has it (PKCS #11 v2.40, pkcs11t.h).

Structures are aligned as the platform's C compiler aligns them: Unix. What a call gives back is a
number, which :mod:`.codes` knows; nothing here interprets it. ctypes lets other threads run for as
long as a call lasts, which a token may make minutes.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_ubyte, c_ulong, c_void_p
from typing import Any, Final

CK_ULONG = c_ulong
CK_RV = c_ulong
UNAVAILABLE: Final = ctypes.c_ulong(-1).value  # CK_UNAVAILABLE_INFORMATION


class Version(Structure):
    """``CK_VERSION``."""

    _fields_ = [("major", c_ubyte), ("minor", c_ubyte)]


class TokenInfo(Structure):
    """``CK_TOKEN_INFO``: texts are padded with blanks."""

    _fields_ = [
        ("label", c_ubyte * 32),
        ("manufacturerID", c_ubyte * 32),
        ("model", c_ubyte * 16),
        ("serialNumber", c_ubyte * 16),
        ("flags", CK_ULONG),
        ("ulMaxSessionCount", CK_ULONG),
        ("ulSessionCount", CK_ULONG),
        ("ulMaxRwSessionCount", CK_ULONG),
        ("ulRwSessionCount", CK_ULONG),
        ("ulMaxPinLen", CK_ULONG),
        ("ulMinPinLen", CK_ULONG),
        ("ulTotalPublicMemory", CK_ULONG),
        ("ulFreePublicMemory", CK_ULONG),
        ("ulTotalPrivateMemory", CK_ULONG),
        ("ulFreePrivateMemory", CK_ULONG),
        ("hardwareVersion", Version),
        ("firmwareVersion", Version),
        ("utcTime", c_ubyte * 16),
    ]


class InitializeArgs(Structure):
    """``CK_C_INITIALIZE_ARGS``: with the flag for it, the library uses the system's locks."""

    _fields_ = [
        ("CreateMutex", c_void_p),
        ("DestroyMutex", c_void_p),
        ("LockMutex", c_void_p),
        ("UnlockMutex", c_void_p),
        ("flags", CK_ULONG),
        ("pReserved", c_void_p),
    ]


class Attribute(Structure):
    """``CK_ATTRIBUTE``."""

    _fields_ = [
        ("type", CK_ULONG),
        ("pValue", c_void_p),
        ("ulValueLen", CK_ULONG),
    ]


class Mechanism(Structure):
    """``CK_MECHANISM``."""

    _fields_ = [
        ("mechanism", CK_ULONG),
        ("pParameter", c_void_p),
        ("ulParameterLen", CK_ULONG),
    ]


class GcmParams(Structure):
    """``CK_GCM_PARAMS``, with ``ulIvBits``, as the headers and version 3 have it."""

    _fields_ = [
        ("pIv", c_void_p),
        ("ulIvLen", CK_ULONG),
        ("ulIvBits", CK_ULONG),
        ("pAAD", c_void_p),
        ("ulAADLen", CK_ULONG),
        ("ulTagBits", CK_ULONG),
    ]


_HANDLE: Final = CK_ULONG
_OUT: Final = POINTER(CK_ULONG)
_BYTES: Final = c_void_p
_MECHANISM: Final = POINTER(Mechanism)
_TEMPLATE: Final = POINTER(Attribute)

# Every function of version 2.40, in the order of CK_FUNCTION_LIST; with None those not called here.
_FUNCTIONS: Final[tuple[tuple[str, tuple[Any, ...] | None], ...]] = (
    ("C_Initialize", (c_void_p,)),
    ("C_Finalize", (c_void_p,)),
    ("C_GetInfo", None),
    ("C_GetFunctionList", None),
    ("C_GetSlotList", (c_ubyte, _OUT, _OUT)),
    ("C_GetSlotInfo", None),
    ("C_GetTokenInfo", (CK_ULONG, POINTER(TokenInfo))),
    ("C_GetMechanismList", (CK_ULONG, _OUT, _OUT)),
    ("C_GetMechanismInfo", None),
    ("C_InitToken", None),
    ("C_InitPIN", None),
    ("C_SetPIN", None),
    ("C_OpenSession", (CK_ULONG, CK_ULONG, c_void_p, c_void_p, _OUT)),
    ("C_CloseSession", (_HANDLE,)),
    ("C_CloseAllSessions", None),
    ("C_GetSessionInfo", None),
    ("C_GetOperationState", None),
    ("C_SetOperationState", None),
    ("C_Login", (_HANDLE, CK_ULONG, _BYTES, CK_ULONG)),
    ("C_Logout", None),
    ("C_CreateObject", (_HANDLE, _TEMPLATE, CK_ULONG, _OUT)),
    ("C_CopyObject", None),
    ("C_DestroyObject", (_HANDLE, _HANDLE)),
    ("C_GetObjectSize", None),
    ("C_GetAttributeValue", (_HANDLE, _HANDLE, _TEMPLATE, CK_ULONG)),
    ("C_SetAttributeValue", None),
    ("C_FindObjectsInit", (_HANDLE, _TEMPLATE, CK_ULONG)),
    ("C_FindObjects", (_HANDLE, _OUT, CK_ULONG, _OUT)),
    ("C_FindObjectsFinal", (_HANDLE,)),
    ("C_EncryptInit", (_HANDLE, _MECHANISM, _HANDLE)),
    ("C_Encrypt", (_HANDLE, _BYTES, CK_ULONG, _BYTES, _OUT)),
    ("C_EncryptUpdate", None),
    ("C_EncryptFinal", None),
    ("C_DecryptInit", (_HANDLE, _MECHANISM, _HANDLE)),
    ("C_Decrypt", (_HANDLE, _BYTES, CK_ULONG, _BYTES, _OUT)),
    ("C_DecryptUpdate", None),
    ("C_DecryptFinal", None),
    ("C_DigestInit", None),
    ("C_Digest", None),
    ("C_DigestUpdate", None),
    ("C_DigestKey", None),
    ("C_DigestFinal", None),
    ("C_SignInit", (_HANDLE, _MECHANISM, _HANDLE)),
    ("C_Sign", (_HANDLE, _BYTES, CK_ULONG, _BYTES, _OUT)),
    ("C_SignUpdate", None),
    ("C_SignFinal", None),
    ("C_SignRecoverInit", None),
    ("C_SignRecover", None),
    ("C_VerifyInit", None),
    ("C_Verify", None),
    ("C_VerifyUpdate", None),
    ("C_VerifyFinal", None),
    ("C_VerifyRecoverInit", None),
    ("C_VerifyRecover", None),
    ("C_DigestEncryptUpdate", None),
    ("C_DecryptDigestUpdate", None),
    ("C_SignEncryptUpdate", None),
    ("C_DecryptVerifyUpdate", None),
    ("C_GenerateKey", (_HANDLE, _MECHANISM, _TEMPLATE, CK_ULONG, _OUT)),
    (
        "C_GenerateKeyPair",
        (_HANDLE, _MECHANISM, _TEMPLATE, CK_ULONG, _TEMPLATE, CK_ULONG, _OUT, _OUT),
    ),
    ("C_WrapKey", (_HANDLE, _MECHANISM, _HANDLE, _HANDLE, _BYTES, _OUT)),
    (
        "C_UnwrapKey",
        (_HANDLE, _MECHANISM, _HANDLE, _BYTES, CK_ULONG, _TEMPLATE, CK_ULONG, _OUT),
    ),
    ("C_DeriveKey", None),
    ("C_SeedRandom", None),
    ("C_GenerateRandom", None),
    ("C_GetFunctionStatus", None),
    ("C_CancelFunction", None),
    ("C_WaitForSlotEvent", None),
)


class FunctionList(Structure):
    """``CK_FUNCTION_LIST``: a pointer to each function. Those that are called here are typed."""

    _fields_ = [
        ("version", Version),
        *(
            (name, c_void_p if parameters is None else ctypes.CFUNCTYPE(CK_RV, *parameters))
            for name, parameters in _FUNCTIONS
        ),
    ]


def function_list(path: str) -> FunctionList:
    """Load the library, and have its functions. Raises :class:`OSError` where it is none."""
    library = ctypes.CDLL(path)
    try:
        get = library.C_GetFunctionList
    except AttributeError:
        raise OSError("it has no C_GetFunctionList") from None
    get.restype, get.argtypes = CK_RV, [POINTER(POINTER(FunctionList))]
    found = POINTER(FunctionList)()
    if get(ctypes.byref(found)) or not found:
        raise OSError("its C_GetFunctionList gives nothing")
    return found.contents


# Numbers of pkcs11t.h ---------------------------------------------------------------------------

CKF_OS_LOCKING_OK: Final = 0x2
CKF_RW_SESSION: Final = 0x2
CKF_SERIAL_SESSION: Final = 0x4
CKU_USER: Final = 1

CKF_TOKEN_INITIALIZED: Final = 0x400
CKF_USER_PIN_INITIALIZED: Final = 0x8
CKF_USER_PIN_COUNT_LOW: Final = 0x10000
CKF_USER_PIN_FINAL_TRY: Final = 0x20000
CKF_USER_PIN_LOCKED: Final = 0x40000

CKO_PUBLIC_KEY: Final = 2
CKO_PRIVATE_KEY: Final = 3
CKO_SECRET_KEY: Final = 4
CKK_EC: Final = 0x3
CKK_GENERIC_SECRET: Final = 0x10
CKK_AES: Final = 0x1F
CKK_EC_EDWARDS: Final = 0x40

CKA_CLASS: Final = 0x0
CKA_TOKEN: Final = 0x1
CKA_PRIVATE: Final = 0x2
CKA_LABEL: Final = 0x3
CKA_VALUE: Final = 0x11
CKA_KEY_TYPE: Final = 0x100
CKA_ID: Final = 0x102
CKA_SENSITIVE: Final = 0x103
CKA_ENCRYPT: Final = 0x104
CKA_DECRYPT: Final = 0x105
CKA_WRAP: Final = 0x106
CKA_UNWRAP: Final = 0x107
CKA_SIGN: Final = 0x108
CKA_SIGN_RECOVER: Final = 0x109
CKA_VERIFY: Final = 0x10A
CKA_DERIVE: Final = 0x10C
CKA_VALUE_LEN: Final = 0x161
CKA_EXTRACTABLE: Final = 0x162
CKA_LOCAL: Final = 0x163
CKA_NEVER_EXTRACTABLE: Final = 0x164
CKA_ALWAYS_SENSITIVE: Final = 0x165
CKA_EC_PARAMS: Final = 0x180
CKA_EC_POINT: Final = 0x181

CKM_EC_KEY_PAIR_GEN: Final = 0x1040
CKM_ECDSA: Final = 0x1041
CKM_EC_EDWARDS_KEY_PAIR_GEN: Final = 0x1055
CKM_EDDSA: Final = 0x1057
CKM_AES_KEY_GEN: Final = 0x1080
CKM_AES_GCM: Final = 0x1087
CKM_AES_KEY_WRAP: Final = 0x2109  # RFC 3394
CKM_AES_KEY_WRAP_PAD: Final = 0x210A  # RFC 5649, or what a library of v2.40 takes for padding
CKM_AES_KEY_WRAP_KWP: Final = 0x210B  # RFC 5649, since v3.0
