"""The master key of the XOR cipher, taken over as a key that only opens."""

from __future__ import annotations

import base64
import os
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.legacy.xor_format import xor_opener
from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.byte_io.private import check_private
from mycelium_fractal_net.security.errors import InvalidKeyError, KeyExistsError, MasterKeyError
from mycelium_fractal_net.security.key_providers import StoredKeyProvider
from mycelium_fractal_net.security.records.keys import (
    HANDLE_BYTES,
    LEGACY_XOR,
    LEGACY_XOR_KEY_ID,
    Key,
    KeyState,
    KeyType,
    KeyUse,
    KeyVersion,
    RotationPolicy,
)

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer

_KEY_BYTES: Final = 32
_HEX: Final = re.compile(rb"[0-9A-Fa-f]{64}")
_BASE64: Final = re.compile(rb"[A-Za-z0-9_-]{43}=?")
_MOST_FILE_BYTES: Final = 128  # the longest spelling is 64 hexadecimal digits and a line end

# Nothing rotates it: there is no next version, and what it opened moves to other keys.
_ROTATION: Final = RotationPolicy(interval_days=36_500, retain_count=1, automatic=False)


def import_xor_key(provider: StoredKeyProvider, material: Buffer) -> Key:
    """Store the 32-byte master key of the XOR cipher as ``legacy-xor:v1``; returns the record.

    It is wrapped as every key is, and deactivated from the start (SP 800-57 part 1 section 7):
    it opens, and can never be made to protect. Raises :class:`InvalidKeyError` for another
    size, :class:`KeyExistsError` where the name is taken, and :class:`ConfigurationError` in
    FIPS mode.
    """
    xor_opener(provider.policy, material)
    now = provider.clock()
    key = Key(
        key_id=LEGACY_XOR_KEY_ID,
        key_type=KeyType.ENCRYPTION,
        use=KeyUse.DATA,
        algorithm=LEGACY_XOR,
        rotation=_ROTATION,
        created_at=now,
        versions=(),
    )
    version = KeyVersion(
        version=1,
        handle=secrets.token_bytes(HANDLE_BYTES),
        state=KeyState.DEACTIVATED,
        created_at=now,
        wrapped=b"",
    )
    try:
        return provider.keys.adopt(key, version, bytes(as_bytes(material)))
    except KeyExistsError:
        raise KeyExistsError(
            f"a key named {LEGACY_XOR_KEY_ID!r} is there already; it is imported once"
        ) from None


def read_xor_key(path: Path) -> bytes:
    """The 32 bytes of the old master key from a file: as they are, or in hex or urlsafe base64.

    Text may end in a line end. Raises :class:`MasterKeyError` where the file cannot be read,
    :class:`StorePermissionsError` where others may read it, and :class:`InvalidKeyError` for
    anything else in it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            check_private(path)
            content = file.read(_MOST_FILE_BYTES)
    except OSError as error:
        raise MasterKeyError(
            f"the key file {path} cannot be read: {error.strerror}; check the path"
        ) from None
    if len(content) == _KEY_BYTES:
        return content
    text = content.strip()
    if _HEX.fullmatch(text):
        return bytes.fromhex(text.decode())
    if _BASE64.fullmatch(text):
        key = base64.urlsafe_b64decode(text[:43] + b"=")
        if base64.urlsafe_b64encode(key)[:43] == text[:43]:  # its unused bits are zero
            return key
    raise InvalidKeyError(
        f"{path} holds no key of the XOR cipher: 32 bytes, or those in hex or urlsafe base64"
    )
