"""Files and folders of any number, moved to the newest versions of their keys.

Nothing that is kept grows with their number. What is done is seen by its first bytes alone, so a
run that was cut off is simply run again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Unpack

from mycelium_fractal_net.files.file_run import FileOptions, FileRun, Outcome, only_run
from mycelium_fractal_net.files.groups import sync_file_system
from mycelium_fractal_net.files.new_file import remove_leftovers
from mycelium_fractal_net.files.single import rewrap_to
from mycelium_fractal_net.files.walk import SEALED_SUFFIX, FileReport, Job, jobs
from mycelium_fractal_net.security.byte_io.binary_io import head_of
from mycelium_fractal_net.security.errors import DecryptionError, KeyNotFoundError
from mycelium_fractal_net.security.keyring.keyring import Keyring
from mycelium_fractal_net.security.records.open_options import PLAIN, OpenOptions


def rewrap_paths(
    keyring: Keyring,
    paths: Iterable[Path],
    options: OpenOptions = PLAIN,
    *,
    any_name: bool = False,
    finishing: str | None = None,
    **how: Unpack[FileOptions],
) -> FileReport:
    """Move files, and every ``.mfn`` file below folders, to the newest versions of their keys.

    In place: each is replaced in one step, and only what was read is (:mod:`.replacing`); what
    others change meanwhile is tried again. With ``any_name`` whatever in the folders begins as a
    sealed message is taken. ``finishing`` names a key that is to have no older data when this
    ends: a file that is passed over for its name, and sealed by it, is a failure then.

    ``how`` is a :class:`.FileOptions`. One file that fails does not stop the others.
    Raises :class:`OSError` where a path is not there, and :class:`FileBusyError` while another
    run works in one of the folders.
    """
    run = FileRun(**how)
    devices: dict[int, Path] = {}

    def rewrap(job: Job) -> Outcome:
        output = rewrap_to(keyring, job.source, options, progress=run.watch)
        return None if output is None else (output, os.fstat(output.file.fileno()).st_size)

    def named(path: Path) -> Path | None:
        if path.suffix == SEALED_SUFFIX:
            return path
        if any_name:
            return path if _key_of(keyring, path) is not None else None
        if finishing is not None and _key_of(keyring, path) == finishing:
            run.report.fail(path, f"is sealed, and its name does not end in {SEALED_SUFFIX}")
        return None

    files, folders = _sorted_out(paths)
    run.put_through(_jobs_of(files, devices), rewrap)
    for folder in folders:
        with only_run(folder):
            run.put_through(jobs(folder, folder, named, run.report, devices), rewrap)
    for place in devices.values():
        sync_file_system(place)
    return run.report


def heads(keyring: Keyring, paths: Iterable[Path], *, any_name: bool = False) -> Iterator[bytes]:
    """The first bytes of every file that :func:`rewrap_paths` will look into."""
    files, folders = _sorted_out(paths)
    for file in files:
        yield head_of(file)

    def named(path: Path) -> Path | None:
        if path.suffix == SEALED_SUFFIX or (any_name and _key_of(keyring, path) is not None):
            return path
        return None

    for folder in folders:
        for job in jobs(folder, folder, named, FileReport(), {}):
            yield head_of(job.source)


def _sorted_out(paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Files and folders, links followed, each once; folders in other folders left away."""
    found = dict.fromkeys(path.resolve(strict=True) for path in paths)
    folders = {path for path in found if path.is_dir()}
    return (
        [path for path in found if path not in folders],
        [path for path in found if path in folders and folders.isdisjoint(path.parents)],
    )


def _jobs_of(files: Iterable[Path], devices: dict[int, Path]) -> Iterator[Job]:
    swept: Path | None = None
    for file in files:
        if file.parent != swept:
            swept = file.parent
            devices.setdefault(swept.stat().st_dev, swept)
            remove_leftovers(swept)
        yield Job(file, file)


def _key_of(keyring: Keyring, path: Path) -> str | None:
    """The key that sealed a file; None where it is not sealed. One unknown here has no name."""
    try:
        return keyring.describe(head_of(path)).key_id
    except KeyNotFoundError:
        return ""
    except DecryptionError:
        return None
