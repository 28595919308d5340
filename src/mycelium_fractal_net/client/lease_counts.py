"""What every lease keeps: what was done under it, whether it ended, and whose process it is."""

from __future__ import annotations

import os
import secrets
import threading
from abc import abstractmethod
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.client.operations import report
from mycelium_fractal_net.security.errors import InvalidInputError

if TYPE_CHECKING:
    from mycelium_fractal_net.client.steps import Steps

_NOTHING: Final = {"encrypted": 0, "decrypted": 0, "failed": 0, "bytes": 0}  # was done so far


class LeaseCounts:
    """A base of the states of leases. Threads may share one; a process that forks leaves it behind.

    ``reference`` marks the audit records of what was granted and reported.
    """

    def __init__(self) -> None:
        self.reference = f"lease {secrets.token_hex(8)}"
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._forget()
        self._counts: dict[str, dict[str, int]] = {}
        self.ended = False
        self._process = os.getpid()  # the last thing, which other threads look at

    @abstractmethod
    def _forget(self) -> None:
        """Let go of what was granted."""

    def check(self) -> None:
        """Raises :class:`InvalidInputError` once the lease has ended."""
        self._leave_parent()
        if self.ended:
            raise InvalidInputError("the lease has ended")

    def _leave_parent(self) -> None:
        """In a process that was forked: what the parent counts and reports is its own."""
        if os.getpid() != self._process:
            ended = self.ended
            self._begin()
            self.ended = ended

    def _counted(self, version_id: str) -> dict[str, int]:
        """The counts of a version, with the lock held."""
        counts = self._counts.get(version_id)
        if counts is None:
            counts = self._counts[version_id] = dict(_NOTHING)
        return counts

    def report(self) -> Steps[None]:
        """Have what was done recorded; what could not be reported is kept for the next time."""
        self._leave_parent()
        with self._lock:
            counts, self._counts = self._counts, {}
        if not counts:
            return
        try:
            yield from report(counts, self.reference)
        except BaseException:
            with self._lock:
                for version_id, each in counts.items():
                    kept = self._counted(version_id)
                    for name, count in each.items():
                        kept[name] += count
            raise

    def end(self) -> None:
        """Forget what was granted. What was done can still be reported."""
        self._leave_parent()
        with self._lock:
            self.ended = True
            self._forget()
