"""One key and one associated data for many short messages, such as those of a column.

What the keyring does for any message costs half as much as to open a short one. What is the same
for all of these is done once here: names are parsed, options made, and the usual message, one of
an active version, is opened without looking at what it might be instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import InvalidInputError
from mycelium_fractal_net.security.forking import OfOneProcess
from mycelium_fractal_net.security.records.keys import KeyType, parse_key_id
from mycelium_fractal_net.security.records.open_options import OpenOptions
from mycelium_fractal_net.security.sealed.layout import NAMED_BYTES, SEALED

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer
    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from mycelium_fractal_net.security.keyring.opening import MessageKeys

_MAGIC_BYTES: Final = len(SEALED)
_ENCRYPTION: Final = KeyType.ENCRYPTION


class BoundCipher(OfOneProcess):
    """Seals and opens messages of one key. Made by :meth:`.Keyring.bound`. Thread-safe.

    It holds no key: each call takes the version from the keyring, as fresh as all of its keys, and
    counts as a use of it.
    """

    __slots__ = ("_associated_data", "_cache", "_key_id", "_keyring", "_options", "_short")

    def __init__(
        self, keyring: Keyring, keys: MessageKeys, key_id: str, bound: Buffer, *, short: bool
    ) -> None:
        name, number = parse_key_id(key_id)
        if number is not None:
            raise InvalidInputError("messages of many versions are opened: name the key alone")
        self._keyring = keyring
        self._cache = keys.cache
        self._key_id = name
        self._associated_data = bytes(as_bytes(bound))
        self._options = OpenOptions(self._associated_data)
        self._short = short  # False where each use goes through the keyring's own methods

    def __repr__(self) -> str:
        return f"BoundCipher({self._key_id!r})"

    def seal(self, data: bytes) -> bytes:
        """What :meth:`.Keyring.encrypt` gives, and raises, for ``data``: 84 bytes more."""
        if self._short:
            found = self._cache.protecting(self._key_id, _ENCRYPTION)
            return found.sealer.seal(data, self._associated_data)
        return self._keyring.encrypt(
            data, key_id=self._key_id, associated_data=self._associated_data
        )

    def open(self, message: bytes) -> bytes:
        """What :meth:`.Keyring.decrypt` gives, and raises, for a message of this key."""
        if self._short and message[:_MAGIC_BYTES] == SEALED:
            handle = message[_MAGIC_BYTES:NAMED_BYTES]
            found = self._cache.opens(handle, self._key_id, _ENCRYPTION)
            if found is not None:
                return found.sealer.open(message, self._associated_data)
        return self._keyring.decrypt_result(message, self._options, key_id=self._key_id).data
