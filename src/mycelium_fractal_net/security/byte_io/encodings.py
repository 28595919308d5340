"""Base64url with exactly one spelling for each value.

The decoders of the standard library skip stray characters and ignore unused bits, so that
many texts stand for one key. Here a text is taken only if encoding its value gives it back.
"""

from __future__ import annotations

import base64

from mycelium_fractal_net.security.errors import InvalidKeyError


def b64url_encode(value: bytes) -> str:
    """Base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def b64url_decode(text: object) -> bytes:
    """The bytes that :func:`b64url_encode` turned into ``text``.

    :raises InvalidKeyError: it is no string, has padding, another alphabet, or unused bits set.
    """
    if isinstance(text, str):
        try:
            value = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            value = b""
        if b64url_encode(value) == text:
            return value
    raise InvalidKeyError("a member of the key is not base64url without padding")
