"""Files that are published together, after one sync for all of them.

A sync for each small file costs three times the file. So outputs are finished without a name,
synced as a group, and only then get their names: under its name a file is whole and on the
disk, whenever the power goes.
"""

from __future__ import annotations

import ctypes
import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mycelium_fractal_net.files.new_file import NewFile
from mycelium_fractal_net.files.replacing import GRACE_SECONDS
from mycelium_fractal_net.security.errors import MfnError

_MAX_FILES: Final = 128  # more make it no faster
_MAX_BYTES: Final = 256 << 20
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def descriptor_share() -> int:
    """An eighth of the files that this process may still open: what one use of them may take.

    An output in a group holds two of them, a job in work up to three.
    """
    taken = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - pathlib makes an object of each
    return max(1, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - taken) // 8)


def sync_file_system(folder: Path) -> None:
    """Return once everything written to the file system of ``folder`` is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _syncfs(descriptor, folder)
    finally:
        os.close(descriptor)


def _syncfs(descriptor: int, place: Path) -> None:
    """Of a failed write syncfs(2) tells those who have had ``descriptor`` open since before it."""
    if _LIBC.syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(place))


@dataclass(slots=True)
class SyncGroup:
    """Finished outputs, on whatever file systems they are."""

    force: bool
    _files: list[tuple[NewFile, int]] = field(default_factory=list)
    _placed: list[tuple[NewFile, int]] = field(default_factory=list)
    _most: int = _MAX_FILES
    _bytes: int = 0

    def add(self, output: NewFile, size: int) -> None:
        """Take a finished output of ``size`` bytes."""
        if not self._files:  # counting what is open takes as long as sealing a small file
            self._most = min(_MAX_FILES, descriptor_share())
            self._bytes = 0
        self._bytes += size
        self._files.append((output, size))

    @property
    def full(self) -> bool:
        """Whether it is time to publish."""
        return len(self._files) >= self._most or self._bytes >= _MAX_BYTES

    def publish(self) -> list[tuple[NewFile, int, OSError | MfnError | None]]:
        """Sync all, then name each; returns each with what kept it from getting its name."""
        outcomes: list[tuple[NewFile, int, OSError | MfnError | None]] = []

        def each(files: list[tuple[NewFile, int]], step: Callable[[NewFile], bool]) -> None:
            while files:
                output, size = files[-1]
                try:
                    if step(output):
                        outcomes.append((output, size, None))
                    else:
                        self._placed.append((output, size))
                except (OSError, MfnError) as error:
                    output.discard()
                    outcomes.append((output, size, error))
                files.pop()

        self._sync()
        each(self._files, lambda output: output.publish(force=self.force))
        if self._placed:
            time.sleep(GRACE_SECONDS)
        each(self._placed, NewFile.settle)
        return outcomes

    def _sync(self) -> None:
        devices: dict[int, NewFile] = {}
        for output, _ in self._files:
            devices.setdefault(os.fstat(output.file.fileno()).st_dev, output)
        for output in devices.values():
            _syncfs(output.file.fileno(), output.target.parent)

    def discard(self) -> None:
        """Throw away what was not published, and settle what was."""
        for files in (self._placed, self._files):
            while files:
                files.pop()[0].discard()
