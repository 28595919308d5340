"""Values that an application stored before its column was encrypted, and until when they count.

Whoever may write to the database may write plaintext: as long as it is taken, no value
of the column that is not sealed is authentic. So there is a day on which that ends.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mycelium_fractal_net.columns.coding import Value, from_base64
from mycelium_fractal_net.columns.source import Opens, Source, last_day
from mycelium_fractal_net.security.errors import DecryptionError
from mycelium_fractal_net.security.sealed.layout import LEAST_BYTES, SEALED

if TYPE_CHECKING:
    from mycelium_fractal_net.security.keyring.keyring import Keyring


@dataclass(frozen=True)
class Plaintext(Source):
    """Says that a column's values may still be plaintext, up to and with the day ``until``.

    The day is a date of UTC, as ``YYYY-MM-DD`` or a date. Raises :class:`.InvalidInputError`.
    """

    until: datetime.date | str  # type: ignore[assignment]

    def __post_init__(self) -> None:
        object.__setattr__(self, "until", last_day(self.until))

    def __repr__(self) -> str:
        return f"Plaintext(until={str(self.until)!r})"

    def opener(self, keyring: Keyring) -> Opens:  # noqa: ARG002
        """Takes each value as it is."""
        return as_it_is


def as_it_is(value: Value) -> bytes:
    """The bytes of a value that is plaintext: of text its UTF-8."""
    try:
        return value.encode() if isinstance(value, str) else value
    except UnicodeEncodeError:  # a lone surrogate, which some drivers hand out
        raise DecryptionError from None


def sealed_in(value: Value, tag_bytes: int) -> bytes | None:
    """What is stored in a value that is sealed, ``tag || message``; None where it is not.

    Text is base64 where it is sealed, bytes are not. What has the beginning of a message behind
    its tag is sealed, and nothing else once it does not open.
    """
    try:
        stored = value if isinstance(value, bytes) else from_base64(value.encode(), text=True)[0]
    except (DecryptionError, UnicodeEncodeError):
        return None
    long_enough = len(stored) >= tag_bytes + LEAST_BYTES
    return stored if long_enough and stored.startswith(SEALED, tag_bytes) else None
