"""Files and folders that nobody else may use."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.errors import StorePermissionsError, StoreUnavailableError

if TYPE_CHECKING:
    from pathlib import Path

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def check_private(path: Path) -> None:
    """Raise :class:`StorePermissionsError` where others may read or write ``path``.

    A file must be 0600 or narrower, a folder 0700 or narrower, and belong to the user that
    runs (or to root). A symbolic link is refused.
    """
    try:
        info = path.lstat()
    except FileNotFoundError:
        raise StoreUnavailableError(f"{path} does not exist") from None
    except OSError as error:
        raise StoreUnavailableError(f"{path}: {error.strerror}") from None
    if stat.S_ISLNK(info.st_mode):
        raise StorePermissionsError(f"{path} is a symbolic link; name the file itself")
    if info.st_uid not in (os.geteuid(), 0):
        raise StorePermissionsError(f"{path} belongs to another user")
    if info.st_mode & _OTHERS:
        wanted = "0700" if stat.S_ISDIR(info.st_mode) else "0600"
        raise StorePermissionsError(
            f"{path} may be used by others (mode {stat.S_IMODE(info.st_mode):04o});"
            f" run: chmod {wanted} {path}"
        )
