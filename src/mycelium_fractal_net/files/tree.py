"""Folders of files, in parallel: sealed, opened, rewrapped; gone on with after a kill.

An output has the modification time of its source, and the size of a sealed message follows
from that of its plaintext. So a run that was cut off is simply run again: what has its name,
the right size, the right time and the right key is done, since names are given only to files
that are on the disk (:mod:`.groups`). Anything else under the name is kept and reported.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.files.groups import Group, sync_file_system
from mycelium_fractal_net.files.new_file import NewFile, remove_leftovers
from mycelium_fractal_net.files.single import open_source, rewrap_to
from mycelium_fractal_net.security.errors import (
    ConflictError,
    DecryptionError,
    InvalidInputError,
    MfnError,
)

if TYPE_CHECKING:
    from cryptography.utils import Buffer

    from mycelium_fractal_net.security.keyring import Keyring

__all__ = ["SEALED_SUFFIX", "TreeReport", "open_tree", "rewrap_tree", "seal_tree"]

SEALED_SUFFIX: Final = ".mfn"
_FLIGHT_FACTOR: Final = 16  # files in work or waiting, for each worker

Progress = Callable[[int], None]


@dataclass(slots=True)
class TreeReport:
    """What became of a folder: files done and skipped, those that failed and why, plain bytes.

    ``skipped`` were done before; ``passed_over`` are links and special files, which are never
    followed or read.
    """

    done: int = 0
    skipped: int = 0
    bytes: int = 0
    failed: list[tuple[Path, str]] = field(default_factory=list)
    passed_over: list[Path] = field(default_factory=list)


class _Stopped(BaseException):
    """The run was interrupted; raised inside of workers alone."""


@dataclass(frozen=True, slots=True)
class _Job:
    source: Path
    target: Path


_Work = Callable[[_Job], tuple[NewFile, int] | None]


def seal_tree(
    keyring: Keyring,
    source: Path,
    target: Path,
    *,
    key_id: str | None = None,
    associated_data: Buffer = b"",
    workers: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> TreeReport:
    """Seal every file below ``source`` into the same place below ``target``, with ``.mfn``.

    ``force`` seals again what is there. ``workers`` is the number of threads, one for each
    processor by default. ``progress`` is called with 1 as each file is done or skipped.
    One file that fails does not stop the others. Raises :class:`InvalidInputError` where one
    folder lies in the other, and :class:`ConflictError` while another run fills ``target``.
    """
    sealed_by = keyring.protecting_key(key_id)
    stop = threading.Event()

    def opens_as_ours(path: Path) -> bool:
        """Whether the key and the associated data are those of this run."""
        with path.open("rb", buffering=0) as file:
            if keyring.describe(os.pread(file.fileno(), 116, 0)).key_id != sealed_by:
                return False
            with suppress(DecryptionError):
                keyring.open_reader(file, associated_data=associated_data).close()
                return True
            return False

    def seal(job: _Job) -> tuple[NewFile, int] | None:
        with open_source(job.source) as (reader, status):
            size = keyring.sealed_bytes(status.st_size)
            if not force and _is_there(job.target, status, size, opens_as_ours):
                return None
            output = NewFile(job.target)
            with _discarded_on_error(output):
                size = keyring.encrypt_stream(
                    reader,
                    output.file,
                    key_id=key_id,
                    associated_data=associated_data,
                    progress=_watching(stop),
                )
                output.finish(status, times=True)
            return output, size

    def named(path: Path) -> Path | None:
        return path.with_name(path.name + SEALED_SUFFIX)

    return _run(source, target, named, seal, stop, workers, force, progress)


def open_tree(
    keyring: Keyring,
    source: Path,
    target: Path,
    *,
    associated_data: Buffer = b"",
    workers: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
    allow_compromised: bool = False,
) -> TreeReport:
    """Open every ``.mfn`` file below ``source`` into the same place below ``target``.

    Files without that ending are passed over. Otherwise as :func:`seal_tree`.
    """
    stop = threading.Event()

    def unseal(job: _Job) -> tuple[NewFile, int] | None:
        with open_source(job.source) as (reader, status):
            size = keyring.plain_bytes(os.pread(reader.fileno(), 116, 0), status.st_size)
            if not force and _is_there(job.target, status, size):
                return None
            output = NewFile(job.target)
            with _discarded_on_error(output):
                size = keyring.decrypt_stream(
                    reader,
                    output.file,
                    associated_data=associated_data,
                    progress=_watching(stop),
                    allow_compromised=allow_compromised,
                )
                output.finish(status, times=True)
            return output, size

    def named(path: Path) -> Path | None:
        return path.with_suffix("") if path.suffix == SEALED_SUFFIX else None

    return _run(source, target, named, unseal, stop, workers, force, progress)


def rewrap_tree(
    keyring: Keyring,
    folder: Path,
    *,
    associated_data: Buffer = b"",
    workers: int | None = None,
    progress: Progress | None = None,
    allow_compromised: bool = False,
) -> TreeReport:
    """Move every ``.mfn`` file below ``folder`` to the newest version of its key, in place."""
    stop = threading.Event()

    def rewrap(job: _Job) -> tuple[NewFile, int] | None:
        output = rewrap_to(
            keyring,
            job.source,
            associated_data=associated_data,
            progress=_watching(stop),
            allow_compromised=allow_compromised,
        )
        return None if output is None else (output, os.fstat(output.file.fileno()).st_size)

    def named(path: Path) -> Path | None:
        return path if path.suffix == SEALED_SUFFIX else None

    return _run(folder, folder, named, rewrap, stop, workers, True, progress)


def _run(
    source: Path,
    target: Path,
    named: Callable[[Path], Path | None],
    work: _Work,
    stop: threading.Event,
    workers: int | None,
    force: bool,
    progress: Progress | None,
) -> TreeReport:
    report = TreeReport()
    _check_apart(source, target)
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    count = workers or os.cpu_count() or 1
    group = Group(target, force)
    with _only_run(target), ThreadPoolExecutor(count, "mfn-file") as pool:
        flying: dict[Future[tuple[NewFile, int] | None], _Job] = {}
        try:
            for job in _jobs(source, target, named, report):
                flying[pool.submit(work, job)] = job
                if len(flying) >= count * _FLIGHT_FACTOR:
                    _collect(flying, group, report, progress)
            while flying:
                _collect(flying, group, report, progress)
            _publish(group, report, progress)
        except BaseException:
            stop.set()
            for future in flying:
                future.cancel()
            _abandon(flying, group)
            raise
        sync_file_system(target)
    return report


def _collect(
    flying: dict[Future[tuple[NewFile, int] | None], _Job],
    group: Group,
    report: TreeReport,
    progress: Progress | None,
) -> None:
    for future in wait(flying, return_when=FIRST_COMPLETED).done:
        job = flying.pop(future)
        try:
            outcome = future.result()
        except (MfnError, OSError) as error:
            report.failed.append((job.source, _reason(error)))
            continue
        if outcome is None:
            report.skipped += 1
            _tell(progress)
            continue
        group.add(*outcome)
        if group.full:
            _publish(group, report, progress)


def _publish(group: Group, report: TreeReport, progress: Progress | None) -> None:
    for output, size, error in group.publish():
        if error is not None:
            report.failed.append((output.target, _reason(error)))
            continue
        report.done += 1
        report.bytes += size
        _tell(progress)


def _abandon(flying: dict[Future[tuple[NewFile, int] | None], _Job], group: Group) -> None:
    """Let go of everything that has no name yet."""
    group.discard()
    for future in wait(flying).done:
        if not future.cancelled() and future.exception() is None:
            outcome = future.result()
            if outcome is not None:
                outcome[0].discard()


def _jobs(
    source: Path, target: Path, named: Callable[[Path], Path | None], report: TreeReport
) -> Iterator[_Job]:
    """Every file to work on, folder by folder; folders are made in ``target`` on the way."""
    folders = [(source, target)]
    while folders:
        here, there = folders.pop()
        try:
            if here is not source:
                _make_folder(here, there)
            remove_leftovers(there)
            with os.scandir(here) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            report.failed.append((here, _reason(error)))
            continue
        for entry in entries:
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                folders.append((path, there / entry.name))
            elif not entry.is_file(follow_symlinks=False):
                report.passed_over.append(path)
            else:
                output = named(there / entry.name)
                if output is None:
                    report.passed_over.append(path)
                else:
                    yield _Job(path, output)


def _make_folder(source: Path, target: Path) -> None:
    """A folder like ``source``. A link in its place would lead the output elsewhere."""
    if source == target:
        return
    mode = stat.S_IMODE(source.stat().st_mode) | stat.S_IRWXU
    try:
        target.mkdir(mode=mode & 0o777)
    except FileExistsError:
        if not stat.S_ISDIR(target.lstat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "is in the way", str(target)) from None


def _is_there(
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
    same = (
        stat.S_ISREG(status.st_mode)
        and status.st_size == size
        and status.st_mtime_ns == source.st_mtime_ns
    )
    if not same or (is_ours is not None and not is_ours(target)):
        raise FileExistsError(
            errno.EEXIST, "exists already and is not this file's output", str(target)
        )
    return True


def _check_apart(source: Path, target: Path) -> None:
    here, there = source.resolve(), target.resolve()
    if not here.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "is no folder", str(source))
    if source is not target and (here.is_relative_to(there) or there.is_relative_to(here)):
        raise InvalidInputError("one folder lies in the other; choose another for the output")


@contextmanager
def _only_run(target: Path) -> Iterator[None]:
    descriptor = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError(f"another run is at work in {target}; let it end") from None
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _discarded_on_error(output: NewFile) -> Iterator[None]:
    try:
        yield
    except BaseException:
        output.discard()
        raise


def _watching(stop: threading.Event) -> Progress:
    def watch(_: int) -> None:
        if stop.is_set():
            raise _Stopped

    return watch


def _tell(progress: Progress | None) -> None:
    if progress is not None:
        progress(1)


def _reason(error: MfnError | OSError) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error)
