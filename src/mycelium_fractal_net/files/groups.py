"""Files that are published together, after one sync for all of them.

A sync for each small file costs three times the file. So outputs are finished without a name,
synced as a group, and only then get their names: under its name a file is whole and on the
disk, whenever the power goes.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.errors import MfnError

if TYPE_CHECKING:
    from mycelium_fractal_net.files.new_file import NewFile

__all__ = ["Group", "sync_file_system"]

_MAX_FILES: Final = 128  # each holds a descriptor; processes may have 1,024
_MAX_BYTES: Final = 256 << 20
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def sync_file_system(folder: Path) -> None:
    """Return once everything written to the file system of ``folder`` is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _LIBC.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)


@dataclass(slots=True)
class Group:
    """Finished outputs below ``folder``, which must be on one file system."""

    folder: Path
    force: bool
    _files: list[tuple[NewFile, int]] = field(default_factory=list)

    def add(self, output: NewFile, size: int) -> None:
        """Take a finished output of ``size`` bytes."""
        self._files.append((output, size))

    @property
    def full(self) -> bool:
        """Whether it is time to publish."""
        return len(self._files) >= _MAX_FILES or sum(size for _, size in self._files) >= _MAX_BYTES

    def publish(self) -> list[tuple[NewFile, int, OSError | MfnError | None]]:
        """Sync all, then name each; returns each with what kept it from getting its name."""
        outcomes: list[tuple[NewFile, int, OSError | MfnError | None]] = []
        if self._files:
            sync_file_system(self.folder)
        while self._files:
            output, size = self._files.pop()
            try:
                output.publish(force=self.force)
                outcomes.append((output, size, None))
            except (OSError, MfnError) as error:
                output.discard()
                outcomes.append((output, size, error))
        return outcomes

    def discard(self) -> None:
        """Throw away what was not published."""
        while self._files:
            self._files.pop()[0].discard()
