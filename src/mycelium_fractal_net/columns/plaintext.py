"""Values that an application stored before its column was encrypted, and until when they count.

Whoever may write to the database may write plaintext: as long as it is taken, no value
of the column that is not sealed is authentic. So there is a day on which that ends.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from mycelium_fractal_net.columns.coding import Value, from_base64
from mycelium_fractal_net.security.errors import DecryptionError, InvalidInputError
from mycelium_fractal_net.security.sealed.layout import LEAST_BYTES, SEALED


@dataclass(frozen=True, slots=True)
class Plaintext:
    """Says that a column's values may still be plaintext, up to and with the day ``until``.

    The day is a date of UTC, as ``YYYY-MM-DD`` or a date. Raises :class:`InvalidInputError`.
    """

    until: datetime.date | str

    def __post_init__(self) -> None:
        try:
            last = datetime.date.fromisoformat(str(self.until))
        except ValueError:
            raise InvalidInputError("the last day of plaintext is YYYY-MM-DD") from None
        object.__setattr__(self, "until", last)

    def is_taken(self, now: datetime.datetime | None = None) -> bool:
        """Whether plaintext counts at that time, or now."""
        today = (now or datetime.datetime.now(datetime.UTC)).astimezone(datetime.UTC).date()
        return today <= self.until  # type: ignore[operator]


def sealed_in(value: Value, tag_bytes: int) -> bytes | None:
    """What is stored in a value that is sealed, ``tag || message``; None where it is plaintext.

    Text is base64 where it is sealed, bytes are not. What has the beginning of a message behind
    its tag is sealed, and nothing else once it does not open.
    """
    try:
        stored = value if isinstance(value, bytes) else from_base64(value.encode(), text=True)[0]
    except (DecryptionError, UnicodeEncodeError):
        return None
    long_enough = len(stored) >= tag_bytes + LEAST_BYTES
    return stored if long_enough and stored.startswith(SEALED, tag_bytes) else None
