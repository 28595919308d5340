"""Keys and credentials that begin with a tag, in the place of ones that are wholly random."""

from __future__ import annotations

import base64
import secrets
from typing import Final

_BYTES: Final = 32  # of a key, and what a credential's secret is made of
_count = 0


def drawn() -> int:
    """How many this process has drawn."""
    return _count


def draw_markers(tag: bytes) -> tuple[bytes, bytes]:
    """From now on ``secrets`` gives those for 32 bytes, with ``tag``, 12 bytes, and 20 random ones.

    Returns what every key and every credential begins with.
    """
    token_bytes, token_urlsafe = secrets.token_bytes, secrets.token_urlsafe

    def key(count: int | None = None) -> bytes:
        if count != _BYTES:
            return token_bytes(count)
        global _count
        _count += 1
        return tag + token_bytes(_BYTES - len(tag))

    def text(count: int | None = None) -> str:
        if count != _BYTES:
            return token_urlsafe(count)
        return base64.urlsafe_b64encode(key(_BYTES)).rstrip(b"=").decode()

    vars(secrets).update(token_bytes=key, token_urlsafe=text)
    return tag, base64.urlsafe_b64encode(tag)
