"""``mfn migrate-xor``: the way out of the XOR cipher."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mycelium_fractal_net.cli import options, recording
from mycelium_fractal_net.cli.bulk import columns
from mycelium_fractal_net.cli.bulk.failures import reporting
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.options import PATH
from mycelium_fractal_net.cli.parsing import record
from mycelium_fractal_net.cli.terminal import byte_size, complain, counted
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mycelium_fractal_net.cli.invocation import Invocation
    from mycelium_fractal_net.cli.options import Batch
    from mycelium_fractal_net.columns import MessageColumn
    from mycelium_fractal_net.files import FileReport
    from mycelium_fractal_net.files.file_run import FileOptions
    from mycelium_fractal_net.security.records.open_options import OpenOptions


class Step(StrEnum):
    """What a run does."""

    TRY = "opened"
    MIGRATE = "migrated"
    COMMIT = "committed"
    ROLL_BACK = "rolled back"


_RECORDED: Final = {Step.COMMIT: "commit", Step.ROLL_BACK: "rollback"}


def _step(dry_run: bool, commit: bool, rollback: bool) -> Step:
    if dry_run + commit + rollback > 1:
        raise CommandError(
            ExitCode.USAGE,
            "--dry-run, --commit and --rollback are three things",
            "do one at a time",
        )
    if commit:
        return Step.COMMIT
    if rollback:
        return Step.ROLL_BACK
    return Step.TRY if dry_run else Step.MIGRATE


@click.command("migrate-xor")
@click.argument(
    "paths",
    nargs=-1,
    metavar="[PATH]...",
    type=PATH,
    help="Files with one old message each, and folders.",
)
@options.sealing_key
@record(
    "step",
    _step,
    click.option("--dry-run", is_flag=True, help="Open everything and change nothing."),
    click.option(
        "--commit", is_flag=True, help="Remove the kept old messages whose new ones open."
    ),
    click.option(
        "--rollback", is_flag=True, help="Put the kept old messages in their places again."
    ),
)
@columns.column_choice
@click.option(
    "--side-table",
    metavar="TABLE",
    help="Where the old values are kept [TABLE_COLUMN_xor, same schema].",
)
@options.batch
@options.opening_old
@click.pass_obj
def migrate(
    invocation: Invocation,
    paths: tuple[Path, ...],
    key: str | None,
    step: Step,
    choice: MessageColumn | None,
    side_table: str | None,
    batch: Batch,
    opening: OpenOptions,
) -> None:
    """Seal what the XOR cipher wrote, in place: files, folders, or with --database a column.

    Each new message is opened before it takes the old one's place. The old ones are kept, files
    as FILE.xor-old and values in a table of their own, until --commit or --rollback.
    """
    if choice is not None:
        columns.refuse_path(paths[0] if paths else None)
        _column(invocation, choice, step, key, side_table, batch, opening)
        return
    if not paths or side_table is not None:
        raise CommandError(ExitCode.USAGE, "nothing to migrate", "name files, or --database")
    for path in paths:
        if not os.access(path, os.R_OK):
            raise CommandError(
                ExitCode.INPUT, f"{path} cannot be read", "check the path and its mode"
            )
    files = [path.absolute() for path in paths]
    _files(invocation, files, step, key, batch, opening)


def _files(
    invocation: Invocation,
    paths: Sequence[Path],
    step: Step,
    key: str | None,
    batch: Batch,
    opening: OpenOptions,
) -> None:
    from mycelium_fractal_net.files import FileReport
    from mycelium_fractal_net.legacy import files
    from mycelium_fractal_net.legacy.kept import forget_kept, note_kept
    from mycelium_fractal_net.legacy.xor_format import xor_key

    settings = invocation.settings()
    kept = step in (Step.COMMIT, Step.ROLL_BACK)
    count = sum(_count(path, kept=kept) for path in paths)
    with (
        invocation.keyring() as keyring,
        reporting(batch.report) as failed,
        invocation.progress(step.value, count, items=True) as update,
    ):
        if step is Step.ROLL_BACK:
            xor_key(keyring)
        recording.record_migrating(keyring, _RECORDED.get(step, "migrate"), key, count=count)
        more: FileOptions = {
            "workers": batch.workers,
            "progress": update,
            "report": FileReport(on_failure=failed),
        }
        if step is Step.COMMIT:
            found = files.commit_xor(keyring, paths, **more)
        elif step is Step.ROLL_BACK:
            found = files.roll_back_xor(keyring, paths, opening, **more)
        else:
            for path in paths if step is Step.MIGRATE else ():
                note_kept(settings, str(path))
            found = files.migrate_xor(
                keyring, paths, opening, key_id=key, dry_run=step is Step.TRY, **more
            )
    if kept and not found.failures:
        for path in paths:
            forget_kept(settings, str(path))
    _tell(invocation, step, found)


def _count(path: Path, *, kept: bool) -> int:
    """How many files a run has to do with: those that are kept, or all others."""
    from mycelium_fractal_net.legacy.old_file import OLD_SUFFIX

    if not path.is_dir():
        return 1
    return sum(name.endswith(OLD_SUFFIX) is kept for _, _, names in os.walk(path) for name in names)


def _column(
    invocation: Invocation,
    choice: MessageColumn,
    step: Step,
    key: str | None,
    side_table: str | None,
    batch: Batch,
    opening: OpenOptions,
) -> None:
    from mycelium_fractal_net.columns import shown_url
    from mycelium_fractal_net.legacy.kept import forget_kept, note_kept

    settings = invocation.settings()
    place = f"column {choice.name} of {shown_url(choice.url)}"
    if step is Step.MIGRATE:
        note_kept(settings, place)
    if step in (Step.MIGRATE, Step.TRY):
        columns.migrate(
            invocation,
            choice,
            key,
            side_table,
            batch,
            opening,
            dry_run=step is Step.TRY,
        )
        return
    verb: Any = _RECORDED[step]
    columns.finish(invocation, choice, verb, side_table, batch)
    forget_kept(settings, place)


def _tell(invocation: Invocation, step: Step, found: FileReport) -> None:
    """Say what became of the files. Ends with exit code 11 where some failed."""
    for path in found.passed_over:
        invocation.say(f"passed over {path}: a link or a special file")
    before = f", {found.skipped} sealed before" if found.skipped else ""
    changed = "; nothing was changed" if step is Step.TRY else ""
    size = byte_size(found.bytes)
    invocation.say(f"{step} {counted(found.done, 'file')} ({size}){before}{changed}")
    if found.failures:
        complain(f"{counted(found.failures, 'file')} failed; mend the cause and run it again")
        raise click.exceptions.Exit(ExitCode.PARTIAL)
