"""Who may read an output: those who may read its source, and nobody else."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Final

_ACL: Final = "system.posix_acl_access"  # acl(5)
_STATUS: Final = Path("/proc/self/status")


def acl_of(descriptor: int) -> bytes | None:
    """The access control list of an open file; None where its mode says all."""
    try:
        return os.getxattr(descriptor, _ACL)
    except OSError:
        return None


def umask() -> int:
    """That of this process, read without setting it for a moment, which other threads would see."""
    for line in _STATUS.read_text().splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o077


def give_permissions(
    descriptor: int,
    like: os.stat_result,
    acl: bytes | None = None,
    *,
    also: int = 0,
    without: int = 0,
) -> None:
    """Let the same people use an open file or folder that may use ``like``, with its ``acl``.

    It gets the group of ``like`` where that is allowed; where not, another group gets no
    permission. So it is where the list cannot be kept: the group bits beside one are not the
    group's but the most that the list gives to anybody. ``also`` are bits given in any case,
    ``without`` those that nobody gets, such as the umask.
    """
    own = os.fstat(descriptor)
    mode = like.st_mode & 0o777 & ~without | also
    if own.st_gid != like.st_gid:
        try:
            os.fchown(descriptor, -1, like.st_gid)
        except PermissionError:
            os.fchmod(descriptor, mode & ~stat.S_IRWXG)
            return
    if acl is None:
        with contextlib.suppress(OSError):  # one that the folder gave it, if any
            os.removexattr(descriptor, _ACL)
        os.fchmod(descriptor, mode | own.st_mode & stat.S_ISGID)
        return
    try:
        os.setxattr(descriptor, _ACL, acl)
        if without:
            os.fchmod(descriptor, mode)  # whose group bits are the most that the list gives
    except OSError:
        os.fchmod(descriptor, mode & ~stat.S_IRWXG)
