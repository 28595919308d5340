"""What goes into operations and comes out of them, where that is more than bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer

Format = Literal["sealed", "raw", "deterministic", "xor"]
"""``xor`` is what the XOR cipher wrote, which a service may open and nobody makes."""


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


@dataclass(frozen=True, slots=True)
class EncryptItem:
    """One thing to encrypt that differs from the others of its batch."""

    data: Buffer = field(repr=False)
    key_id: str | None = None
    associated_data: Buffer = field(default=b"", repr=False)
    format: Format = "sealed"
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class DecryptItem:
    """One message to open, or to rewrap, that differs from the others of its batch."""

    message: Buffer = field(repr=False)
    key_id: str | None = None
    associated_data: Buffer = field(default=b"", repr=False)
    data_key_associated_data: Buffer = field(default=b"", repr=False)
    format: Format = "sealed"
    allow_compromised: bool = False
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class SignItem:
    """One thing to sign that differs from the others of its batch."""

    data: Buffer = field(repr=False)
    key_id: str | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class VerifyItem:
    """One signature to verify."""

    data: Buffer = field(repr=False)
    signature: Buffer = field(repr=False)
    key_id: str | None = None
    reference: str | None = None
