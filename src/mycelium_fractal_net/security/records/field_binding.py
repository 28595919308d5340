"""What the values of an encrypted column are bound to. No cryptography."""

from __future__ import annotations

_LENGTH_BYTES = 8


def field_binding(table: str, column: str) -> bytes:
    """What a column's messages and tags are bound to: both names, each behind its length.

    Lengths are in 8 bytes, big-endian, names in UTF-8. It is the associated data of the messages,
    and the context of the index: a value that was put into another column does not open there.
    """
    parts = (table.encode(), column.encode())
    return b"".join(len(each).to_bytes(_LENGTH_BYTES) + each for each in parts)
