"""``-r``: whole folders, in parallel; what a run that was cut off left undone is taken up."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from mycelium_fractal_net.cli.bulk.failures import end, tell_passed_over
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.inputs import STANDARD, check_input
from mycelium_fractal_net.cli.outputs import NAME_BYTES, SEALED_SUFFIX, fits
from mycelium_fractal_net.cli.recording import record_opening, record_sealing
from mycelium_fractal_net.cli.terminal import byte_size, complain, counted
from mycelium_fractal_net.security.byte_io.binary_io import head_of
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.cli.invocation import Invocation
    from mycelium_fractal_net.cli.options import Writing
    from mycelium_fractal_net.files import FileReport
    from mycelium_fractal_net.files.file_run import FileOptions
    from mycelium_fractal_net.security.records.open_options import OpenOptions


def seal(
    invocation: Invocation,
    path: str,
    key: str | None,
    associated_data: bytes,
    to: Writing,
    *,
    workers: int | None,
    bind_name: bool,
    allow_changing: bool,
) -> None:
    """Seal every file of the folder ``path`` into another; see :func:`seal_tree`."""
    from mycelium_fractal_net.files import FileReport, seal_tree

    source, target = _folders(path, to.output)
    count = long = 0
    for found in _files(source):
        count += 1
        long += not fits(found.rpartition("/")[2] + SEALED_SUFFIX)
    if long:
        complain(
            f"{counted(long, 'name')} with {SEALED_SUFFIX} would be longer than"
            f" {NAME_BYTES} bytes; the others are sealed"
        )
    with (
        invocation.keyring() as keyring,
        invocation.progress("sealing", count, items=True) as update,
    ):
        record_sealing(keyring, key, count=count)
        more: FileOptions = {
            "workers": workers,
            "force": to.force,
            "progress": update,
            "report": FileReport(on_failure=lambda path, reason: complain(f"{path}: {reason}")),
        }
        report = seal_tree(
            keyring,
            source,
            target,
            key_id=key,
            associated_data=associated_data,
            bind_name=bind_name,
            allow_changing=allow_changing,
            **more,
        )
    _tell(invocation, "sealed", report, target)


def unseal(
    invocation: Invocation,
    path: str,
    opening: OpenOptions,
    to: Writing,
    workers: int | None,
    *,
    bind_name: bool,
) -> None:
    """Open every sealed file of the folder ``path`` into another; see :func:`open_tree`."""
    from mycelium_fractal_net.files import FileReport, open_tree

    source, target = _folders(path, to.output)
    count = sum(1 for _ in _files(source, SEALED_SUFFIX))
    with (
        invocation.keyring() as keyring,
        invocation.progress("opening", count, items=True) as update,
    ):
        record_opening(keyring, "decrypt", map(head_of, _files(source, SEALED_SUFFIX)))
        more: FileOptions = {
            "workers": workers,
            "force": to.force,
            "progress": update,
            "report": FileReport(on_failure=lambda path, reason: complain(f"{path}: {reason}")),
        }
        report = open_tree(keyring, source, target, opening, bind_name=bind_name, **more)
    _tell(invocation, "opened", report, target)


def _folders(path: str, output: str | None) -> tuple[Path, Path]:
    if path == STANDARD:
        raise CommandError(ExitCode.USAGE, "-r takes a folder", "leave -r away for a stream")
    check_input(Path(path), folder=True)
    if output is None or output == STANDARD:
        raise CommandError(ExitCode.USAGE, "-r needs a folder to write to", "name it with -o")
    target = Path(output)
    if target.exists() and not target.is_dir():
        raise CommandError(ExitCode.EXISTS, f"{output} is no folder", "name another with -o")
    return Path(path), target


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


def _tell(invocation: Invocation, done: str, report: FileReport, target: Path) -> None:
    tell_passed_over(invocation, report)
    said = f"{done} {counted(report.done, 'file')} ({byte_size(report.bytes)}) in {target}"
    end(invocation, said, report, report.failures)
