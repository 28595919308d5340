"""What one look of a scheduler did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What one look did, by version ids (``orders:v3``) and names of keys. Times are the store's.

    ``failed`` has each key with what went wrong, ``waiting`` those that failed before and are
    tried again later, ``set_back`` those whose due time came from a clock that ran ahead.
    ``pending`` were moved to pending destruction; ``proposed``, of the keys that it came by, stay
    until an operator says so.
    Nothing is erased before ``held_until``. ``credentials_due`` counts API keys that their
    holders are to renew.
    """

    looked_at: datetime
    rotated: tuple[str, ...] = ()
    activated: tuple[str, ...] = ()
    set_back: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    waiting: tuple[str, ...] = ()
    proposed: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    erased: tuple[str, ...] = ()
    credentials_due: int = 0
    held_until: datetime | None = None

    @property
    def ok(self) -> bool:
        """Whether no key failed or waits for another attempt."""
        return not self.failed and not self.waiting
