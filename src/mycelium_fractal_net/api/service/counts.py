"""Numbers with names, that other processes of this machine can read while they are counted.

Counting one is an addition in memory, since the locks of a metrics library cost as much as the
cryptography of a request. What a process counted outlives it, even ``kill -9``.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_SLOTS: Final = 8192  # numbers of 8 bytes; a route with all its statuses takes some twenty
_NUMBER: Final = "d"


class Counts:
    """The numbers of one process: ``values[slot(name)] += 1``. In ``folder`` others find them.

    A name is one of the code's own. Where there is no room for another, it shares the last slot.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._names: dict[str, int] = {}
        self._lock = threading.Lock()
        self._names_path: Path | None = None
        self.values: memoryview[float]
        if folder is None:
            self.values = memoryview(bytearray(_SLOTS * 8)).cast(_NUMBER)
            return
        self._names_path = folder / f"{os.getpid()}.names"
        descriptor = os.open(
            folder / f"{os.getpid()}.values", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600
        )
        try:
            os.ftruncate(descriptor, _SLOTS * 8)
            self.values = memoryview(mmap.mmap(descriptor, _SLOTS * 8)).cast(_NUMBER)
        finally:
            os.close(descriptor)
        self._write_names()

    def slot(self, name: str) -> int:
        """Where the number of that name is. Keep it: this takes a lock."""
        with self._lock:
            found = self._names.get(name)
            if found is None:
                found = self._names[name] = min(len(self._names), _SLOTS - 1)
                self._write_names()
            return found

    def _write_names(self) -> None:
        if self._names_path is not None:
            with contextlib.suppress(OSError):  # then others see the number later, or not
                new = self._names_path.with_suffix(".new")
                new.write_text(json.dumps(list(self._names)))
                new.replace(self._names_path)

    def read(self) -> dict[str, float]:
        """Every number by its name."""
        return {name: self.values[place] for name, place in list(self._names.items())}


def read_counts(folder: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """The numbers of every process that counted in ``folder``, with its id."""
    for path in sorted(folder.glob("*.names")):
        with contextlib.suppress(OSError, ValueError):
            names = json.loads(path.read_text())
            values = memoryview(path.with_suffix(".values").read_bytes()).cast(_NUMBER)
            yield int(path.stem), dict(zip(names, values, strict=False))
