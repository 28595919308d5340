"""What a lease of a field holds: its keys at work, for seconds, and what was done with them.

The keys of a field are the same each time they are asked for, unlike data keys. So the service
says how long they may be used: as long as it would itself go on with what it knows of them, five
seconds at most. A revocation, and a new version, are so known here as soon as there.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from mycelium_fractal_net.client.lease_counts import LeaseCounts
from mycelium_fractal_net.security.errors import KeyStateError, MfnError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.client.steps import Steps

T = TypeVar("T")

MOST_SECONDS: Final = 5.0  # what a service says beyond that is not believed
_REPORT_SECONDS: Final = 300.0  # between reports, where the lease goes on


@dataclass(frozen=True, slots=True)
class Lent(Generic[T]):
    """The key of a field under one version, at work."""

    version_id: str
    work: T
    header: bytes = b""
    opens: bool = True


@dataclass(frozen=True, slots=True)
class Grant(Generic[T]):
    """What was lent: of every version, newest first, for so many seconds."""

    stored: str | None
    lent: tuple[Lent[T], ...]
    seconds: float

    def in_use(self, key_id: str) -> Lent[T]:
        """What makes what is stored. Raises :class:`KeyStateError` where nothing does."""
        for each in self.lent:
            if each.version_id == self.stored:
                return each
        raise KeyStateError(f"key {key_id!r} protects nothing, and is searched only")


class FieldState(LeaseCounts, Generic[T]):
    """The state of a lease of a field. Threads may share it."""

    def __init__(
        self, key_id: str, ask: Callable[[str], Steps[Grant[T]]], clock: Callable[[], float]
    ) -> None:
        self.key_id = key_id
        self._ask = ask
        self._clock = clock
        self._reported_at = clock()
        super().__init__()

    def _forget(self) -> None:
        self._grant: Grant[T] | None = None
        self._until = 0.0

    def grant(self) -> Grant[T] | None:
        """What may be used now; None where it must be asked for again."""
        self.check()
        with self._lock:
            return self._grant if self._clock() < self._until else None

    def renew(self) -> Steps[Grant[T]]:
        """Ask for the keys again. What is done at once with what this returns is in time."""
        self.check()
        started = self._clock()
        grant = yield from self._ask(self.reference)
        self.check()
        with self._lock:
            self._grant = grant
            self._until = started + min(grant.seconds, MOST_SECONDS)
        if started >= self._reported_at + _REPORT_SECONDS:
            self._reported_at = started
            with contextlib.suppress(MfnError):  # kept, for the next time or the end
                yield from self.report()
        return grant

    def count(self, what: str, size: int, *versions: str) -> None:
        """That something was done once with each of these versions, and with so many bytes."""
        with self._lock:
            for version_id in versions:
                counts = self._counted(version_id)
                counts[what] += 1
                counts["bytes"] += size
