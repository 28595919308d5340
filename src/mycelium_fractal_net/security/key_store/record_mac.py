"""Rows that grant authority are authenticated: who can write to the database gains nothing.

A key is one record (:mod:`.kinds`): its type, use, algorithm, policy and the states of all its
versions are under one HMAC-SHA-256, whose key is wrapped by the master key. So an edited state, a
row brought over from another store, and one version's row put back as it was last week are all
refused. A rollback of a key's whole record, or of the whole store, is not seen.

What is authenticated is a label, the store id and each field, length-prefixed: no two
records have the same encoding.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, Protocol

from mycelium_fractal_net.security.errors import InvalidSignatureError, StoreIntegrityError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mycelium_fractal_net.security.key_store.kinds import Kind, R
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
            parts += (_INTEGERS[len(value)], value)
        else:
            parts += (_HEAD(b"b", len(field)), field)
    return b"".join(parts)


def seal_record(mac: Mac, store_id: bytes, kind: Kind[R], record: R) -> bytes:
    """The MAC to be stored beside ``record``."""
    return mac.tag(_encoded(store_id, kind, record))


def check_record(mac: Mac, store_id: bytes, kind: Kind[R], record: R, tag: bytes) -> None:
    """Raise :class:`StoreIntegrityError`, naming the record, unless ``tag`` is its MAC."""
    try:
        mac.verify(_encoded(store_id, kind, record), tag)
    except (InvalidSignatureError, TypeError):  # of a kind that no field has
        raise StoreIntegrityError(
            f"{kind.named(record)} fails its authentication: its rows were changed outside of this"
            " software, or come from another store"
        ) from None


def _encoded(store_id: bytes, kind: Kind[R], record: R) -> bytes:
    return encode_fields((kind.domain, store_id, *kind.fields(record)))
