"""What a column held before it was encrypted: of which form, and up to which day that counts.

A field type reads such values beside sealed ones, and a run seals what is left of them. Whatever
can be read can be injected by whoever may make it, so each source has a day on which it ends.
"""

from __future__ import annotations

import datetime
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from mycelium_fractal_net.columns.coding import Value
from mycelium_fractal_net.security.errors import InvalidInputError

if TYPE_CHECKING:
    from mycelium_fractal_net.security.keyring.keyring import Keyring

Opens = Callable[[Value], bytes]
"""From a value that is not sealed to its plaintext. Raises :class:`.DecryptionError`."""


class Source(ABC):
    """A form of values that are not sealed, taken up to and with the day ``until``, in UTC.

    A value that has the form of a sealed one is never of a source, but where the source
    claims it: see :meth:`claims`.
    """

    until: datetime.date
    kinds: ClassVar[frozenset[str]] = frozenset({"text", "bytes", "enumeration"})
    """What values may be for the form to spell them as a field does: names of codecs."""

    def is_taken(self, now: datetime.datetime | None = None) -> bool:
        """Whether its values count at that time, or now."""
        today = (now or datetime.datetime.now(datetime.UTC)).astimezone(datetime.UTC).date()
        return today <= self.until

    @abstractmethod
    def opener(self, keyring: Keyring) -> Opens:
        """What opens its values; a keyring's own keys and policy are asked where they are needed.

        Raises what is wrong with keys, or that the policy refuses the form.
        """

    def claims(self, stored: bytes) -> bool:  # noqa: ARG002
        """Whether what looks like ``tag || message`` is first tried as a value of this form."""
        return False


def last_day(until: datetime.date | str) -> datetime.date:
    """The day, from a date or ``YYYY-MM-DD``. Raises :class:`InvalidInputError`."""
    try:
        return datetime.date.fromisoformat(str(until))
    except ValueError:
        raise InvalidInputError("the last day of a takeover is YYYY-MM-DD") from None
