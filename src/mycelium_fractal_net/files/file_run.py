"""A run on a folder: files worked on in threads, published in groups, all of it or a part.

Threads and not processes: nothing is started, one keyring serves, Ctrl-C ends it cleanly, and
two seal small files faster than is asked for. Large ones run outside of the interpreter's lock.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypedDict

from mycelium_fractal_net.files.groups import SyncGroup, descriptor_share, sync_file_system
from mycelium_fractal_net.files.new_file import NewFile
from mycelium_fractal_net.files.walk import FileReport, Job, check_apart, jobs
from mycelium_fractal_net.security.errors import FileBusyError, MfnError

_TRIES: Final = 3  # of a file that others change meanwhile
_FLIGHT_FACTOR: Final = 16  # files in work or waiting, for each worker

Progress = Callable[[int], None]
Outcome = tuple[NewFile, int] | int | None
"""Of one file: an output that is to be published, and its plain bytes; the bytes alone where all
is done; None where it was done before."""
Work = Callable[[Job], Outcome]


class FileOptions(TypedDict, total=False):
    """How a run on files is done, and who hears of it.

    ``workers`` is the number of threads, one for each processor by default; ``force`` puts an
    output in the place of what has its name; ``progress`` gets 1 for each file that is done,
    skipped or failed; ``report`` is added to.
    """

    workers: int | None
    force: bool
    progress: Progress | None
    report: FileReport


@dataclass(frozen=True, slots=True)
class FileRun:
    """One run: how it is done, as :class:`FileOptions` says, and what becomes of its files."""

    workers: int | None = None
    force: bool = False
    progress: Progress | None = None
    report: FileReport = field(default_factory=FileReport)
    _stop: threading.Event = field(default_factory=threading.Event)

    def watch(self, _: int) -> None:
        """The progress of one file: raises, inside of a worker, once the run is interrupted."""
        if self._stop.is_set():
            raise _Interrupted

    def stop(self) -> None:
        """Interrupt it: whatever is in work ends at its next look."""
        self._stop.set()

    def fill(
        self,
        source: Path,
        target: Path,
        named: Callable[[Path], Path | None],
        work: Work,
        without: int = 0,
    ) -> FileReport:
        """Put every file of ``source`` through ``work``; returns what became of them.

        ``named`` gives an output's name, or None for what is passed over;
        ``without`` are permissions that no folder gets. Raises as
        :func:`.tree.seal_tree` does.
        """
        check_apart(source, target)
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        devices: dict[int, Path] = {}
        with only_run(target):
            self.put_through(jobs(source, target, named, self.report, devices, without), work)
            for folder in devices.values():
                sync_file_system(folder)
        return self.report

    def put_through(self, found: Iterable[Job], work: Work) -> None:
        """Put each job through ``work``; whatever ends this early leaves no unfinished file."""
        share = descriptor_share()
        count = min(self.workers or os.cpu_count() or 1, share)
        flight = min(count * _FLIGHT_FACTOR, share)
        with ThreadPoolExecutor(count, "mfn-file") as pool:
            flying = _Flight(pool, work, self)
            try:
                for job in found:
                    flying.start(job)
                    while flying.count >= flight:
                        flying.land()
                while flying.count or flying.waiting:
                    flying.land()
            except BaseException:
                self.stop()
                flying.abandon()
                raise


class _Interrupted(BaseException):
    """The run was interrupted; raised inside of workers alone."""


_Try = tuple[Job, int]
"""A job, and for which time it is tried."""


class _Flight:
    """The jobs in work, and their outputs until these have their names."""

    def __init__(self, pool: ThreadPoolExecutor, work: Work, run: FileRun) -> None:
        self._pool = pool
        self._work = work
        self._run = run
        self._group = SyncGroup(run.force)
        self._flying: dict[Future[Outcome], _Try] = {}
        self._landed: dict[NewFile, _Try] = {}

    @property
    def count(self) -> int:
        """How many are in work."""
        return len(self._flying)

    @property
    def waiting(self) -> int:
        """How many are done and wait for their names."""
        return len(self._landed)

    def start(self, job: Job, number: int = 1) -> None:
        """Have a worker take the job."""
        self._flying[self._pool.submit(self._work, job)] = job, number

    def land(self) -> None:
        """Take what is done, and publish the group where it is full or nothing else flies."""
        for future in wait(self._flying, return_when=FIRST_COMPLETED).done:
            tried = self._flying.pop(future)
            try:
                outcome = future.result()
            except (MfnError, OSError) as error:
                self._failed(tried, error)
                continue
            if isinstance(outcome, tuple):
                self._landed[outcome[0]] = tried
                self._group.add(*outcome)
                if self._group.full:
                    self._publish()
            else:
                self._done(outcome)
        if not self._flying:
            self._publish()

    def _publish(self) -> None:
        for output, size, error in self._group.publish():
            tried = self._landed.pop(output)
            if error is None:
                self._done(size)
            else:
                self._failed(tried, error)

    def _done(self, size: int | None) -> None:
        self._run.report.take(size)
        self._tell()

    def _failed(self, tried: _Try, error: MfnError | OSError) -> None:
        job, number = tried
        if isinstance(error, FileBusyError) and number < _TRIES:
            self.start(job, number + 1)
        else:
            self._run.report.fail(job.source, error)
            self._tell()

    def abandon(self) -> None:
        """Let go of everything that has no name yet."""
        for future in self._flying:
            future.cancel()
        self._group.discard()
        for future in wait(self._flying).done:
            if not future.cancelled() and future.exception() is None:
                outcome = future.result()
                if isinstance(outcome, tuple):
                    outcome[0].discard()

    def _tell(self) -> None:
        if self._run.progress is not None:
            self._run.progress(1)


@contextmanager
def only_run(target: Path) -> Iterator[None]:
    """Raises :class:`FileBusyError` where another run is at work in the folder."""
    descriptor = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileBusyError(f"another run is at work in {target}; let it end") from None
        yield
    finally:
        os.close(descriptor)
