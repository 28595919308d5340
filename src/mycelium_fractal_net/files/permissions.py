"""Who may read an output: those who may read its source, and nobody else."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Final

_ACL: Final = "system.posix_acl_access"  # acl(5)


def acl_of(descriptor: int) -> bytes | None:
    """The access control list of an open file; None where its mode says all."""
    try:
        return os.getxattr(descriptor, _ACL)
    except OSError:
        return None


def give_permissions(
    descriptor: int, like: os.stat_result, acl: bytes | None = None, *, also: int = 0
) -> None:
    """Let the same people use an open file or folder that may use ``like``, with its ``acl``.

    It gets the group of ``like`` where that is allowed; where not, another group gets no
    permission. So it is where the list cannot be kept: the group bits beside one are not the
    group's but the most that the list gives to anybody. ``also`` are bits given in any case.
    """
    own = os.fstat(descriptor)
    mode = like.st_mode & 0o777 | also
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
    except OSError:
        os.fchmod(descriptor, mode & ~stat.S_IRWXG)
