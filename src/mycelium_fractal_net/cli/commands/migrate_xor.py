"""``mfn migrate-xor``: seal what the XOR cipher wrote."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mycelium_fractal_net.cli import options, recording
from mycelium_fractal_net.cli.bulk import columns
from mycelium_fractal_net.cli.bulk.failures import end, reporting
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.options import PATH
from mycelium_fractal_net.cli.parsing import command, record
from mycelium_fractal_net.cli.terminal import byte_size, counted
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mycelium_fractal_net.cli.invocation import Invocation
    from mycelium_fractal_net.cli.options import Batch
    from mycelium_fractal_net.columns import MessageColumn
    from mycelium_fractal_net.files import FileReport
    from mycelium_fractal_net.files.file_run import FileOptions
    from mycelium_fractal_net.security.records.open_options import OpenOptions


class MigrationStep(StrEnum):
    """What a run does, in the words for what became of each file."""

    TRY = "opened"
    MIGRATE = "migrated"
    COMMIT = "committed"
    ROLL_BACK = "rolled back"


_RECORDED: Final = {MigrationStep.COMMIT: "commit", MigrationStep.ROLL_BACK: "rollback"}


def _run(dry_run: bool, commit: bool, rollback: bool) -> MigrationStep:
    if dry_run + commit + rollback > 1:
        raise CommandError(
            ExitCode.USAGE,
            "--dry-run, --commit and --rollback are three things",
            "do one at a time",
        )
    asked = {
        MigrationStep.TRY: dry_run,
        MigrationStep.COMMIT: commit,
        MigrationStep.ROLL_BACK: rollback,
        MigrationStep.MIGRATE: True,
    }
    return next(run for run, wanted in asked.items() if wanted)


@command("migrate-xor")
@click.argument(
    "paths",
    nargs=-1,
    metavar="[PATH]...",
    type=PATH,
    help="Files with one old message each, and folders.",
)
@options.sealing_key
@record(
    "run",
    _run,
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
@options.yes
def migrate(
    invocation: Invocation,
    paths: tuple[Path, ...],
    key: str | None,
    run: MigrationStep,
    choice: MessageColumn | None,
    side_table: str | None,
    batch: Batch,
    opening: OpenOptions,
) -> None:
    """Seal what the XOR cipher wrote, in place: files, folders, or with --database a column.

    Each new message is opened before it takes the old one's place. The old ones are kept, files
    as FILE.xor-old and values in a table of their own, until --commit or --rollback.
    """
    if run is MigrationStep.COMMIT:
        invocation.confirm("the old messages that were kept are removed")
    if choice is not None:
        columns.refuse_path(paths[0] if paths else None)
        _column(invocation, choice, run, key, side_table, batch, opening)
        return
    if not paths or side_table is not None:
        raise CommandError(ExitCode.USAGE, "nothing to migrate", "name files, or --database")
    for path in paths:
        if not os.access(path, os.R_OK):
            raise CommandError(
                ExitCode.INPUT, f"{path} cannot be read", "check the path and its mode"
            )
    files = [path.absolute() for path in paths]
    _files(invocation, files, run, key, batch, opening)


def _files(
    invocation: Invocation,
    paths: Sequence[Path],
    run: MigrationStep,
    key: str | None,
    batch: Batch,
    opening: OpenOptions,
) -> None:
    from mycelium_fractal_net.files import FileReport
    from mycelium_fractal_net.legacy import files
    from mycelium_fractal_net.legacy.kept import forget_kept, note_kept
    from mycelium_fractal_net.legacy.xor_format import xor_key

    settings = invocation.settings()
    kept = run in (MigrationStep.COMMIT, MigrationStep.ROLL_BACK)
    count = sum(_count(path, kept=kept) for path in paths)
    with (
        invocation.keyring() as keyring,
        reporting(batch.report) as failed,
        invocation.progress(run.value, count, items=True) as update,
    ):
        if run is MigrationStep.ROLL_BACK:
            xor_key(keyring)
        recording.record_migrating(keyring, _RECORDED.get(run, "migrate"), key, count=count)
        more: FileOptions = {
            "workers": batch.workers,
            "progress": update,
            "report": FileReport(on_failure=failed),
        }
        if run is MigrationStep.COMMIT:
            found = files.commit_xor(keyring, paths, **more)
        elif run is MigrationStep.ROLL_BACK:
            found = files.roll_back_xor(keyring, paths, opening, **more)
        else:
            for path in paths if run is MigrationStep.MIGRATE else ():
                note_kept(settings, str(path))
            found = files.migrate_xor(
                keyring,
                paths,
                opening,
                key_id=key,
                dry_run=run is MigrationStep.TRY,
                **more,
            )
    if kept and not found.failures:
        for path in paths:
            forget_kept(settings, str(path))
    _tell(invocation, run, found)


def _count(path: Path, *, kept: bool) -> int:
    """How many files a run has to do with: those that are kept, or all others."""
    from mycelium_fractal_net.legacy.old_file import OLD_SUFFIX

    if not path.is_dir():
        return 1
    return sum(name.endswith(OLD_SUFFIX) is kept for _, _, names in os.walk(path) for name in names)


def _column(
    invocation: Invocation,
    choice: MessageColumn,
    run: MigrationStep,
    key: str | None,
    side_table: str | None,
    batch: Batch,
    opening: OpenOptions,
) -> None:
    from mycelium_fractal_net.columns import shown_url
    from mycelium_fractal_net.legacy.kept import forget_kept, note_kept

    settings = invocation.settings()
    place = f"column {choice.name} of {shown_url(choice.url)}"
    if run is MigrationStep.MIGRATE:
        note_kept(settings, place)
    if run in (MigrationStep.MIGRATE, MigrationStep.TRY):
        dry_run = run is MigrationStep.TRY
        columns.migrate(invocation, choice, key, side_table, batch, opening, dry_run=dry_run)
        return
    verb: Any = _RECORDED[run]
    columns.finish(invocation, choice, verb, side_table, batch)
    forget_kept(settings, place)


def _tell(invocation: Invocation, run: MigrationStep, found: FileReport) -> None:
    for path in found.passed_over:
        invocation.say(f"passed over {path}: a link or a special file")
    changed = "; nothing was changed" if run is MigrationStep.TRY else ""
    said = f"{run} {counted(found.done, 'file')} ({byte_size(found.bytes)}){changed}"
    end(invocation, said, found, found.failures)
