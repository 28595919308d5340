"""Secret files that a platform delivers: Kubernetes volumes, systemd credentials, packages.

They belong to root, cannot be written, and are read through the group or an access list, often over
links. What makes one safe is the way to it: nobody but root can change where it leads.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

_READ_ONLY_SECRET: Final = 0o440  # systemd's access lists show as the group's bits
_SHARED_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_MOST_LINKS: Final = 40  # as Linux follows


def delivered(path: Path) -> Path | None:
    """The file that ``path`` leads to, if root delivers it and nobody else can put another there.

    It is a file of root with mode 0440 or narrower; every link and folder on the way is root's too,
    and no folder can be written by others, unless only with the sticky bit or not at all, since it
    is mounted read-only. None for every other file, and where something is not there.
    """
    try:
        return _followed(path)
    except OSError:
        return None


def _followed(path: Path) -> Path | None:
    place = Path("/")
    left = [*reversed(path.absolute().parts[1:])]
    links = 0
    while left:
        name = left.pop()
        if name == "..":
            place = place.parent
            continue
        status = (place / name).lstat()
        if status.st_uid != 0:
            return None
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if links > _MOST_LINKS:
                return None
            target = (place / name).readlink()
            if target.is_absolute():
                place = Path("/")
            left += [part for part in reversed(target.parts) if part != "/"]
            continue
        place /= name
        if stat.S_ISDIR(status.st_mode) and not _is_safe(place, status):
            return None
    return place if _is_secret(place) else None


def _is_safe(folder: Path, status: os.stat_result) -> bool:
    """Whether nobody but root can put another file in the place of one of root in it."""
    if not status.st_mode & _SHARED_WRITE or status.st_mode & stat.S_ISVTX:
        return True
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def _is_secret(path: Path) -> bool:
    mode = path.lstat().st_mode
    return stat.S_ISREG(mode) and not stat.S_IMODE(mode) & ~_READ_ONLY_SECRET
