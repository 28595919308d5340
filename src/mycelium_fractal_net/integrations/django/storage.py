"""What the column of an encrypted field holds: bytes, base64 text, and for a while what was there.

A takeover is no part of a migration: it changes no column, and may hold keys. So a model of a
migration's own reads sealed values alone.
"""

from __future__ import annotations

from binascii import b2a_base64
from typing import TYPE_CHECKING, Any, Final

from django.db import models

from mycelium_fractal_net.integrations.fields import octets
from mycelium_fractal_net.security.errors import ConfigurationError

if TYPE_CHECKING:
    from mycelium_fractal_net.columns.source import Source
    from mycelium_fractal_net.integrations.codecs import Codec
    from mycelium_fractal_net.integrations.fields import EncryptedColumn

BYTES: Final = models.BinaryField()
TEXT: Final = models.TextField()


def check_storage(
    codec: Codec, *, as_text: bool, index: str | None, takes_over: Source | None
) -> None:
    """Raise :class:`ConfigurationError` for what does not go together."""
    if as_text and index is not None:
        raise ConfigurationError("an encrypted field of text has no index: take one of bytes")
    if takes_over is not None and codec.name not in takes_over.kinds:
        raise ConfigurationError(
            f"{type(takes_over).__name__} is taken over in place in fields of"
            f" {', '.join(sorted(takes_over.kinds))}, and else by a new column"
        )


def stored_kind(field: Any) -> models.Field:
    """The field of Django's whose column it has."""
    return TEXT if field.as_text else BYTES


def as_text(stored: bytes) -> str:
    """Sealed bytes as a column of text has them."""
    return b2a_base64(stored, newline=False).decode()


def opened(field: Any, column: EncryptedColumn, value: Any) -> bytes:
    """The bytes of the value in what a column holds. Raises :class:`.DecryptionError`."""
    found = value if isinstance(value, str) else octets(value)
    if field.as_text or field.takes_over is not None:
        return column.open_either(found)
    return column.open(found if isinstance(found, bytes) else b"")
