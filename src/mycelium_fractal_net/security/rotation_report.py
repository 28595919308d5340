"""What one look of a scheduler did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mycelium_fractal_net.security.keys import KeyState, version_id

if TYPE_CHECKING:
    from datetime import datetime

    from mycelium_fractal_net.security.key_store.rotation_table import RotationFailure
    from mycelium_fractal_net.security.keys import Key

__all__ = ["Looking", "RunReport"]


@dataclass(frozen=True, slots=True)
class RunReport:
    """What one look did, by version ids (``orders:v3``) and names of keys. Times are the store's.

    ``failed`` has each key with what went wrong, ``waiting`` those that failed before and are
    tried again later, ``set_back`` those whose due moment came from a clock that ran ahead.
    ``pending`` were moved to pending destruction; ``proposed`` stay until an operator says so.
    Nothing is erased before ``held_until``. ``credentials_due`` counts API keys that their
    holders are to renew.
    """

    looked_at: datetime
    rotated: tuple[str, ...]
    activated: tuple[str, ...]
    set_back: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]
    waiting: tuple[str, ...]
    proposed: tuple[str, ...]
    pending: tuple[str, ...]
    erased: tuple[str, ...]
    credentials_due: int
    held_until: datetime | None

    @property
    def ok(self) -> bool:
        """Whether no key failed or waits for another attempt."""
        return not self.failed and not self.waiting


@dataclass(slots=True)
class Looking:
    """A look that is under way: what it goes by, and what it has done so far."""

    now: datetime
    held_until: datetime | None
    used_up: frozenset[bytes]
    failures: dict[str, RotationFailure]
    rotated: list[str] = field(default_factory=list)
    activated: list[str] = field(default_factory=list)
    set_back: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    proposed: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    erased: list[str] = field(default_factory=list)
    mended: set[str] = field(default_factory=set)

    def note_activated(self, before: Key, after: Key) -> None:
        """Note the versions that were waiting before and are not any more."""
        waited = {v.handle for v in before.versions if v.state is KeyState.PRE_ACTIVATION}
        self.activated += (
            version_id(after.key_id, each.version)
            for each in after.versions
            if each.handle in waited and each.state is not KeyState.PRE_ACTIVATION
        )

    def report(self, credentials_due: int) -> RunReport:
        """What it did in all."""
        return RunReport(
            self.now,
            tuple(self.rotated),
            tuple(self.activated),
            tuple(self.set_back),
            tuple(self.failed),
            tuple(self.waiting),
            tuple(self.proposed),
            tuple(self.pending),
            tuple(self.erased),
            credentials_due,
            self.held_until,
        )
