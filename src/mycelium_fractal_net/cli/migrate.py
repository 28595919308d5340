"""``mfn migrate-xor`` and ``mfn key import-xor``: the way out of the XOR cipher."""

from __future__ import annotations

import contextlib
import json
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from mycelium_fractal_net.cli import columns, recording
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.options import AllowCompromised, Report, SealingKey, Workers
from mycelium_fractal_net.cli.session import session_of
from mycelium_fractal_net.cli.terminal import byte_size, complain, counted, progress_bar, say
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mycelium_fractal_net.cli.columns import ColumnChoice
    from mycelium_fractal_net.cli.session import Session
    from mycelium_fractal_net.files import TreeReport
    from mycelium_fractal_net.security.records.open_options import OpenOptions

__all__ = ["register", "register_import"]


class Step(StrEnum):
    """What a run does."""

    TRY = "opened"
    MIGRATE = "migrated"
    COMMIT = "committed"
    ROLL_BACK = "rolled back"


_RECORDED: Final = {Step.COMMIT: "commit", Step.ROLL_BACK: "rollback"}


def register(app: typer.Typer) -> None:
    """Add ``mfn migrate-xor``."""
    app.command("migrate-xor")(_migrate)


def register_import(group: typer.Typer) -> None:
    """Add ``mfn key import-xor``."""
    group.command("import-xor")(_import)


def _import(
    context: typer.Context,
    path: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="The old master key: 32 bytes, or in hex or urlsafe base64."
        ),
    ],
) -> None:
    """Take over the XOR cipher's master key, as the key legacy-xor, which only opens."""
    from mycelium_fractal_net.legacy.key import import_xor_key, read_xor_key

    session = session_of(context)
    material = read_xor_key(path)
    with session.keyring() as keyring:
        key = import_xor_key(keyring.provider, material)
    say(f"imported key {key.key_id}: it opens what the XOR cipher wrote", quiet=session.quiet)


def _migrate(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH", help="Files with one old message each, and folders."),
    ] = None,
    key: SealingKey = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Open everything and change nothing.")
    ] = False,
    commit: Annotated[
        bool, typer.Option("--commit", help="Remove the kept old messages whose new ones open.")
    ] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Put the kept old messages in their places again.")
    ] = False,
    workers: Workers = None,
    database: columns.Database = None,
    database_file: columns.DatabaseFile = None,
    database_env: columns.DatabaseEnv = None,
    table: columns.Table = None,
    column: columns.Column = None,
    associated_data_column: columns.AssociatedDataColumn = None,
    side_table: columns.SideTable = None,
    report: Report = None,
    allow_compromised: AllowCompromised = False,
) -> None:
    """Seal what the XOR cipher wrote, in place: files, folders, or with --database a column.

    Each new message is opened before it takes the old one's place. The old ones are kept, files
    as FILE.xor-old and values in a table of their own, until --commit or --rollback.
    """
    from mycelium_fractal_net.security.records.open_options import OpenOptions

    session = session_of(context)
    step = _step(dry_run=dry_run, commit=commit, rollback=rollback)
    options = OpenOptions(allow_compromised=allow_compromised)
    choice = columns.chosen(
        database, database_file, database_env, table, column, options, associated_data_column
    )
    if choice is not None:
        columns.refuse_path(str(paths[0]) if paths else None, None)
        _column(session, choice, step, key, side_table, workers, report)
        return
    if not paths or side_table is not None:
        raise CommandError(ExitCode.USAGE, "nothing to migrate", "name files, or --database")
    for path in paths:
        if not os.access(path, os.R_OK):
            raise CommandError(
                ExitCode.INPUT, f"{path} cannot be read", "check the path and its mode"
            )
    files = [path.absolute() for path in paths]
    _files(session, files, options, step, key, workers, report)


def _step(*, dry_run: bool, commit: bool, rollback: bool) -> Step:
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


def _files(
    session: Session,
    paths: Sequence[Path],
    options: OpenOptions,
    step: Step,
    key: str | None,
    workers: int | None,
    report: Path | None,
) -> None:
    from mycelium_fractal_net.legacy import files
    from mycelium_fractal_net.legacy.kept import forget_kept, note_kept
    from mycelium_fractal_net.legacy.reader import xor_key

    settings = session.settings()
    kept = step in (Step.COMMIT, Step.ROLL_BACK)
    count = sum(_count(path, kept=kept) for path in paths)
    with (
        session.keyring() as keyring,
        progress_bar(step.value, count, quiet=session.quiet, items=True) as update,
    ):
        if step is Step.ROLL_BACK:
            xor_key(keyring)
        recording.record_migrating(keyring, _RECORDED.get(step, "migrate"), key, count=count)
        more: dict[str, Any] = {"workers": workers, "progress": update}
        if step is Step.COMMIT:
            found = files.commit_xor(keyring, paths, **more)
        elif step is Step.ROLL_BACK:
            found = files.roll_back_xor(keyring, paths, options=options, **more)
        else:
            for path in paths if step is Step.MIGRATE else ():
                note_kept(settings, str(path))
            found = files.migrate_xor(
                keyring, paths, key_id=key, options=options, dry_run=step is Step.TRY, **more
            )
    if kept and not found.failed:
        for path in paths:
            forget_kept(settings, str(path))
    _tell(session, step, found, report)


def _count(path: Path, *, kept: bool) -> int:
    """How many files a run has to do with: those that are kept, or all others."""
    from mycelium_fractal_net.legacy.old_file import OLD_SUFFIX

    if not path.is_dir():
        return 1
    return sum(name.endswith(OLD_SUFFIX) is kept for _, _, names in os.walk(path) for name in names)


def _column(
    session: Session,
    choice: ColumnChoice,
    step: Step,
    key: str | None,
    side_table: str | None,
    workers: int | None,
    report: Path | None,
) -> None:
    from mycelium_fractal_net.columns import shown_url
    from mycelium_fractal_net.legacy.kept import forget_kept, note_kept

    settings = session.settings()
    place = f"column {choice.name} of {shown_url(choice.url)}"
    common: dict[str, Any] = {"side_table": side_table, "workers": workers, "report": report}
    if step is Step.MIGRATE:
        note_kept(settings, place)
    if step in (Step.MIGRATE, Step.TRY):
        columns.migrate(session, choice, key, dry_run=step is Step.TRY, **common)
        return
    columns.finish(session, choice, "commit" if step is Step.COMMIT else "rollback", **common)
    forget_kept(settings, place)


@contextlib.contextmanager
def _failures(report: Path | None) -> Iterator[Callable[[Path, str], None]]:
    """Takes each file that had to stay: into the file ``report``, or onto standard error."""
    if report is None:
        yield lambda path, reason: complain(f"{path}: {reason}")
        return
    with report.open("w", encoding="utf-8") as file:

        def write(path: Path, reason: str) -> None:
            file.write(json.dumps({"path": str(path), "reason": reason}) + "\n")

        yield write


def _tell(session: Session, step: Step, found: TreeReport, report: Path | None) -> None:
    """Say what became of the files. Raises :class:`typer.Exit` with code 11 where some failed."""
    with _failures(report) as failed:
        for path, reason in found.failed:
            failed(path, reason)
    for path in found.passed_over:
        say(f"passed over {path}: a link or a special file", quiet=session.quiet)
    before = f", {found.skipped} sealed before" if found.skipped else ""
    changed = "; nothing was changed" if step is Step.TRY else ""
    size = byte_size(found.bytes)
    say(f"{step} {counted(found.done, 'file')} ({size}){before}{changed}", quiet=session.quiet)
    if found.failed:
        complain(f"{counted(len(found.failed), 'file')} failed; mend the cause and run it again")
        raise typer.Exit(ExitCode.PARTIAL)
