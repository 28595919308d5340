"""Hashes that name, store or compare something: SHA-256, SHA-384 and SHA-512 (FIPS 180-4).

The one place that has them outside of what is signed, sealed or derived. No configuration can
do without SHA-256, which names credentials and public keys in the store, so no policy is asked.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from typing_extensions import Buffer

SHA256_BYTES: Final = 32


class Running(Protocol):
    """A hash of what is read piece by piece."""

    def update(self, data: Buffer, /) -> None:
        """Take the next piece."""

    def digest(self) -> bytes:
        """The hash of what was taken."""
        ...


def sha256(data: Buffer) -> bytes:
    """The 32 bytes of SHA-256 of ``data``."""
    return hashlib.sha256(data).digest()


def sha384(data: Buffer) -> bytes:
    """The 48 bytes of SHA-384 of ``data``."""
    return hashlib.sha384(data).digest()


def sha512(data: Buffer) -> bytes:
    """The 64 bytes of SHA-512 of ``data``."""
    return hashlib.sha512(data).digest()


def running_sha256() -> Running:
    """A running SHA-256."""
    return hashlib.sha256()


def running_sha512() -> Running:
    """A running SHA-512."""
    return hashlib.sha512()
