"""What it takes for a file and its name to outlive a power cut; whether they are still there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def create_private(path: Path) -> int:
    """Create a file of mode 0600; returns its descriptor, for writing.

    Raises :class:`FileExistsError` where the name is taken.
    """
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)


def sync_folder(folder: Path) -> None:
    """Return once the names in ``folder`` are on the disk. Raises :class:`OSError`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def still_names(path: Path, descriptor: int) -> bool:
    """Whether a name still leads to the file that is open: nobody deleted or replaced it."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except OSError:
        return False
