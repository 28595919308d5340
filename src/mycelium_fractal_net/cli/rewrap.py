"""``mfn rewrap``: files, folders, objects and columns to the newest versions of their keys."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from mycelium_fractal_net.cli import columns, recording, seal
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.failures import reporting
from mycelium_fractal_net.cli.finishing import Finished, Finishing, Reason, finishing
from mycelium_fractal_net.cli.options import (
    AllowCompromised,
    AssociatedDataFile,
    AssociatedDataText,
    DataKeyAssociatedData,
    Force,
    Output,
    Recursive,
    Report,
    Workers,
    associated_data,
)
from mycelium_fractal_net.cli.session import session_of
from mycelium_fractal_net.cli.streams import STANDARD, check_input
from mycelium_fractal_net.cli.terminal import byte_size, complain, counted, progress_bar, say
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mycelium_fractal_net.cli.session import Session
    from mycelium_fractal_net.files import RewrapReport
    from mycelium_fractal_net.security.records.open_options import OpenOptions

__all__ = ["register"]

_ACCESS: Final = re.compile("//[^/@]*@")  # user and password in a URL


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("rewrap")(_rewrap)


def _rewrap(
    context: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH", help="Sealed files, folders, URLs such as s3://BUCKET/FOLDER; or -."
        ),
    ] = None,
    output: Output = None,
    recursive: Recursive = False,
    any_name: Annotated[
        bool,
        typer.Option("--any-name", help="In folders take all sealed files, not .mfn alone."),
    ] = False,
    text: AssociatedDataText = None,
    associated_data_file: AssociatedDataFile = None,
    data_key_associated_data: DataKeyAssociatedData = None,
    allow_compromised: AllowCompromised = False,
    force: Force = False,
    workers: Workers = None,
    database: columns.Database = None,
    database_file: columns.DatabaseFile = None,
    database_env: columns.DatabaseEnv = None,
    table: columns.Table = None,
    column: columns.Column = None,
    associated_data_column: columns.AssociatedDataColumn = None,
    report: Report = None,
    finished: Finished = None,
    reason: Reason = None,
) -> None:
    """Move what is sealed to the newest versions of its keys, in place, or one with -o elsewhere.

    Files, folders of any size, object stores, or with --database the messages of a column. The
    plaintext never reaches the disk. A run that was cut off is simply run again.
    """
    from mycelium_fractal_net.security.records.open_options import OpenOptions

    session = session_of(context)
    bound = associated_data(text, associated_data_file)
    of_data_key = seal.bytes_of(data_key_associated_data)
    options = OpenOptions(bound, of_data_key, allow_compromised)
    finish = finishing(finished, reason)
    choice = columns.chosen(
        database, database_file, database_env, table, column, options, associated_data_column
    )
    if choice is not None:
        columns.refuse_path(paths[0] if paths else None, output)
        columns.rewrap(session, choice, workers=workers, report=report, finish=finish)
        return
    if not paths:
        raise CommandError(ExitCode.USAGE, "nothing to rewrap", "name a file, or --database")
    alone = paths[0] if len(paths) == 1 else None
    if output is not None or STANDARD in paths:
        if recursive:
            raise CommandError(ExitCode.USAGE, "rewrap -r works in place", "leave -o away")
        if alone is None or finish is not None or _is_url(alone):
            raise CommandError(
                ExitCode.USAGE, "a stream or -o takes one file", "take the others by themselves"
            )
        seal.rewrap_one(session, alone, output, options, force=force)
        return
    plain = report is None and finish is None and not recursive
    if alone is not None and plain and not _is_url(alone) and not Path(alone).is_dir():
        seal.rewrap_one(session, alone, None, options, force=force)
        return
    _all(session, paths, options, report, finish, any_name=any_name, workers=workers)


def _is_url(path: str) -> bool:
    return "://" in path


def _all(
    session: Session,
    paths: Sequence[str],
    options: OpenOptions,
    report: Path | None,
    finish: Finishing | None,
    *,
    any_name: bool,
    workers: int | None,
) -> None:
    from mycelium_fractal_net.files import RewrapReport, heads, rewrap_objects, rewrap_paths

    urls = [path for path in paths if _is_url(path)]
    local = [Path(path) for path in paths if not _is_url(path)]
    for path in local:
        check_input(path, folder=path.is_dir())
    with session.keyring() as keyring, reporting(report) as failed:
        found = RewrapReport(on_failure=failed)
        if finish is not None:
            finish.begin(keyring)
        more: dict[str, Any] = {
            "any_name": any_name,
            "finishing": finish and finish.key,
            "workers": workers,
            "report": found,
        }
        if local:
            count = _Counted(heads(keyring, local, any_name=any_name))
            recording.record_opening(keyring, "rewrap", count)
            with progress_bar("rewrapping", count.seen, quiet=session.quiet, items=True) as update:
                rewrap_paths(keyring, local, options, progress=update, **more)
        for url in urls:
            with progress_bar("rewrapping", None, quiet=session.quiet, items=True) as update:
                rewrap_objects(
                    keyring,
                    url,
                    options,
                    before=lambda begun: recording.record_opening(keyring, "rewrap", begun),
                    progress=update,
                    **more,
                )
        _tell(session, found, paths)
        if finish is not None:
            finish.end(session, keyring, found.failures)
    if found.failures:
        raise typer.Exit(ExitCode.PARTIAL)


class _Counted:
    """The first bytes of messages, and how many there were."""

    def __init__(self, heads: Iterator[bytes]) -> None:
        self._heads = heads
        self.seen = 0

    def __iter__(self) -> Iterator[bytes]:
        for head in self._heads:
            self.seen += 1
            yield head


def _tell(session: Session, found: RewrapReport, paths: Sequence[str]) -> None:
    for path in found.passed_over:
        say(f"passed over {path}: a link, a special file, or not sealed", quiet=session.quiet)
    if more := found.others - len(found.passed_over):
        say(f"passed over {more} more", quiet=session.quiet)
    before = f", {found.skipped} done before" if found.skipped else ""
    size = byte_size(found.bytes)
    where = _ACCESS.sub("//", paths[0]) if len(paths) == 1 else f"{len(paths)} places"
    say(f"rewrapped {counted(found.done, 'file')} ({size}) in {where}{before}", quiet=session.quiet)
    if found.failures:
        failed = counted(found.failures, "file")
        complain(f"{failed} failed; mend the cause and run the same again")
