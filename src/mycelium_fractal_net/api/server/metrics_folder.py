"""The folder in which the workers of one service keep their metrics for each other.

It is taken before anything is served or written elsewhere, so that a read-only root without a
temporary folder is told of at once. What `kill -9` of all processes left is swept by the next.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX: Final = "mfn-metrics-"
_LOCK: Final = "lock"
_BEGUN_SECONDS: Final = 60.0  # after which a folder without a lock is nobody's


@contextlib.contextmanager
def metrics_folder(home: Path) -> Iterator[Path]:
    """A new folder in that of temporary files, in shared memory, or else in ``home``.

    It is gone after the block. Raises :class:`ConfigurationError` where none of them takes one.
    """
    folder = _made(home)
    # Forked workers hold the lock too: it is free once the last of them has gone.
    lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _sweep(folder.parent)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _made(home: Path) -> Path:
    places = [Path("/dev/shm"), home]  # noqa: S108
    with contextlib.suppress(FileNotFoundError):
        places.insert(0, Path(tempfile.gettempdir()))
    for place in places:
        with contextlib.suppress(OSError):
            return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    raise ConfigurationError(
        "several workers need a folder for their metrics, and none can be written: name one in"
        " TMPDIR, or use one worker"
    )


def _sweep(place: Path) -> None:
    """Remove the folders of this user of which no process holds the lock."""
    for folder in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                continue
            if _is_nobodys(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_nobodys(folder: Path) -> bool:
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return time.time() - folder.stat().st_mtime > _BEGUN_SECONDS
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
