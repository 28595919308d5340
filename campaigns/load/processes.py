"""What processes hold, read from /proc once a second: memory, descriptors, threads."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_KIB: Final = 1024
MEASURES: Final = ("rss", "pss", "descriptors", "threads")
"""What is read of each process; the first two in KiB: resident, and its share of what is shared."""


def held(pid: int) -> dict[str, float]:
    """What a process holds now. Raises :class:`OSError` where it is gone."""
    place = Path(f"/proc/{pid}")
    found: dict[str, float] = {}
    for line in (place / "smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in ("Rss", "Pss"):
            found[name.lower()] = float(rest.split()[0])
    found["descriptors"] = float(len(os.listdir(place / "fd")))
    found["threads"] = float(len(os.listdir(place / "task")))
    return found


class Watch:
    """A thread that looks at processes once a second; ``seen[name][measure]`` are pairs.

    Each is the second since it began, and the value.
    """

    def __init__(self, pids: Mapping[str, int], every: float = 1.0) -> None:
        self._pids = dict(pids)
        self._every = every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch")
        self._began = time.monotonic()
        self.seen: dict[str, dict[str, list[tuple[float, float]]]] = {
            name: {measure: [] for measure in MEASURES} for name in pids
        }
        self.gone: set[str] = set()

    def _look(self) -> None:
        while not self._ended.wait(self._every):
            now = time.monotonic() - self._began
            for name, pid in self._pids.items():
                try:
                    for measure, value in held(pid).items():
                        self.seen[name][measure].append((now, value))
                except OSError:
                    self.gone.add(name)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with contextlib.suppress(RuntimeError):
            self._thread.join()
