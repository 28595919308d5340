"""Base64url and PEM with exactly one spelling for each value.

The decoders of the standard library skip stray characters and ignore unused bits, so that
many texts stand for one key. Here a text is taken only if encoding its value gives it back.
"""

from __future__ import annotations

import base64
import binascii
import textwrap
from typing import Final

from mycelium_fractal_net.security.errors import InvalidKeyError

PUBLIC_KEY: Final = "PUBLIC KEY"  # the label of a SubjectPublicKeyInfo, RFC 7468 section 13
_PEM_LINE_CHARACTERS: Final = 64  # RFC 7468 section 2


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


def pem_encode(label: str, der: bytes) -> bytes:
    """DER under ``label`` as PEM (RFC 7468 section 3, the strict form), LF line ends."""
    lines = textwrap.wrap(base64.b64encode(der).decode("ascii"), _PEM_LINE_CHARACTERS)
    text = "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])
    return text.encode("ascii")


def pem_decode(label: str, text: str | bytes) -> bytes:
    """The DER in ``text``, which must be one PEM block of that label and nothing else.

    CRLF line ends and blank space around the block are taken; explanatory text, headers, a
    second block, another label or other line lengths are not.

    :raises InvalidKeyError: it is not such a block.
    """
    try:
        raw = text.encode("ascii") if isinstance(text, str) else memoryview(text).tobytes()
        block = raw.replace(b"\r\n", b"\n").strip() + b"\n"
        der = binascii.a2b_base64(b"".join(block.split(b"\n")[1:-2]))
        if pem_encode(label, der) == block:
            return der
    except (TypeError, ValueError):
        pass
    raise InvalidKeyError(f"expected one PEM block of the kind {label!r}")
