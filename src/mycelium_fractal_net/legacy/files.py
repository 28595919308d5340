"""The way of files and folders out of the XOR cipher: there, and back, and for good.

Each file is opened, sealed, checked and put in its place by itself, in threads, since PBKDF2 runs
outside of the interpreter's lock. A run that was cut off is simply run again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, Unpack

from mycelium_fractal_net.files.file_run import FileOptions, FileRun
from mycelium_fractal_net.files.groups import sync_file_system
from mycelium_fractal_net.files.new_file import remove_leftovers
from mycelium_fractal_net.files.walk import FileReport, Job, jobs
from mycelium_fractal_net.legacy.old_file import (
    OLD_SUFFIX,
    commit_old,
    migrate_old,
    roll_back_old,
)
from mycelium_fractal_net.security.keyring.keyring import Keyring
from mycelium_fractal_net.security.records.open_options import PLAIN, OpenOptions

# PBKDF2 keeps one busy; the others wait for the disk, and until a change would show in a status.
_PER_PROCESSOR: Final = 3


def migrate_xor(
    keyring: Keyring,
    paths: Iterable[Path],
    options: OpenOptions = PLAIN,
    *,
    key_id: str | None = None,
    dry_run: bool = False,
    **how: Unpack[FileOptions],
) -> FileReport:
    """Seal, in place, every old message in these files and below these folders.

    A file holds one message as text, perhaps with a line end. What is sealed already is skipped;
    what is neither is reported, and one that fails does not stop the others. The old messages
    stay beside the new ones, as ``FILE.xor-old``, until :func:`commit_xor` or
    :func:`roll_back_xor`. ``dry_run`` opens everything and changes nothing. ``options`` are
    for the old key, which may be compromised.
    Raises what :meth:`Keyring.protecting_key` does.
    """
    name = keyring.protecting_key(key_id)

    def work(path: Path) -> int | None:
        return migrate_old(keyring, path, name, options, dry_run=dry_run)

    return _each(paths, lambda path: None if _is_kept(path) else path, work, how)


def commit_xor(keyring: Keyring, paths: Iterable[Path], **how: Unpack[FileOptions]) -> FileReport:
    """Remove the old messages that :func:`migrate_xor` kept, each where the new one opens.

    The others stay and are reported.
    """

    def work(path: Path) -> int:
        return commit_old(keyring, path)

    return _each(paths, _owner, work, how)


def roll_back_xor(
    keyring: Keyring,
    paths: Iterable[Path],
    options: OpenOptions = PLAIN,
    **how: Unpack[FileOptions],
) -> FileReport:
    """Put the old messages that were kept in their places again, where nobody wrote since.

    The others stay, and so does what is in their place; they are reported.
    """

    def work(path: Path) -> int:
        return roll_back_old(keyring, path, options)

    return _each(paths, _owner, work, how)


def _is_kept(path: Path) -> bool:
    return path.name.endswith(OLD_SUFFIX) and path.name != OLD_SUFFIX


def _owner(path: Path) -> Path | None:
    """The file beside which ``path`` is kept as its old message, where it is one."""
    return path.with_name(path.name.removesuffix(OLD_SUFFIX)) if _is_kept(path) else None


def _jobs(paths: Iterable[Path], report: FileReport, devices: dict[int, Path]) -> Iterator[Job]:
    """The files that are named, and those below the folders that are."""
    for path in paths:
        if path.is_dir():
            yield from jobs(path, path, lambda found: found, report, devices)
        else:
            real = path.resolve()
            devices.setdefault(real.parent.stat().st_dev, real.parent)
            remove_leftovers(real.parent)
            yield Job(real, real)
            kept = real.with_name(real.name + OLD_SUFFIX)
            if os.path.lexists(kept):
                yield Job(kept, kept)


def _each(
    paths: Iterable[Path],
    wanted: Callable[[Path], Path | None],
    work: Callable[[Path], int | None],
    how: FileOptions,
) -> FileReport:
    """Put what ``wanted`` gives for every file through ``work``; sync the names at the end."""
    run = FileRun(**how)
    if run.workers is None:
        run = replace(run, workers=_PER_PROCESSOR * (os.cpu_count() or 1))
    devices: dict[int, Path] = {}
    found = (wanted(job.source) for job in _jobs(paths, run.report, devices))
    try:
        run.put_through((Job(path, path) for path in found if path), lambda job: work(job.source))
    finally:
        for folder in devices.values():
            sync_file_system(folder)
    return run.report
