"""A file takes the place of the one that it was made from, and of no other.

rename(2) puts a new file over whatever has the name by then: an update that came a moment before
is gone. So the two change places (renameat2(2), RENAME_EXCHANGE), and what came out is looked at.
Was it not the file that was read, it goes back to where it was.

That holds against writers who rename. Against those who write into the file that is there, it is
held under a read lease (fcntl(2)) meanwhile: none can be had while somebody has the file open for
writing, and it tells of everybody who opens it so. Where there are no leases, on network file
systems or without the right, size and time are compared, which leaves a writer a moment.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import signal
import time
from pathlib import Path
from typing import Final

from mycelium_fractal_net.security.errors import FileBusyError

GRACE_SECONDS: Final = 0.001
"""From the change of places to the last look. Who had found the old file under the name just
before has opened it by then; a look-up of a name takes microseconds."""

# A time stamp is as coarse as the kernel's tick, 10 ms at most (CONFIG_HZ=100): what is changed
# twice within one looks unchanged. So nothing is read that was changed as lately as this.
_FRESH_NS: Final = 20_000_000
_FRESH_LOOKS: Final = 10

_AT_FDCWD: Final = -100  # fcntl.h
_RENAME_EXCHANGE: Final = 2  # renameat2(2), linux/fs.h
_NO_EXCHANGE: Final = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
_LIBC: Final = ctypes.CDLL(None, use_errno=True)

_Identity = tuple[int, int]


def settled_status(descriptor: int) -> os.stat_result:
    """The status of an open file, once it is old enough that every later change will show in it.

    Waits for some 20 ms where it was changed just now. Raises :class:`FileBusyError` where it
    is changed all the time.
    """
    for _ in range(_FRESH_LOOKS):
        status = os.fstat(descriptor)
        age = time.time_ns() - status.st_ctime_ns
        if abs(age) >= _FRESH_NS:
            return status
        time.sleep((_FRESH_NS - age) / 1e9)
    raise FileBusyError("is written to all the time; it was left as it is")


class Replaced:
    """The file that was read, held open until the new one has its place for good."""

    __slots__ = ("_descriptor", "_leased", "_moved_over", "_status")

    def __init__(self, descriptor: int, status: os.stat_result) -> None:
        """``descriptor`` was opened for reading; a copy of it is held until :meth:`close`."""
        self._descriptor = os.dup(descriptor)
        self._status = status
        self._leased = False
        self._moved_over = False

    def close(self) -> None:
        """Let go of it, and of who waits to write to it."""
        descriptor, self._descriptor = self._descriptor, -1  # first: an interrupt closes it twice
        if descriptor >= 0:
            os.close(descriptor)

    def swap(self, hidden: Path, target: Path, new: os.stat_result) -> None:
        """Let ``hidden``, whose status is ``new``, and ``target`` change places.

        :meth:`settle` has the last word.

        Raises :class:`FileBusyError`, with everything where it was, if ``target`` is not what
        was read, or somebody is about to write to it.
        """
        self._hold()
        now = os.fstat(self._descriptor)
        if _changes(now) != _changes(self._status) or now.st_ctime_ns != self._status.st_ctime_ns:
            raise _changed()
        if _identity(target) != _inode(self._status):
            raise _changed()
        try:
            _exchange(hidden, target)
        except FileNotFoundError:
            raise _changed() from None
        except OSError as error:
            if error.errno not in _NO_EXCHANGE:
                raise
            hidden.replace(target)  # a moment after the look: docs/rewrap.md says so
            self._moved_over = True
            return
        if _identity(hidden) != _inode(self._status):
            _put_back(hidden, target, _inode(new))
            raise _changed()

    def settle(self, hidden: Path, target: Path, new: os.stat_result) -> None:
        """Remove the old file, now at ``hidden``; or put it back if somebody writes to it.

        Works at whatever moment :meth:`swap` was left. Raises :class:`FileBusyError` where the
        new file, whose status is ``new``, did not get the place.
        """
        if self._moved_over:
            return
        there = _identity(hidden)
        if there == _inode(new):  # they never changed places
            hidden.unlink()
            return
        if there is None:
            return
        if there == _inode(self._status) and self._is_untouched():
            hidden.unlink()
            return
        _put_back(hidden, target, _inode(new))
        raise _changed()

    def _hold(self) -> None:
        """Take the lease. Raises :class:`FileBusyError` where somebody is writing."""
        try:
            # Whoever sweeps leftovers, or works on the file by agreement, takes this lock.
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            # Without this who breaks a lease sends SIGIO, which ends a process that does not
            # expect it; SIGURG is ignored.
            fcntl.fcntl(self._descriptor, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(self._descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            self._leased = True
        except OSError as error:
            if error.errno == errno.EAGAIN:
                raise FileBusyError("is open for writing; it was left as it is") from None

    def _is_untouched(self) -> bool:
        if _changes(os.fstat(self._descriptor)) != _changes(self._status):
            return False
        # Of a lease that is being broken it says what will be left: none.
        return not self._leased or fcntl.fcntl(self._descriptor, fcntl.F_GETLEASE) == fcntl.F_RDLCK


def _put_back(hidden: Path, target: Path, new: _Identity) -> None:
    """Give the name to what is at ``hidden``, in the place of our file ``new``.

    Who renames at the same moment may have replaced ours by then. What comes out is later than
    what goes in, so it goes in again, until what comes out is what went in.
    """
    expected: _Identity | None = new
    with contextlib.suppress(FileNotFoundError):  # somebody removed it from the name: so be it
        while True:
            moved = _identity(hidden)
            _exchange(hidden, target)
            if _identity(hidden) == expected:
                break
            expected = moved
    hidden.unlink(missing_ok=True)


def _exchange(one: Path, other: Path) -> None:
    if _LIBC.renameat2(
        _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE
    ):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(other))


def _identity(path: Path) -> _Identity | None:
    try:
        return _inode(path.lstat())
    except FileNotFoundError:
        return None


def _inode(status: os.stat_result) -> _Identity:
    return status.st_dev, status.st_ino


def _changes(status: os.stat_result) -> tuple[int, ...]:
    """What others may change in a file, as far as a change of its name leaves it alone."""
    return (
        status.st_size,
        status.st_mtime_ns,
        status.st_mode,
        status.st_uid,
        status.st_gid,
    )


def _changed() -> FileBusyError:
    return FileBusyError("was changed meanwhile; it was left as it is")
