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
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast

from mycelium_fractal_net.files.permissions import give_permissions
from mycelium_fractal_net.files.replacing import Replaced
from mycelium_fractal_net.security.byte_io.durable import sync_folder
from mycelium_fractal_net.security.errors import ConflictError

_SUFFIX: Final = ".mfn-partial"
_NAME_BYTES: Final = 200  # of the target's in a hidden name, which may have 255: NAME_MAX
_LEFTOVER: Final = re.compile(r"\..+\.[0-9a-f]{8}\.mfn-partial", re.DOTALL)
_NO_NAMELESS_FILES: Final = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)
_DESCRIPTORS: Final = Path("/proc/self/fd")


class NewFile:
    """One output on its way: written, finished, synced, and then published under its name.

    Mode 0600 until :meth:`finish`. Errors of the operating system pass through.
    """

    __slots__ = ("_place", "_temporary", "file", "target")

    def __init__(self, target: Path, *, place: Replaced | None = None) -> None:
        """``place`` is that of the file whose place the new one may take, and no other.

        It is closed with the new file, also where that cannot be made.
        """
        self.target = target
        self._place = place
        self._temporary: Path | None = None
        try:
            descriptor = _nameless(target.parent)
            if descriptor is None:
                descriptor, self._temporary = _hidden(target)
            else:
                # It has a hidden name for a moment where it takes the place of another.
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        except BaseException:
            if place is not None:
                place.close()
            raise
        self.file = cast("BinaryIO", os.fdopen(descriptor, "w+b", buffering=0))

    def finish(
        self,
        like: os.stat_result,
        *,
        acl: bytes | None = None,
        times: bool = False,
        owner: bool = False,
    ) -> None:
        """Give the file the permissions of ``like``, and its times and owner if asked.

        The permissions are those of :func:`give_permissions`. An owner that cannot be given
        is a :class:`PermissionError`.
        """
        descriptor = self.file.fileno()
        own = os.fstat(descriptor)
        if owner and (own.st_uid, own.st_gid) != (like.st_uid, like.st_gid):
            os.fchown(descriptor, like.st_uid, like.st_gid)
        give_permissions(descriptor, like, acl)
        if times:
            os.utime(descriptor, ns=(like.st_atime_ns, like.st_mtime_ns))

    def sync(self) -> None:
        """Return once the content is on the disk."""
        os.fsync(self.file.fileno())

    def publish(self, *, force: bool = False) -> bool:
        """Give the file its name, at once and whole, and close it; true when that is done.

        False where it takes the place of a file that is held: :meth:`settle` ends it then, once
        :data:`GRACE_SECONDS` have passed.

        Raises :class:`FileExistsError` where the name is taken, unless ``force``, which puts
        the new file in the place of the old one but never of a folder, device or pipe, and
        :class:`ConflictError` where that is not the file of ``place``, or was changed since.
        """
        if self._place is not None:
            self._place.swap(self._named(), self.target, os.fstat(self.file.fileno()))
            return False
        try:
            self._link(self.target)
        except FileExistsError:
            _keep_existing(self.target, force=force)
            self._named().replace(self.target)
            self._temporary = None
        self.discard()
        return True

    def settle(self) -> bool:
        """The last look after :meth:`publish` has put the file in the place of another; True.

        Raises :class:`ConflictError` where somebody writes to the other, which is back then.
        """
        if self._place is not None and self._temporary is not None:
            new = os.fstat(self.file.fileno())
            self._place.settle(self._temporary, self.target, new)
            self._temporary = None
        self.discard()
        return True

    def _named(self) -> Path:
        """Its hidden name, which it gets if it has none yet."""
        if self._temporary is None:
            self._temporary = _hidden_name(self.target)  # first: an interrupt leaves nothing
            self._link_nameless(self._temporary)
        return self._temporary

    def _link(self, name: Path) -> None:
        if self._temporary is None:
            self._link_nameless(name)
        else:
            os.link(self._temporary, name, follow_symlinks=False)

    def _link_nameless(self, name: Path) -> None:
        descriptor = self.file.fileno()
        # With src_dir_fd CPython calls linkat, which alone follows /proc/self/fd to the file.
        own = _DESCRIPTORS / str(descriptor)
        os.link(own, name, src_dir_fd=descriptor, follow_symlinks=True)

    def discard(self) -> None:
        """Close the file; if it was not published, nothing of it is left."""
        if self._temporary is not None:
            if self._place is not None:
                # Under the hidden name may be what somebody else put there just now.
                with contextlib.suppress(ConflictError):
                    new = os.fstat(self.file.fileno())
                    self._place.settle(self._temporary, self.target, new)
            self._temporary.unlink(missing_ok=True)
            self._temporary = None
        if self._place is not None:
            self._place.close()
        self.file.close()


@contextlib.contextmanager
def discarded_on_error(output: NewFile) -> Iterator[None]:
    """Whatever ends the block early leaves nothing of ``output``."""
    try:
        yield
    except BaseException:
        output.discard()
        raise


def _keep_existing(target: Path, *, force: bool) -> None:
    """Raise :class:`FileExistsError` for what may not be replaced; only files and links may."""
    try:
        mode = target.lstat().st_mode
    except FileNotFoundError:
        return
    if not force:
        raise FileExistsError(errno.EEXIST, "exists already", str(target))
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        raise FileExistsError(errno.EEXIST, "exists and is no file", str(target))


def _hidden_name(target: Path) -> Path:
    name = target.name
    while len(os.fsencode(name)) > _NAME_BYTES:
        name = name[:-1]
    return target.with_name(f".{name}.{secrets.token_hex(4)}{_SUFFIX}")


def _hidden(target: Path) -> tuple[int, Path]:
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    while True:
        path = _hidden_name(target)
        descriptor = os.open(path, flags, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, path
        os.close(descriptor)  # another run swept it away before it was locked


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
    target: Path, like: os.stat_result, *, acl: bytes | None = None, force: bool = False
) -> Iterator[BinaryIO]:
    """A file to write, which becomes ``target`` when the block ends without an error.

    By then it is on the disk, and so is its name. It gets the permissions of ``like``, with
    its ``acl``. Raises :class:`FileExistsError` before anything is written where ``target`` is
    there and ``force`` is not given, or is no file.
    """
    _keep_existing(target, force=force)
    output = NewFile(target)
    try:
        yield output.file
        output.finish(like, acl=acl)
        output.sync()
        output.publish(force=force)
        sync_folder(target.parent)
    finally:
        output.discard()


def remove_leftovers(folder: Path) -> None:
    """Remove the hidden temporary files in ``folder`` whose writers are gone.

    What another user left, or somebody takes away meanwhile, is no reason to stop.
    """
    with os.scandir(folder) as entries:
        found = [
            Path(entry.path)
            for entry in entries
            if _LEFTOVER.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
        ]
    for path in found:
        with contextlib.suppress(OSError):
            _remove_unlocked(path)


def _remove_unlocked(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    finally:
        os.close(descriptor)
