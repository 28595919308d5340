"""``mfn rewrap``: files, folders, objects and columns to the newest versions of their keys."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mycelium_fractal_net.cli import options, recording
from mycelium_fractal_net.cli.bulk import columns
from mycelium_fractal_net.cli.bulk.attestation import attestation
from mycelium_fractal_net.cli.bulk.failures import reporting, tell_passed_over
from mycelium_fractal_net.cli.commands.encrypt import rewrap_one
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.inputs import STANDARD, check_input
from mycelium_fractal_net.cli.terminal import byte_size, complain, counted
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mycelium_fractal_net.cli.bulk.attestation import Attestation
    from mycelium_fractal_net.cli.invocation import Invocation
    from mycelium_fractal_net.cli.options import Batch
    from mycelium_fractal_net.columns import MessageColumn
    from mycelium_fractal_net.files import FileReport
    from mycelium_fractal_net.security.records.open_options import OpenOptions

_ACCESS: Final = re.compile("//[^/@]*@")  # user and password in a URL


@click.command("rewrap")
@click.argument(
    "paths",
    nargs=-1,
    metavar="[PATH]...",
    help="Sealed files, folders, URLs such as s3://BUCKET/FOLDER; or -.",
)
@options.output
@options.recursive
@click.option("--any-name", is_flag=True, help="In folders take all sealed files, not .mfn alone.")
@options.opening
@options.force
@columns.column_choice
@options.batch
@attestation
@click.pass_obj
def rewrap(
    invocation: Invocation,
    paths: tuple[str, ...],
    output: str | None,
    recursive: bool,
    any_name: bool,
    opening: OpenOptions,
    force: bool,
    choice: MessageColumn | None,
    batch: Batch,
    attestation: Attestation | None,
) -> None:
    """Move what is sealed to the newest versions of its keys, in place, or one with -o elsewhere.

    Files, folders of any size, object stores, or with --database the messages of a column. The
    plaintext never reaches the disk. A run that was cut off is simply run again.
    """
    if choice is not None:
        columns.refuse_path(paths[0] if paths else None, output)
        columns.rewrap(invocation, choice, opening, batch, attestation)
        return
    if not paths:
        raise CommandError(ExitCode.USAGE, "nothing to rewrap", "name a file, or --database")
    alone = paths[0] if len(paths) == 1 else None
    if output is not None or STANDARD in paths:
        if recursive:
            raise CommandError(ExitCode.USAGE, "rewrap -r works in place", "leave -o away")
        if alone is None or attestation is not None or _is_url(alone):
            raise CommandError(
                ExitCode.USAGE, "a stream or -o takes one file", "take the others by themselves"
            )
        rewrap_one(invocation, alone, output, opening, force=force)
        return
    plain = batch.report is None and attestation is None and not recursive
    if alone is not None and plain and not _is_url(alone) and not Path(alone).is_dir():
        rewrap_one(invocation, alone, None, opening, force=force)
        return
    _all(invocation, paths, opening, batch, attestation, any_name=any_name)


def _is_url(path: str) -> bool:
    return "://" in path


def _all(
    invocation: Invocation,
    paths: Sequence[str],
    opening: OpenOptions,
    batch: Batch,
    attestation: Attestation | None,
    *,
    any_name: bool,
) -> None:
    from mycelium_fractal_net.files import FileReport, heads, rewrap_objects, rewrap_paths

    urls = [path for path in paths if _is_url(path)]
    local = [Path(path) for path in paths if not _is_url(path)]
    for path in local:
        check_input(path, folder=path.is_dir())
    with invocation.keyring() as keyring, reporting(batch.report) as failed:
        found = FileReport(on_failure=failed)
        if attestation is not None:
            attestation.begin(keyring)
        how: dict[str, Any] = {
            "workers": batch.workers,
            "any_name": any_name,
            "finishing": attestation and attestation.key,
            "report": found,
        }
        if local:
            count = _Counted(heads(keyring, local, any_name=any_name))
            recording.record_opening(keyring, "rewrap", count)
            with invocation.progress("rewrapping", count.seen, items=True) as update:
                rewrap_paths(keyring, local, opening, progress=update, **how)
        for url in urls:
            with invocation.progress("rewrapping", None, items=True) as update:
                rewrap_objects(
                    keyring,
                    url,
                    opening,
                    before=lambda begun: recording.record_opening(keyring, "rewrap", begun),
                    progress=update,
                    **how,
                )
        _tell(invocation, found, paths)
        if attestation is not None:
            attestation.end(invocation, keyring, found.failures)
    if found.failures:
        raise click.exceptions.Exit(ExitCode.PARTIAL)


class _Counted:
    """The first bytes of messages, and how many there were."""

    def __init__(self, heads: Iterator[bytes]) -> None:
        self._heads = heads
        self.seen = 0

    def __iter__(self) -> Iterator[bytes]:
        for head in self._heads:
            self.seen += 1
            yield head


def _tell(invocation: Invocation, found: FileReport, paths: Sequence[str]) -> None:
    tell_passed_over(invocation, found)
    before = f", {found.skipped} done before" if found.skipped else ""
    size = byte_size(found.bytes)
    where = _ACCESS.sub("//", paths[0]) if len(paths) == 1 else f"{len(paths)} places"
    invocation.say(f"rewrapped {counted(found.done, 'file')} ({size}) in {where}{before}")
    if found.failures:
        failed = counted(found.failures, "file")
        complain(f"{failed} failed; mend the cause and run the same again")
