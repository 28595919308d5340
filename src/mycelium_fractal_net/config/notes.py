"""Small notes in the home folder that commands leave for ``mfn doctor``: one file of JSON each."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mycelium_fractal_net.config.settings import Settings


class Notes:
    """The notes in ``name`` of the home folder. A file that is no JSON counts as none."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._path: Path = settings.home / name

    def read(self) -> Any:
        """What stands there; None where nothing does."""
        with suppress(FileNotFoundError, ValueError):
            return json.loads(self._path.read_text())
        return None

    def change(self, change: Callable[[Any], Any]) -> None:
        """Replace what stands there by what ``change`` makes of it; what is empty is removed."""
        with self._alone():
            before = self.read()
            after = change(before)
            if after != before:
                self._write(after)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other runs from it, each of which would write back what it has read before."""
        descriptor = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _write(self, notes: Any) -> None:
        if not notes:
            self._path.unlink(missing_ok=True)
            return
        new = self._path.with_suffix(".new")  # a killed run's is overwritten by the next
        descriptor = os.open(new, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(notes, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)
