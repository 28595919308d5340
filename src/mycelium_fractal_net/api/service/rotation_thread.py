"""The thread of a worker that rotates keys which fall due, beside the event loop.

Each worker has one: whichever looks first rotates, and none is missed where a worker dies.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.bootstrap import rotation_scheduler

if TYPE_CHECKING:
    from mycelium_fractal_net.api.service.metrics import Metrics
    from mycelium_fractal_net.config import Settings
    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.rotation import RunReport

_GRACE_SECONDS: Final = 60.0  # for a look of many keys, on top of three that did not come


class RotationThread:
    """Looks every ``rotation.look_seconds`` from when it is made, until :meth:`end`."""

    def __init__(self, settings: Settings, provider: StoredKeyProvider, metrics: Metrics) -> None:
        self.overdue = 0  # keys that are due and could not be rotated, at the last look
        self._metrics = metrics
        self._stop = threading.Event()
        look_seconds = settings.rotation.look_seconds
        self._late_seconds = 3 * look_seconds + _GRACE_SECONDS
        self._scheduler = rotation_scheduler(settings, provider, listener=self._note)
        # A daemon: a store that is silent must not keep the process from ending.
        self._thread = threading.Thread(
            target=self._scheduler.run,
            args=(self._stop, look_seconds),
            name="mfn-rotation",
            daemon=True,
        )
        self._thread.start()

    def _note(self, report: RunReport | None) -> None:
        if report is not None:
            self.overdue = len(report.failed) + len(report.waiting)
            self._metrics.count("rotations", "ok", count=len(report.rotated))
            self._metrics.count("rotations", "failed", count=len(report.failed))

    @property
    def look_age(self) -> float:
        """Seconds since a look of this process ended."""
        return self._scheduler.look_age

    @property
    def state(self) -> str:
        """``ok``, or ``failing``: a key cannot be rotated, or no look ends."""
        late = self.look_age > self._late_seconds
        return "failing" if late or not self._scheduler.healthy else "ok"

    def end(self) -> None:
        """Look no more, and return once a look that has begun has ended."""
        self._stop.set()
        self._thread.join()
