"""Opens Fernet tokens, which other packages wrote, and can never make one.

A token is ``urlsafe_base64(0x80 || time(8) || iv(16) || AES-128-CBC || HMAC-SHA-256(32))``, as
https://github.com/fernet/spec has it. It is bound to nothing: not to its place, and not to a user.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable

from cryptography.fernet import Fernet, InvalidToken

from mycelium_fractal_net.security.errors import DecryptionError, InvalidKeyError


class FernetOpener:
    """Opens tokens by any of several keys: 32 bytes each in urlsafe base64. Shows none of them.

    The first key is tried first, so that it should be the one that wrote most. Thread-safe.
    Raises :class:`InvalidKeyError` for what is no key, and where there is none.
    """

    __slots__ = ("_openers",)

    def __init__(self, keys: Iterable[str | bytes]) -> None:
        try:
            self._openers = [Fernet(each) for each in keys]
        except (ValueError, TypeError, AttributeError, binascii.Error):
            raise InvalidKeyError("a Fernet key is 32 bytes in urlsafe base64") from None
        if not self._openers:
            raise InvalidKeyError("there is no Fernet key")

    def __repr__(self) -> str:
        return f"FernetOpener({len(self._openers)})"

    def open(self, token: str | bytes) -> bytes:
        """The data in ``token``, however old it is. Raises :class:`DecryptionError`."""
        for opener in self._openers:
            try:
                return opener.decrypt(token)
            except (InvalidToken, ValueError):  # of a text that is no ASCII
                continue
        raise DecryptionError
