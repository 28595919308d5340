"""What comes back from a key: bytes, and which version it was."""

from __future__ import annotations

from typing import NamedTuple, Self

__all__ = ["StreamResult", "Versioned"]


class Versioned(bytes):
    """Bytes; ``key_id`` says which version made or opened them, such as ``orders:v3``.

    ``legacy`` is true of the plaintext of a message of the XOR cipher: encrypt it anew.
    """

    key_id: str
    legacy: bool

    @classmethod
    def of(cls, data: bytes, key_id: str, *, legacy: bool = False) -> Self:
        """``data`` with the version that made or opened it."""
        made = cls(data)
        made.key_id = key_id
        made.legacy = legacy
        return made


class StreamResult(NamedTuple):
    """How a stream ended: the version that sealed or opened it, and the bytes of plaintext."""

    key_id: str
    plain_bytes: int
