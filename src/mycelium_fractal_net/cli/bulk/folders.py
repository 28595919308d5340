"""``-r``: whole folders, in parallel; what a run that was cut off left undone is taken up."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from mycelium_fractal_net.cli.bulk.failures import end_partly_done, tell_passed_over
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.inputs import STANDARD, check_input
from mycelium_fractal_net.cli.outputs import SEALED_SUFFIX
from mycelium_fractal_net.cli.recording import record_opening, record_sealing
from mycelium_fractal_net.cli.terminal import byte_size, complain, counted
from mycelium_fractal_net.security.byte_io.binary_io import head_of
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.cli.invocation import Invocation
    from mycelium_fractal_net.files import FileReport
    from mycelium_fractal_net.security.records.open_options import OpenOptions


def seal(
    invocation: Invocation,
    path: str,
    output: str | None,
    key: str | None,
    associated_data: bytes,
    *,
    force: bool,
    workers: int | None,
) -> None:
    """Seal every file of the folder ``path`` into ``output``; see :func:`seal_tree`."""
    from mycelium_fractal_net.files import FileReport, seal_tree

    source, target = _folders(path, output)
    with (
        invocation.keyring() as keyring,
        invocation.progress("sealing", lambda: _count(source), items=True) as update,
    ):
        record_sealing(keyring, key, count=_count(source))
        report = seal_tree(
            keyring,
            source,
            target,
            key_id=key,
            associated_data=associated_data,
            workers=workers,
            force=force,
            progress=update,
            report=FileReport(on_failure=_complain),
        )
    _tell(invocation, "sealed", report, target)


def unseal(
    invocation: Invocation,
    path: str,
    output: str | None,
    opening: OpenOptions,
    *,
    force: bool,
    workers: int | None,
) -> None:
    """Open every sealed file of the folder ``path`` into ``output``; see :func:`open_tree`."""
    from mycelium_fractal_net.files import FileReport, open_tree

    source, target = _folders(path, output)
    with (
        invocation.keyring() as keyring,
        invocation.progress("opening", lambda: _count(source, SEALED_SUFFIX), items=True) as update,
    ):
        record_opening(keyring, "decrypt", map(head_of, _files(source, SEALED_SUFFIX)))
        report = open_tree(
            keyring,
            source,
            target,
            opening,
            workers=workers,
            force=force,
            progress=update,
            report=FileReport(on_failure=_complain),
        )
    _tell(invocation, "opened", report, target)


def _complain(path: str, reason: str) -> None:
    complain(f"{path}: {reason}")


def _folders(path: str, output: str | None) -> tuple[Path, Path]:
    source = _source(path)
    if output is None or output == STANDARD:
        raise CommandError(ExitCode.USAGE, "-r needs a folder to write to", "name it with -o")
    target = Path(output)
    if target.exists() and not target.is_dir():
        raise CommandError(ExitCode.EXISTS, f"{output} is no folder", "name another with -o")
    return source, target


def _source(path: str) -> Path:
    if path == STANDARD:
        raise CommandError(ExitCode.USAGE, "-r takes a folder", "leave -r away for a stream")
    check_input(Path(path), folder=True)
    return Path(path)


def _files(folder: Path, suffix: str = "") -> Iterator[str]:
    """The files below a folder that a run works on; what cannot be listed is left to the run."""
    folders = [os.fspath(folder)]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as found:
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.name.endswith(suffix) and entry.is_file(follow_symlinks=False):
                    yield entry.path


def _count(folder: Path, suffix: str = "") -> int:
    return sum(1 for _ in _files(folder, suffix))


def _tell(invocation: Invocation, done: str, report: FileReport, target: Path) -> None:
    """Say what became of the folder. Ends with exit code 11 where some failed."""
    tell_passed_over(invocation, report)
    before = f", {report.skipped} done before" if report.skipped else ""
    size = byte_size(report.bytes)
    count = counted(report.done, "file")
    invocation.say(f"{done} {count} ({size}) in {target}{before}")
    end_partly_done(report.failures, "file")
