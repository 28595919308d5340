"""What of a record is authenticated, as bytes: each field with its kind and its length."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mycelium_fractal_net.security.key_store.rows import Field

STORE_ID_BYTES: Final = 16

_HEAD: Final = struct.Struct(">cI").pack  # of a field: its kind, and how many bytes follow
_WORDS: Final[dict[bool | None, bytes]] = {
    None: _HEAD(b"-", 0),
    False: _HEAD(b"i", 1) + b"0",
    True: _HEAD(b"i", 1) + b"1",
}
_INTEGERS: Final = [_HEAD(b"i", digits) for digits in range(32)]


class Mac(Protocol):
    """What authenticates rows: HMAC-SHA-256 from the policy."""

    def tag(self, data: bytes) -> bytes:
        """The 32-byte tag of ``data``."""

    def verify(self, data: bytes, tag: bytes) -> None:
        """Raise :class:`InvalidSignatureError` unless ``tag`` is the tag of ``data``."""


def encode_fields(fields: Iterable[Field]) -> bytes:
    """Fields as bytes, each with a kind and its length, so that none runs into the next."""
    parts: list[bytes] = []
    for field in fields:
        if isinstance(field, str):
            value = field.encode()
            parts += (_HEAD(b"s", len(value)), value)
        elif field is None or isinstance(field, bool):
            parts.append(_WORDS[field])
        elif isinstance(field, int):
            value = b"%d" % field
            known = len(value) < len(_INTEGERS)  # JSON of a stranger's may have any number
            parts += (_INTEGERS[len(value)] if known else _HEAD(b"i", len(value)), value)
        else:
            parts += (_HEAD(b"b", len(field)), field)
    return b"".join(parts)
