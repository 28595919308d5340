"""A run on a folder: files worked on in threads, published in groups, all of it or a part.

Threads and not processes: nothing is started, one keyring serves, Ctrl-C ends it cleanly, and
two seal small files faster than is asked for. Large ones run outside of the interpreter's lock.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mycelium_fractal_net.files.groups import Group, descriptor_share, sync_file_system
from mycelium_fractal_net.files.new_file import NewFile
from mycelium_fractal_net.files.walk import Job, TreeReport, check_apart, jobs, reason_of
from mycelium_fractal_net.security.errors import ConflictError, MfnError

__all__ = ["run"]

_FLIGHT_FACTOR: Final = 16  # files in work or waiting, for each worker

Progress = Callable[[int], None]
Work = Callable[[Job], tuple[NewFile, int] | None]


def run(
    source: Path,
    target: Path,
    named: Callable[[Path], Path | None],
    work: Work,
    stop: threading.Event,
    workers: int | None,
    force: bool,
    progress: Progress | None,
) -> TreeReport:
    """Put every file of ``source`` through ``work``; returns what became of them.

    ``named`` gives an output's name, or None for what is passed over; ``stop`` is set to
    interrupt ``work``. Raises as :func:`.tree.seal_tree` does.
    """
    report = TreeReport()
    check_apart(source, target)
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    share = descriptor_share()
    count = min(workers or os.cpu_count() or 1, share)
    flight = min(count * _FLIGHT_FACTOR, share)
    group = Group(force)
    devices: dict[int, Path] = {}
    with _only_run(target), ThreadPoolExecutor(count, "mfn-file") as pool:
        flying: dict[Future[tuple[NewFile, int] | None], Job] = {}
        try:
            for job in jobs(source, target, named, report, devices):
                flying[pool.submit(work, job)] = job
                if len(flying) >= flight:
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
        for folder in devices.values():
            sync_file_system(folder)
    return report


def _collect(
    flying: dict[Future[tuple[NewFile, int] | None], Job],
    group: Group,
    report: TreeReport,
    progress: Progress | None,
) -> None:
    for future in wait(flying, return_when=FIRST_COMPLETED).done:
        job = flying.pop(future)
        try:
            outcome = future.result()
        except (MfnError, OSError) as error:
            report.failed.append((job.source, reason_of(error)))
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
            report.failed.append((output.target, reason_of(error)))
            continue
        report.done += 1
        report.bytes += size
        _tell(progress)


def _abandon(flying: dict[Future[tuple[NewFile, int] | None], Job], group: Group) -> None:
    """Let go of everything that has no name yet."""
    group.discard()
    for future in wait(flying).done:
        if not future.cancelled() and future.exception() is None:
            outcome = future.result()
            if outcome is not None:
                outcome[0].discard()


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


def _tell(progress: Progress | None) -> None:
    if progress is not None:
        progress(1)
