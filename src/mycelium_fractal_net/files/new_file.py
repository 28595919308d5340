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
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, cast

from mycelium_fractal_net.files.permissions import give_permissions
from mycelium_fractal_net.files.replacing import Replaced
from mycelium_fractal_net.security.byte_io.durable import sync_folder
from mycelium_fractal_net.security.errors import FileBusyError

_SUFFIX: Final = ".mfn-partial"
_NAME_BYTES: Final = 200  # of the target's in a hidden name, which may have 255: NAME_MAX
_LEFTOVER: Final = re.compile(r"\..+\.[0-9a-f]{8}\.mfn-partial", re.DOTALL)
_NO_NAMELESS_FILES: Final = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)
_MOST_LINKS: Final = 40  # as the kernel follows, path_resolution(7)
_DESCRIPTORS: Final = Path("/proc/self/fd")


class NewFile:
    """One output on its way: written, finished, synced, and then published under its name.

    Mode 0600 until it has that name, or until :meth:`finish` where it takes the place of a file
    that is held. Errors of the operating system pass through.
    """

    __slots__ = ("_permissions", "_place", "_temporary", "file", "target")

    def __init__(self, target: Path, *, place: Replaced | None = None) -> None:
        """``place`` is that of the file whose place the new one may take, and no other.

        It is closed with the new file, also where that cannot be made.
        """
        self.target = target
        self._place = place
        self._temporary: Path | None = None
        self._permissions: Callable[[], None] | None = None
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
        without: int = 0,
    ) -> None:
        """Give the file the permissions of ``like``, and its times and owner if asked.

        The permissions are those of :func:`give_permissions`, except ``without``. An owner
        that cannot be given is a :class:`PermissionError`.
        """
        descriptor = self.file.fileno()
        own = os.fstat(descriptor)
        if owner and (own.st_uid, own.st_gid) != (like.st_uid, like.st_gid):
            os.fchown(descriptor, like.st_uid, like.st_gid)
        self._permissions = partial(give_permissions, descriptor, like, acl, without=without)
        if self._place is not None:
            self._permissions()
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
        :class:`FileBusyError` where that is not the file of ``place``, or was changed since.
        """
        if self._place is not None:
            self._place.swap(self._named(), self.target, os.fstat(self.file.fileno()))
            return False
        try:
            if self._temporary is None:
                self._permit()
                self._link_nameless(self.target)
            else:
                os.link(self._temporary, self.target, follow_symlinks=False)
                self._permit()
        except FileExistsError:
            keep_existing(self.target, force=force)
            os.fchmod(self.file.fileno(), 0o600)  # a kill may leave what has a hidden name
            self._named().replace(self.target)
            self._temporary = None
            self._permit()
        self.discard()
        return True

    def _permit(self) -> None:
        if self._permissions is not None:
            self._permissions()

    def settle(self) -> bool:
        """The last look after :meth:`publish` has put the file in the place of another; True.

        Raises :class:`FileBusyError` where somebody writes to the other, which is back then.
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
                with contextlib.suppress(FileBusyError):
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


def keep_existing(target: Path, *, force: bool) -> bool:
    """Whether there is something to replace; :class:`FileExistsError` for what may not be.

    Only a regular file may, or a link that leads to one or nowhere. What leads to a device, a
    pipe or into ``/proc``, as ``/dev/stdout`` does, is written to and not replaced.
    """
    try:
        own = target.lstat()
    except FileNotFoundError:
        return False
    if not force:
        raise FileExistsError(errno.EEXIST, "exists already", str(target))
    mode = own.st_mode
    if stat.S_ISLNK(mode) and _may_be_a_trap(own, target.parent.stat()):
        raise FileExistsError(errno.EEXIST, "is somebody else's link", str(target))
    with contextlib.suppress(FileNotFoundError):
        mode = target.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)) or leads_into_proc(target):
        raise FileExistsError(errno.EEXIST, "exists and is no file", str(target))
    return True


def _may_be_a_trap(link: os.stat_result, folder: os.stat_result) -> bool:
    """Whether the kernel would not follow it, where ``fs.protected_symlinks`` is set: proc(5)."""
    shared = folder.st_mode & (stat.S_ISVTX | stat.S_IWOTH) == stat.S_ISVTX | stat.S_IWOTH
    return shared and link.st_uid not in (os.geteuid(), folder.st_uid)


def leads_into_proc(path: Path) -> bool:
    """Whether ``path`` is or leads to a name of an open file, such as ``/dev/fd/3``."""
    for _ in range(_MOST_LINKS):
        if Path(os.path.realpath(path.parent)).is_relative_to("/proc"):
            return True
        if not path.is_symlink():
            return False
        path = path.parent / path.readlink()
    return True


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
    target: Path,
    like: os.stat_result,
    *,
    acl: bytes | None = None,
    without: int = 0,
    force: bool = False,
) -> Iterator[BinaryIO]:
    """A file to write, which becomes ``target`` when the block ends without an error.

    By then it is on the disk, and so is its name. It gets the permissions of ``like``, with
    its ``acl``, except ``without``. Raises :class:`FileExistsError` before anything is written
    where ``target`` is there and ``force`` is not given, or is no file; of a link the file that it
    leads to is replaced.
    """
    if keep_existing(target, force=force):
        target = target.resolve()
        remove_leftovers(target.parent)
    output = NewFile(target)
    try:
        yield output.file
        output.finish(like, acl=acl, without=without)
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
