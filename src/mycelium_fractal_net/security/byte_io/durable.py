"""Files and names that are on the disk when a call returns."""

from __future__ import annotations

import os
from pathlib import Path


def create_private(path: Path) -> int:
    """Create a file of mode 0600 and return its descriptor, for writing.

    Raises :class:`FileExistsError` where the name is taken, a link included.
    """
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)


def sync_folder(folder: Path) -> None:
    """Return once the names in ``folder`` are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
