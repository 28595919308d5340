"""Which files a run on a folder works on, and whether an output is there already."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mycelium_fractal_net.files.listing import EntryKind, Listing
from mycelium_fractal_net.files.new_file import remove_leftovers
from mycelium_fractal_net.files.permissions import acl_of, give_permissions
from mycelium_fractal_net.security.errors import InvalidInputError, MfnError

SEALED_SUFFIX: Final = ".mfn"

_MOST_NAME_BYTES: Final = 255  # NAME_MAX, limits.h
_MOST_KEPT: Final = 100  # failures and files passed over that a report keeps; it counts all
# What file systems round a time down to, in ns: SMB, some NFS, exFAT, ext3 and old ext4, FAT.
_GRANULES: Final = (100, 1_000, 1_000_000, 10_000_000, 1_000_000_000, 2_000_000_000)


@dataclass(slots=True)
class FileReport:
    """What became of any number of files or objects: ``done``, and their plain bytes; ``skipped``,
    done before; ``failures``; and ``others``: links and special files, which are never followed or
    read, and what is not asked for.

    ``failed``, with a reason each, and ``passed_over`` keep the first hundred, by path or by an
    object's URL. ``on_failure`` gets each failure when it is known.
    """

    done: int = 0
    skipped: int = 0
    bytes: int = 0
    failures: int = 0
    others: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    passed_over: list[Path] = field(default_factory=list)
    on_failure: Callable[[str, str], None] | None = None

    def take(self, size: int | None) -> None:
        """One that is done, by its bytes; None where it was done before."""
        if size is None:
            self.skipped += 1
        else:
            self.done += 1
            self.bytes += size

    def fail(self, path: Path | str, why: str | MfnError | OSError) -> None:
        """One that failed, and why."""
        reason = why if isinstance(why, str) else reason_of(why)
        self.failures += 1
        if len(self.failed) < _MOST_KEPT:
            self.failed.append((os.fspath(path), reason))
        if self.on_failure is not None:
            self.on_failure(os.fspath(path), reason)

    def pass_over(self, path: Path) -> None:
        """One that is none of ours."""
        self.others += 1
        if len(self.passed_over) < _MOST_KEPT:
            self.passed_over.append(path)


@dataclass(frozen=True, slots=True)
class Job:
    """One file, and the name of its output."""

    source: Path
    target: Path


def jobs(
    source: Path,
    target: Path,
    named: Callable[[Path], Path | None],
    report: FileReport,
    devices: dict[int, Path],
    without: int = 0,
) -> Iterator[Job]:
    """Every file to work on, folder by folder; folders are made in ``target`` on the way.

    ``devices`` gets a folder on each file system that they lie on; ``without`` are permissions
    that none of the folders gets.
    """
    levels: list[tuple[Path, Path, Listing]] = []

    def enter(here: Path, there: Path) -> None:
        try:
            if here is not source:
                _make_folder(here, there, without)
            devices.setdefault(there.stat().st_dev, there)
            remove_leftovers(there)
            levels.append((here, there, Listing(here)))
        except OSError as error:
            report.fail(here, error)

    enter(source, target)
    try:
        while levels:
            here, there, entries = levels[-1]
            for kind, name in entries:
                if kind is EntryKind.FOLDER:
                    enter(here / name, there / name)
                    break  # and go on with the rest of these entries after it
                output = named(there / name) if kind is EntryKind.FILE else None
                if output is None:
                    report.pass_over(here / name)
                elif len(os.fsencode(output.name)) > _MOST_NAME_BYTES:
                    report.fail(here / name, f"would be named longer than {_MOST_NAME_BYTES} bytes")
                else:
                    yield Job(here / name, output)
            else:
                levels.pop()[2].close()
    finally:
        for _, _, entries in levels:
            entries.close()


def _make_folder(source: Path, target: Path, without: int) -> None:
    """A folder like ``source``. A link in its place would lead the output elsewhere."""
    if source == target:
        return
    try:
        target.mkdir(mode=stat.S_IRWXU)
    except FileExistsError:
        if not stat.S_ISDIR(target.lstat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "is in the way", str(target)) from None
        return
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    here = there = -1
    try:
        here, there = os.open(source, flags), os.open(target, flags)
        give_permissions(there, os.fstat(here), acl_of(here), also=stat.S_IRWXU, without=without)
    finally:
        for descriptor in (here, there):
            if descriptor >= 0:
                os.close(descriptor)


def is_there(
    target: Path,
    source: os.stat_result,
    size: int,
    is_ours: Callable[[Path], bool] | None = None,
) -> bool:
    """Whether ``target`` is this source's output already; raises where it is something else."""
    try:
        status = target.lstat()
    except FileNotFoundError:
        return False
    same = stat.S_ISREG(status.st_mode) and status.st_size == size and _same_time(status, source)
    if not same or (is_ours is not None and not is_ours(target)):
        raise FileExistsError(
            errno.EEXIST, "exists already and is not this file's output", str(target)
        )
    return True


def _same_time(output: os.stat_result, source: os.stat_result) -> bool:
    """Whether ``output`` has the time of ``source``, as its file system can hold it.

    Where that rounds, a source changed within the same granule would look the same, so it must
    also have stayed untouched since the output was made.
    """
    made, wanted = output.st_mtime_ns, source.st_mtime_ns
    if made == wanted:
        return True
    rounded = any(made == wanted - wanted % granule for granule in _GRANULES)
    return rounded and source.st_ctime_ns < output.st_ctime_ns


def check_apart(source: Path, target: Path) -> None:
    """Refuse an output folder that is the source, or in it, or around it."""
    here, there = source.resolve(), target.resolve()
    if not here.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "is no folder", str(source))
    if source is not target and (here.is_relative_to(there) or there.is_relative_to(here)):
        raise InvalidInputError("one folder lies in the other; choose another for the output")


def reason_of(error: MfnError | OSError) -> str:
    """An error in one line, without the path."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error)
