"""A session: what one thread asks a token for, in bytes and numbers of Python's.

Every method raises :class:`.codes.TokenError` for whatever a function gives that is not OK; the
session is closed then, since an operation may be left under way in it. Sizes are known before, so
that each function is called once.
"""

from __future__ import annotations

import ctypes
import sys
from ctypes import byref, c_ubyte
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.security.byte_io.secret_bytes import SecretBytes
from mycelium_fractal_net.security.key_providers.pkcs11 import codes, cryptoki
from mycelium_fractal_net.security.key_providers.pkcs11.codes import TokenError
from mycelium_fractal_net.security.key_providers.pkcs11.cryptoki import CK_ULONG
from mycelium_fractal_net.security.key_providers.pkcs11.token_facts import facts_of

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers.pkcs11.library import Library
    from mycelium_fractal_net.security.key_providers.pkcs11.token_facts import TokenFacts

GCM_NONCE_BYTES: Final = 12  # SP 800-38D section 5.2.1.1
GCM_TAG_BYTES: Final = 16  # SP 800-38D section 5.2.1.2: the longest
_AT_ONCE: Final = 64  # handles that are found by one call
_LARGEST_ATTRIBUTE: Final = 4096

Attributes = dict[int, "bytes | int | bool"]

_WRAP_OVERHEAD: Final = 24  # RFC 3394 adds 8 bytes, every padding less than that, and 8 to spare
# What is wrapped, and what comes out: a key of this session, which shows its value.
_MATERIAL: Final[Attributes] = {
    cryptoki.CKA_CLASS: cryptoki.CKO_SECRET_KEY,
    cryptoki.CKA_KEY_TYPE: cryptoki.CKK_GENERIC_SECRET,
    cryptoki.CKA_TOKEN: False,
    cryptoki.CKA_PRIVATE: True,
    cryptoki.CKA_SENSITIVE: False,
    cryptoki.CKA_EXTRACTABLE: True,
}


class Session:
    """An open session of a library; of one thread at a time."""

    def __init__(self, library: Library, slot: int, handle: int) -> None:
        self._library = library
        self._slot = slot
        self.handle = handle

    def _call(self, function: str, *arguments: Any) -> None:
        self._library.call(function, self.handle, *arguments)

    # The token ----------------------------------------------------------------------------

    def facts(self) -> TokenFacts:
        """What the token says of itself."""
        return facts_of(self._library, self._slot)

    def mechanisms(self) -> frozenset[int]:
        """What it can do."""
        count = CK_ULONG()
        self._library.call("C_GetMechanismList", self._slot, None, byref(count))
        block = (CK_ULONG * count.value)()
        self._library.call("C_GetMechanismList", self._slot, block, byref(count))
        return frozenset(block[: count.value])

    # Objects ------------------------------------------------------------------------------

    def find(self, attributes: Attributes) -> list[int]:
        """The handles of all objects that have those attributes."""
        template = _Template(attributes)
        self._call("C_FindObjectsInit", template.pointer, template.count)
        found: list[int] = []
        block, count = (CK_ULONG * _AT_ONCE)(), CK_ULONG()
        while True:
            self._call("C_FindObjects", block, _AT_ONCE, byref(count))
            found += block[: count.value]
            if not count.value:
                break
        self._call("C_FindObjectsFinal")
        return found

    def attribute(self, key: int, kind: int) -> bytes | None:
        """An attribute's bytes, or None where the object has none, or does not show it."""
        try:
            return bytes(self._attribute(key, kind))
        except TokenError as error:
            if error.code in (codes.ATTRIBUTE_TYPE_INVALID, codes.ATTRIBUTE_SENSITIVE):
                return None
            raise

    def _attribute(self, key: int, kind: int) -> SecretBytes:
        buffer = (c_ubyte * _LARGEST_ATTRIBUTE)()
        attribute = cryptoki.Attribute(kind, ctypes.addressof(buffer), _LARGEST_ATTRIBUTE)
        try:
            self._call("C_GetAttributeValue", key, byref(attribute), 1)
            return SecretBytes(memoryview(buffer)[: attribute.ulValueLen])
        finally:
            ctypes.memset(buffer, 0, _LARGEST_ATTRIBUTE)  # of what was unwrapped it held a key

    def number(self, key: int, kind: int) -> int | None:
        """An attribute that is a number, or a truth."""
        value = self.attribute(key, kind)
        return None if value is None else int.from_bytes(value, sys.byteorder)

    def destroy(self, key: int) -> None:
        """Destroy an object for ever."""
        self._call("C_DestroyObject", key)

    # Keys ---------------------------------------------------------------------------------

    def generate_key(self, mechanism: int, attributes: Attributes) -> int:
        """A new secret key's handle."""
        template, handle = _Template(attributes), CK_ULONG()
        chosen = cryptoki.Mechanism(mechanism, None, 0)
        self._call("C_GenerateKey", byref(chosen), template.pointer, template.count, byref(handle))
        return handle.value

    def generate_pair(self, mechanism: int, public: Attributes, private: Attributes) -> int:
        """The handle of a new pair's public key."""
        publics, privates = _Template(public), _Template(private)
        handle, other = CK_ULONG(), CK_ULONG()
        chosen = cryptoki.Mechanism(mechanism, None, 0)
        self._call(
            "C_GenerateKeyPair",
            byref(chosen),
            publics.pointer,
            publics.count,
            privates.pointer,
            privates.count,
            byref(handle),
            byref(other),
        )
        return handle.value

    # Operations ---------------------------------------------------------------------------

    def encrypt(self, key: int, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        """AES-GCM: the ciphertext and its tag of 16 bytes."""
        mechanism = _Gcm(nonce, associated_data)
        self._call("C_EncryptInit", byref(mechanism.native), key)
        return bytes(self._out("C_Encrypt", data, len(data) + GCM_TAG_BYTES))

    def decrypt(self, key: int, nonce: bytes, data: bytes, associated_data: bytes) -> SecretBytes:
        """What :meth:`encrypt` was given."""
        mechanism = _Gcm(nonce, associated_data)
        self._call("C_DecryptInit", byref(mechanism.native), key)
        return self._out("C_Decrypt", data, len(data))

    def wrap(self, key: int, mechanism: int, data: bytes) -> bytes:
        """``data`` wrapped, as a key that the token has for as long as that takes.

        It goes with the session where a call fails.
        """
        template, handle = _Template({**_MATERIAL, cryptoki.CKA_VALUE: data}), CK_ULONG()
        self._call("C_CreateObject", template.pointer, template.count, byref(handle))
        size = len(data) + _WRAP_OVERHEAD
        buffer, written = (c_ubyte * size)(), CK_ULONG(size)
        chosen = cryptoki.Mechanism(mechanism, None, 0)
        self._call("C_WrapKey", byref(chosen), key, handle.value, buffer, byref(written))
        self.destroy(handle.value)
        return ctypes.string_at(buffer, min(written.value, size))

    def unwrap(self, key: int, mechanism: int, data: bytes) -> SecretBytes:
        """What :meth:`wrap` was given."""
        template, handle = _Template(_MATERIAL), CK_ULONG()
        chosen = cryptoki.Mechanism(mechanism, None, 0)
        self._call(
            "C_UnwrapKey",
            byref(chosen),
            key,
            data,
            len(data),
            template.pointer,
            template.count,
            byref(handle),
        )
        found = self._attribute(handle.value, cryptoki.CKA_VALUE)
        self.destroy(handle.value)
        return found

    def sign(self, key: int, mechanism: int, data: bytes, size: int) -> bytes:
        """A signature of at most ``size`` bytes."""
        chosen = cryptoki.Mechanism(mechanism, None, 0)
        self._call("C_SignInit", byref(chosen), key)
        return bytes(self._out("C_Sign", data, size))

    def _out(self, function: str, data: bytes, size: int) -> SecretBytes:
        buffer, written = (c_ubyte * size)(), CK_ULONG(size)
        try:
            self._call(function, data, len(data), buffer, byref(written))
            return SecretBytes(memoryview(buffer)[: written.value])
        finally:
            ctypes.memset(buffer, 0, size)  # of a decryption it held a key


class _Template:
    """Attributes as C has them; lives as long as a call uses them."""

    def __init__(self, attributes: Attributes) -> None:
        self._values = [(kind, _native(value)) for kind, value in attributes.items()]
        self.count = len(self._values)
        self.pointer = (cryptoki.Attribute * self.count)(
            *(
                cryptoki.Attribute(kind, ctypes.addressof(value), ctypes.sizeof(value))
                for kind, value in self._values
            )
        )


class _Gcm:
    """``CKM_AES_GCM`` with a nonce and a tag of full size, whatever the library would take."""

    def __init__(self, nonce: bytes, associated_data: bytes) -> None:
        self._nonce, self._associated = _native(nonce), _native(associated_data)
        self._parameters = cryptoki.GcmParams(
            ctypes.addressof(self._nonce),
            len(nonce),
            8 * len(nonce),
            ctypes.addressof(self._associated),
            len(associated_data),
            8 * GCM_TAG_BYTES,
        )
        self.native = cryptoki.Mechanism(
            cryptoki.CKM_AES_GCM,
            ctypes.addressof(self._parameters),
            ctypes.sizeof(self._parameters),
        )


def _native(value: bytes | int | bool) -> Any:
    if isinstance(value, bytes):
        return (c_ubyte * len(value)).from_buffer_copy(value)
    return c_ubyte(value) if isinstance(value, bool) else CK_ULONG(value)
