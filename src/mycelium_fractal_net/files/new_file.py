"""A file that has no name until it is whole.

It is written without a name (``O_TMPFILE``), so whatever ends the process, ``kill -9``
included, leaves nothing behind. Where the file system has no such files it gets a hidden
temporary name, ``.NAME.RANDOM.mfn-partial``, under a lock that its writer holds, so that the
next run can tell a leftover from a file in work.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from mycelium_fractal_net.security.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["NewFile", "identity_of", "new_file", "remove_leftovers", "sync_folder"]

_SUFFIX: Final = ".mfn-partial"
_LEFTOVER: Final = re.compile(r"\..+\.[0-9a-f]{8}\.mfn-partial", re.DOTALL)
_NO_NAMELESS_FILES: Final = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)
_DESCRIPTORS: Final = Path("/proc/self/fd")


class NewFile:
    """One output on its way: written, finished, synced, and then published under its name.

    Mode 0600 until :meth:`finish`. Errors of the operating system pass through.
    """

    __slots__ = ("_replaced", "_temporary", "file", "target")

    def __init__(self, target: Path, replaced: os.stat_result | None = None) -> None:
        """``replaced`` is the status of the file whose place the new one may take, and no other."""
        self.target = target
        self._replaced = replaced
        self._temporary: Path | None = None
        descriptor = _nameless(target.parent)
        if descriptor is None:
            self._temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}{_SUFFIX}")
            flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(self._temporary, flags, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        self.file = cast("BinaryIO", os.fdopen(descriptor, "w+b", buffering=0))

    def finish(self, like: os.stat_result, *, times: bool = False, owner: bool = False) -> None:
        """Give the file the permission bits of ``like``, and its times and owner if asked.

        It belongs to the group of ``like`` where that is allowed; where not, another group
        gets no permission. An owner that cannot be given is a :class:`PermissionError`.
        """
        descriptor = self.file.fileno()
        mode = like.st_mode & 0o777
        own = os.fstat(descriptor)
        if owner and (own.st_uid, own.st_gid) != (like.st_uid, like.st_gid):
            os.fchown(descriptor, like.st_uid, like.st_gid)
        elif own.st_gid != like.st_gid:
            try:
                os.fchown(descriptor, -1, like.st_gid)
            except PermissionError:
                mode &= ~stat.S_IRWXG
        os.fchmod(descriptor, mode)
        if times:
            os.utime(descriptor, ns=(like.st_atime_ns, like.st_mtime_ns))

    def sync(self) -> None:
        """Return once the content is on the disk."""
        os.fsync(self.file.fileno())

    def publish(self, *, force: bool = False) -> None:
        """Give the file its name, at once and whole, and close it.

        Raises :class:`FileExistsError` where the name is taken, unless ``force``, which puts
        the new file in the place of the old one, and :class:`ConflictError` where that is not
        the file that was to be replaced, or was changed since.
        """
        if self._replaced is not None and _identity(self.target) != identity_of(self._replaced):
            raise ConflictError(f"{self.target} was changed meanwhile; it was left as it is")
        try:
            self._link(self.target)
        except FileExistsError:
            if not force:
                raise FileExistsError(errno.EEXIST, "exists already", str(self.target)) from None
            if self._temporary is None:
                hidden = f".{self.target.name}.{secrets.token_hex(4)}{_SUFFIX}"
                self._link(self.target.with_name(hidden))
                self._temporary = self.target.with_name(hidden)
            self._temporary.replace(self.target)
            self._temporary = None
        self.discard()

    def _link(self, name: Path) -> None:
        own = self._temporary or _DESCRIPTORS / str(self.file.fileno())
        # With src_dir_fd CPython calls linkat, which alone follows /proc/self/fd to the file.
        os.link(own, name, src_dir_fd=self.file.fileno(), follow_symlinks=True)

    def discard(self) -> None:
        """Close the file; if it was not published, nothing of it is left."""
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)
            self._temporary = None
        self.file.close()


def identity_of(status: os.stat_result) -> tuple[int, int, int, int]:
    """What changes when a file is replaced or written to."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _identity(path: Path) -> tuple[int, int, int, int] | None:
    try:
        return identity_of(path.lstat())
    except FileNotFoundError:
        return None


def _nameless(folder: Path) -> int | None:
    if not _DESCRIPTORS.exists():
        return None
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in _NO_NAMELESS_FILES and folder.is_dir():
            return None
        raise


@contextlib.contextmanager
def new_file(
    target: Path, like: os.stat_result, *, force: bool = False, times: bool = False
) -> Iterator[BinaryIO]:
    """A file to write, which becomes ``target`` when the block ends without an error.

    By then it is on the disk, and so is its name. Raises :class:`FileExistsError` before
    anything is written where ``target`` is there and ``force`` is not given.
    """
    if not force and os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "exists already", str(target))
    output = NewFile(target)
    try:
        yield output.file
        output.finish(like, times=times)
        output.sync()
        output.publish(force=force)
        sync_folder(target.parent)
    finally:
        output.discard()


def sync_folder(folder: Path) -> None:
    """Return once the names in ``folder`` are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Remove the hidden temporary files in ``folder`` whose writers are gone."""
    with os.scandir(folder) as entries:
        found = [
            entry.path
            for entry in entries
            if _LEFTOVER.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
        ]
    for path in found:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                Path(path).unlink(missing_ok=True)
        finally:
            os.close(descriptor)
