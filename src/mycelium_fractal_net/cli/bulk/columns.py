"""``--database``: a column of a database in the place of files."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Final

import click

from mycelium_fractal_net.cli import recording
from mycelium_fractal_net.cli.bulk.failures import end, taking
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.inputs import read_small
from mycelium_fractal_net.cli.options import PATH
from mycelium_fractal_net.cli.parsing import record
from mycelium_fractal_net.cli.terminal import counted
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Literal

    from mycelium_fractal_net.cli.bulk.attestation import Attestation
    from mycelium_fractal_net.cli.bulk.takeovers import Takeover
    from mycelium_fractal_net.cli.invocation import Invocation
    from mycelium_fractal_net.cli.options import Batch
    from mycelium_fractal_net.columns import ColumnReport, Failure, MessageColumn
    from mycelium_fractal_net.security.records.open_options import OpenOptions

_MOST_URL_BYTES: Final = 8192


def _choice(
    database: str | None,
    database_file: Path | None,
    database_env: str | None,
    table: str | None,
    column: str | None,
    associated_data_column: str | None,
) -> MessageColumn | None:
    given = [each for each in (database, database_file, database_env) if each is not None]
    if not given:
        if table or column or associated_data_column:
            raise CommandError(
                ExitCode.USAGE, "a table or column is named and no database", "add --database"
            )
        return None
    if len(given) > 1:
        raise CommandError(ExitCode.USAGE, "the database is named twice", "leave one away")
    if not table or not column:
        raise CommandError(
            ExitCode.USAGE, "--database takes a table and a column", "add --table and --column"
        )
    url = database or _url(database_file, database_env)
    from mycelium_fractal_net.columns import MessageColumn

    return MessageColumn(url, table, column, associated_data_column)


def _url(file: Path | None, name: str | None) -> str:
    if file is not None:
        lines = read_small(file, _MOST_URL_BYTES, "a URL").decode(errors="replace").splitlines()
        url = lines[0].strip() if lines else ""
        source = str(file)
    else:
        from mycelium_fractal_net.config import user_variable

        url, source = user_variable(name or "") or "", f"the variable {name}"
    if not url:
        raise CommandError(ExitCode.USAGE, f"{source} holds no URL", "put it there in one line")
    return url


# Parameter ``choice``, a MessageColumn, or None where files are meant.
column_choice = record(
    "choice",
    _choice,
    click.option(
        "--database",
        metavar="URL",
        help="Take a column of this database instead of files: sqlite:///FILE,"
        " postgresql://USER@HOST/NAME or mariadb://USER@HOST/NAME.",
    ),
    click.option(
        "--database-file",
        metavar="FILE",
        type=PATH,
        help="The same URL from a file, where no other user sees it.",
    ),
    click.option(
        "--database-env",
        metavar="NAME",
        help="The same URL from the environment variable NAME.",
    ),
    click.option(
        "--table",
        metavar="TABLE",
        help="The table, or SCHEMA.TABLE; it needs a primary key.",
    ),
    click.option("--column", metavar="COLUMN", help="The column with the messages."),
    click.option(
        "--associated-data-column",
        metavar="COL",
        help="The column whose bytes or text each row's message is bound to.",
    ),
)


def refuse_path(path: object, output: str | None = None) -> None:
    """Raise :class:`CommandError` where files are named beside a database."""
    if path is not None or output is not None:
        raise CommandError(ExitCode.USAGE, "files and a database are named", "take one at a time")


def rewrap(
    invocation: Invocation,
    choice: MessageColumn,
    opening: OpenOptions,
    batch: Batch,
    attestation: Attestation | None,
) -> None:
    """Move the messages of a column to the newest version of their keys."""
    from mycelium_fractal_net.columns import beginnings, rewrap_column

    bound = (opening.associated_data, choice.associated_data_column, choice.field)
    if sum(map(bool, bound)) > 1:
        raise CommandError(
            ExitCode.USAGE,
            "associated data is given twice",
            "give -a TEXT for all rows, or --associated-data-column COLUMN, or --field",
        )
    with invocation.keyring() as keyring:
        if attestation is not None:
            attestation.begin(keyring)
        heads = beginnings(choice)
        recording.record_counted(keyring, "rewrap", heads.items())
        run = functools.partial(rewrap_column, keyring, choice, opening)
        found = _run(invocation, "rewrapping", heads.total(), batch, run)
        if attestation is not None:
            attestation.end(invocation, keyring, found.failed)
    if choice.field is not None and not found.failed:
        from mycelium_fractal_net.doctor.takeovers import forget_takeover

        forget_takeover(invocation.settings(), _place(choice))
    _tell(invocation, "rewrapped", found, choice.name)


def take_over(
    invocation: Invocation, choice: MessageColumn, takeover: Takeover, batch: Batch
) -> None:
    """Seal what a column holds in another form; see :func:`take_over_column`."""
    if takeover.old_column is not None:
        _fill(invocation, choice, takeover, takeover.old_column, batch)
        return
    from mycelium_fractal_net.columns import count_values, take_over_column
    from mycelium_fractal_net.doctor.takeovers import note_takeover

    key, dry_run = takeover.key, takeover.dry_run
    with invocation.keyring() as keyring:
        count = count_values(choice)
        recording.record_taking_over(keyring, key, count=count, dry_run=dry_run)
        run = functools.partial(
            take_over_column, keyring, choice, key, takeover.source, dry_run=dry_run
        )
        found = _run(invocation, "reading" if dry_run else "sealing", count, batch, run)
        if not dry_run:
            now = keyring.provider.clock()
            place = _place(choice)
            note_takeover(
                invocation.settings(), place, at=now, sealed=found.done, failed=found.failed
            )
    _tell(invocation, "would seal" if dry_run else "sealed", found, choice.name)


def _place(choice: MessageColumn) -> str:
    """A column and its database, for a note that holds no secret."""
    from mycelium_fractal_net.columns import shown_url

    return f"column {choice.name} of {shown_url(choice.url)}"


def _fill(
    invocation: Invocation,
    choice: MessageColumn,
    takeover: Takeover,
    old_column: str,
    batch: Batch,
) -> None:
    """Seal what another column of its rows holds; see :func:`fill_column`."""
    from mycelium_fractal_net.columns import count_pairs, fill_column
    from mycelium_fractal_net.integrations.spelling import SPELLINGS

    key, dry_run = takeover.key, takeover.dry_run
    with invocation.keyring() as keyring:
        count = count_pairs(choice, old_column)
        recording.record_taking_over(keyring, key, count=count, dry_run=dry_run)
        run = functools.partial(
            fill_column, keyring, choice, key, old_column, takeover.source,
            spell=SPELLINGS[takeover.kind], dry_run=dry_run,
        )  # fmt: skip
        found = _run(invocation, "reading" if dry_run else "filling", count, batch, run)
    _tell(invocation, "would fill" if dry_run else "filled", found, choice.name)


def migrate(
    invocation: Invocation,
    choice: MessageColumn,
    key: str | None,
    side_table: str | None,
    batch: Batch,
    opening: OpenOptions,
    *,
    dry_run: bool,
) -> None:
    """Seal under ``key`` what the XOR cipher wrote into a column; see :func:`migrate_column`."""
    from mycelium_fractal_net.columns import count_values
    from mycelium_fractal_net.legacy.columns import migrate_column

    with invocation.keyring() as keyring:
        count = count_values(choice)
        recording.record_migrating(keyring, "migrate", key, count=count)
        run = functools.partial(
            migrate_column, keyring, choice, key, opening, side_table=side_table, dry_run=dry_run
        )
        found = _run(invocation, "opening" if dry_run else "migrating", count, batch, run)
    _tell(invocation, "would migrate" if dry_run else "migrated", found, choice.name)


def finish(
    invocation: Invocation,
    choice: MessageColumn,
    step: Literal["commit", "rollback"],
    side_table: str | None,
    batch: Batch,
) -> None:
    """Remove the old values that a migration kept, or put them back."""
    from mycelium_fractal_net.columns import count_values
    from mycelium_fractal_net.legacy.columns import commit_column, roll_back_column

    with invocation.keyring() as keyring:
        count = count_values(choice)
        recording.record_migrating(keyring, step, None, count=count)
        finish_column = commit_column if step == "commit" else roll_back_column
        run = functools.partial(finish_column, keyring, choice, side_table=side_table)
        found = _run(invocation, step, count, batch, run)
    done = "removed the old" if step == "commit" else "put back the old"
    _tell(invocation, done, found, choice.name)


def _run(
    invocation: Invocation, label: str, count: int, batch: Batch, run: Callable[..., ColumnReport]
) -> ColumnReport:
    with (
        reporting(batch.report) as failed,
        invocation.progress(label, count, items=True) as update,
    ):
        return run(workers=batch.workers, progress=update, report=failed)


@contextlib.contextmanager
def reporting(path: Path | None) -> Iterator[Callable[[Failure], None]]:
    """Takes each value that had to stay: into the file ``path``, or onto standard error."""
    from mycelium_fractal_net.columns import json_line

    with taking(path) as take:

        def failed(failure: Failure) -> None:
            key = ", ".join(f"{name}={value}" for name, value in failure.key.items())
            take(json_line(failure), f"{key}: {failure.reason}")

        yield failed


def _tell(invocation: Invocation, done: str, found: ColumnReport, where: str) -> None:
    said = f"{done} {counted(found.done, 'value')} of {where}"
    if found.empty:
        said += f", {found.empty} empty"
    end(invocation, said, found, found.failed, "value")
