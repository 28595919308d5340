"""The way of files and folders out of the XOR cipher: there, and back, and for good.

Each file is opened, sealed, checked and put in its place by itself, in threads, since PBKDF2 runs
outside of the interpreter's lock. A run that was cut off is simply run again.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from mycelium_fractal_net.files.groups import descriptor_share, sync_file_system
from mycelium_fractal_net.files.walk import TreeReport, jobs
from mycelium_fractal_net.legacy.old_file import (
    OLD_SUFFIX,
    commit_old,
    migrate_old,
    roll_back_old,
)
from mycelium_fractal_net.security.errors import MfnError
from mycelium_fractal_net.security.keyring.keyring import Keyring
from mycelium_fractal_net.security.records.open_options import PLAIN, OpenOptions

Progress = Callable[[int], None]
Work = Callable[[Path], int | None]

_FLIGHT_FACTOR: Final = 16  # files in work or waiting, for each worker
_DESCRIPTORS: Final = 4  # of one file at work
# PBKDF2 keeps one busy; the others wait for the disk, and until a change would show in a status.
_PER_PROCESSOR: Final = 3


def migrate_xor(
    keyring: Keyring,
    paths: Iterable[Path],
    *,
    key_id: str | None = None,
    dry_run: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
    options: OpenOptions = PLAIN,
) -> TreeReport:
    """Seal, in place, every old message in these files and below these folders.

    A file holds one message as text, perhaps with a line end. What is sealed already is skipped;
    what is neither is reported, and one that fails does not stop the others. The old messages
    stay beside the new ones, as ``FILE.xor-old``, until :func:`commit_xor` or
    :func:`roll_back_xor`. ``dry_run`` opens everything and changes nothing. ``progress`` is
    called with 1 for each file. ``options`` are for the old key, which may be compromised.
    Raises what :meth:`Keyring.protecting_key` does.
    """
    name = keyring.protecting_key(key_id)

    def work(path: Path) -> int | None:
        return migrate_old(keyring, path, name, options, dry_run=dry_run)

    return _each(paths, lambda path: None if _is_kept(path) else path, work, workers, progress)


def commit_xor(
    keyring: Keyring,
    paths: Iterable[Path],
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> TreeReport:
    """Remove the old messages that :func:`migrate_xor` kept, each where the new one opens.

    The others stay and are reported.
    """

    def work(path: Path) -> int:
        return commit_old(keyring, path)

    return _each(paths, _owner, work, workers, progress)


def roll_back_xor(
    keyring: Keyring,
    paths: Iterable[Path],
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    options: OpenOptions = PLAIN,
) -> TreeReport:
    """Put the old messages that were kept in their places again, where nobody wrote since.

    The others stay, and so does what is in their place; they are reported.
    """

    def work(path: Path) -> int:
        return roll_back_old(keyring, path, options)

    return _each(paths, _owner, work, workers, progress)


def _is_kept(path: Path) -> bool:
    return path.name.endswith(OLD_SUFFIX) and path.name != OLD_SUFFIX


def _owner(path: Path) -> Path | None:
    """The file beside which ``path`` is kept as its old message, where it is one."""
    return path.with_name(path.name.removesuffix(OLD_SUFFIX)) if _is_kept(path) else None


def _walk(paths: Iterable[Path], report: TreeReport, devices: dict[int, Path]) -> Iterator[Path]:
    """The files that are named, and those below the folders that are."""
    for path in paths:
        if path.is_dir():
            for job in jobs(path, path, lambda found: found, report, devices):
                yield job.source
        else:
            real = path.resolve()
            devices.setdefault(real.parent.stat().st_dev, real.parent)
            yield real
            kept = real.with_name(real.name + OLD_SUFFIX)
            if os.path.lexists(kept):
                yield kept


def _each(
    paths: Iterable[Path],
    wanted: Callable[[Path], Path | None],
    work: Work,
    workers: int | None,
    progress: Progress | None,
) -> TreeReport:
    """Put what ``wanted`` gives for every file through ``work``; sync the names at the end."""
    report = TreeReport()
    devices: dict[int, Path] = {}
    wanted_at_once = workers or _PER_PROCESSOR * (os.cpu_count() or 1)
    count = min(wanted_at_once, max(1, descriptor_share() // _DESCRIPTORS))
    flying: deque[tuple[Path, Future[int | None]]] = deque()
    with ThreadPoolExecutor(count, "mfn-file") as pool:
        try:
            for found in _walk(paths, report, devices):
                path = wanted(found)
                if path is None:
                    continue
                flying.append((path, pool.submit(work, path)))
                if len(flying) >= count * _FLIGHT_FACTOR:
                    _take(report, *flying.popleft(), progress)
            while flying:
                _take(report, *flying.popleft(), progress)
        finally:
            for _, future in flying:
                future.cancel()
            for folder in devices.values():
                sync_file_system(folder)
    return report


def _take(
    report: TreeReport, path: Path, future: Future[int | None], progress: Progress | None
) -> None:
    try:
        report.take(future.result())
    except (MfnError, OSError) as error:
        report.fail(path, error)
    if progress is not None:
        progress(1)
