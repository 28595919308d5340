"""``mfn rewrap``: files, folders, objects and columns to the newest versions of their keys."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mycelium_fractal_net.cli import options, recording
from mycelium_fractal_net.cli.bulk import columns
from mycelium_fractal_net.cli.bulk.attestation import attestation
from mycelium_fractal_net.cli.bulk.failures import end, reporting, tell_passed_over
from mycelium_fractal_net.cli.bulk.fields import field_choice, with_field
from mycelium_fractal_net.cli.bulk.takeovers import takeover
from mycelium_fractal_net.cli.commands.encrypt import rewrap_one
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.inputs import STANDARD, check_input
from mycelium_fractal_net.cli.parsing import command
from mycelium_fractal_net.cli.terminal import byte_size, counted
from mycelium_fractal_net.security.errors import ExitCode
from mycelium_fractal_net.security.records.open_options import PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mycelium_fractal_net.cli.bulk.attestation import Attestation
    from mycelium_fractal_net.cli.bulk.takeovers import Takeover
    from mycelium_fractal_net.cli.invocation import Invocation
    from mycelium_fractal_net.cli.options import Batch, Writing
    from mycelium_fractal_net.columns import EncryptedField, MessageColumn
    from mycelium_fractal_net.files import FileReport
    from mycelium_fractal_net.security.records.open_options import OpenOptions

_ACCESS: Final = re.compile("//[^/@]*@")  # user and password in a URL


@command("rewrap")
@click.argument(
    "paths",
    nargs=-1,
    metavar="[PATH]...",
    help="Sealed files, folders, URLs such as s3://BUCKET/FOLDER; or -.",
)
@options.writing
@click.option("--any-name", is_flag=True, help="In folders take all sealed files, not .mfn alone.")
@options.opening
@columns.column_choice
@field_choice
@takeover
@options.batch
@attestation
@options.yes
def rewrap(
    invocation: Invocation,
    paths: tuple[str, ...],
    to: Writing,
    any_name: bool,
    opening: OpenOptions,
    choice: MessageColumn | None,
    field: EncryptedField | None,
    takeover: Takeover | None,
    batch: Batch,
    attestation: Attestation | None,
) -> None:
    """Move what is sealed to the newest versions of its keys, in place, or one with -o elsewhere.

    Files, folders of any size, object stores, or with --database the messages of a column. The
    plaintext never reaches the disk. A run that was cut off is simply run again.
    """
    if takeover is not None:
        if choice is None or field is None or attestation is not None or opening != PLAIN:
            raise CommandError(
                ExitCode.USAGE,
                "--from is of an encrypted field, which is named, and of nothing else",
                "add --database and --field, and leave the rest away",
            )
        choice = with_field(choice, field) or choice
        columns.refuse_path(paths[0] if paths else None, to.output)
        columns.take_over(invocation, choice, takeover, batch)
        return
    if attestation is not None:
        invocation.confirm(f"older versions of {attestation.key} may go once this has run")
    choice = with_field(choice, field)
    if choice is not None:
        columns.refuse_path(paths[0] if paths else None, to.output)
        columns.rewrap(invocation, choice, opening, batch, attestation)
        return
    if not paths:
        raise CommandError(ExitCode.USAGE, "nothing to rewrap", "name a file, or --database")
    alone = len(paths) == 1 and attestation is None and not _is_url(paths[0])
    if to.output is not None or STANDARD in paths:
        if to.recursive:
            raise CommandError(ExitCode.USAGE, "rewrap -r works in place", "leave -o away")
        if not alone:
            raise CommandError(
                ExitCode.USAGE, "a stream or -o takes one file", "take the others by themselves"
            )
    elif not alone or batch.report is not None or to.recursive or Path(paths[0]).is_dir():
        _all(invocation, paths, opening, batch, attestation, any_name=any_name)
        return
    rewrap_one(invocation, paths[0], opening, to)


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
        if attestation is not None:
            attestation.end(invocation, keyring, found.failures)
    _end(invocation, found, paths)


class _Counted:
    """The first bytes of messages, and how many there were."""

    def __init__(self, heads: Iterator[bytes]) -> None:
        self._heads = heads
        self.seen = 0

    def __iter__(self) -> Iterator[bytes]:
        for head in self._heads:
            self.seen += 1
            yield head


def _end(invocation: Invocation, found: FileReport, paths: Sequence[str]) -> None:
    tell_passed_over(invocation, found)
    size = byte_size(found.bytes)
    where = _ACCESS.sub("//", paths[0]) if len(paths) == 1 else f"{len(paths)} places"
    said = f"rewrapped {counted(found.done, 'file')} ({size}) in {where}"
    end(invocation, said, found, found.failures)
