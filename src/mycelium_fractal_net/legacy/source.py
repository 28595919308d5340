"""Messages of the XOR cipher as what a column held before it was an encrypted field."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mycelium_fractal_net.columns.source import Opens, Source, last_day

if TYPE_CHECKING:
    from mycelium_fractal_net.columns.coding import Value
    from mycelium_fractal_net.security.keyring.keyring import Keyring


@dataclass(frozen=True)
class XorCipher(Source):
    """Says that a column's values may still be of the XOR cipher, up to and with the day ``until``.

    They are opened by the key that ``mfn key import-xor`` took over, whatever
    ``legacy.read_xor`` says, at some 23 ms each; never in FIPS mode. Raises
    :class:`.InvalidInputError` for what is no day.
    """

    until: datetime.date | str  # type: ignore[assignment]

    kinds: ClassVar[frozenset[str]] = frozenset({"text", "bytes", "integer", "date"})

    def __post_init__(self) -> None:
        object.__setattr__(self, "until", last_day(self.until))

    def __repr__(self) -> str:
        return f"XorCipher(until={str(self.until)!r})"

    def opener(self, keyring: Keyring) -> Opens:
        """Opens old messages. Raises :class:`.KeyNotFoundError` where their key is not here."""
        from mycelium_fractal_net.legacy.columns import decode_old, old_text
        from mycelium_fractal_net.legacy.xor_format import open_xor, xor_key

        xor_key(keyring)

        def opened(value: Value) -> bytes:
            return open_xor(keyring, old_text(decode_old(value)[0])).data

        return opened
