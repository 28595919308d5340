"""``--database``: a column of a database in the place of files."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from mycelium_fractal_net.cli import recording
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.failures import taking
from mycelium_fractal_net.cli.streams import read_small
from mycelium_fractal_net.cli.terminal import complain, counted, progress_bar, say
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mycelium_fractal_net.cli.finishing import Finishing
    from mycelium_fractal_net.cli.session import Session
    from mycelium_fractal_net.columns import ColumnReport, Failure
    from mycelium_fractal_net.security.records.open_options import OpenOptions

__all__ = [
    "AssociatedDataColumn",
    "Column",
    "ColumnChoice",
    "Database",
    "DatabaseEnv",
    "DatabaseFile",
    "SideTable",
    "Table",
    "chosen",
    "finish",
    "migrate",
    "refuse_path",
    "reporting",
    "rewrap",
    "tell",
]

_MOST_URL_BYTES: Final = 8192

Database = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Take a column of this database instead of files: sqlite:///FILE or"
        " postgresql://USER@HOST/NAME.",
    ),
]
DatabaseFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The same URL from a file, where no other user sees it."),
]
DatabaseEnv = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The same URL from the environment variable NAME."),
]
Table = Annotated[
    str | None,
    typer.Option(metavar="TABLE", help="The table, or SCHEMA.TABLE; it needs a primary key."),
]
Column = Annotated[str | None, typer.Option(metavar="COLUMN", help="The column with the messages.")]
SideTable = Annotated[
    str | None,
    typer.Option(
        metavar="TABLE", help="Where the old values are kept [TABLE_COLUMN_xor, same schema]."
    ),
]
AssociatedDataColumn = Annotated[
    str | None,
    typer.Option(
        metavar="COL", help="The column whose bytes or text each row's message is bound to."
    ),
]


@dataclass(frozen=True, slots=True)
class ColumnChoice:
    """The column that the options name, and what its messages are bound to."""

    url: str
    table: str
    column: str
    options: OpenOptions
    associated_data_column: str | None

    def __repr__(self) -> str:  # a URL holds a password
        return f"ColumnChoice({self.table!r}, {self.column!r})"

    @property
    def name(self) -> str:
        """Such as ``customers.iban``."""
        return f"{self.table}.{self.column}"

    @property
    def bound(self) -> dict[str, Any]:
        """How its messages are opened, as the functions of :mod:`.columns` take it."""
        return {
            "options": self.options,
            "associated_data_column": self.associated_data_column,
        }


def chosen(
    database: str | None,
    database_file: Path | None,
    database_env: str | None,
    table: str | None,
    column: str | None,
    options: OpenOptions,
    associated_data_column: str | None,
) -> ColumnChoice | None:
    """What the options name; None where they name no database. Raises :class:`CommandError`."""
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
    if options.associated_data and associated_data_column:
        raise CommandError(
            ExitCode.USAGE,
            "associated data is given twice",
            "give -a TEXT for all rows, or --associated-data-column COLUMN",
        )
    url = database or _url(database_file, database_env)
    return ColumnChoice(url, table, column, options, associated_data_column)


def refuse_path(path: str | None, output: str | None) -> None:
    """Raise :class:`CommandError` where files are named beside a database."""
    if path is not None or output is not None:
        raise CommandError(ExitCode.USAGE, "files and a database are named", "take one at a time")


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


def rewrap(
    session: Session,
    choice: ColumnChoice,
    *,
    workers: int | None,
    report: Path | None,
    finish: Finishing | None = None,
) -> ColumnReport:
    """Move the messages of a column to the newest version of their keys."""
    from mycelium_fractal_net.columns import beginnings, rewrap_column

    with session.keyring() as keyring, reporting(report) as failed:
        if finish is not None:
            finish.begin(keyring)
        heads = beginnings(choice.url, choice.table, choice.column)
        recording.record_counted(keyring, "rewrap", heads.items())
        with progress_bar("rewrapping", heads.total(), quiet=session.quiet, items=True) as update:
            found = rewrap_column(
                keyring,
                choice.url,
                choice.table,
                choice.column,
                **choice.bound,
                workers=workers,
                progress=update,
                report=failed,
            )
        if finish is not None:
            finish.end(session, keyring, found.failed)
    tell(session, "rewrapped", found, choice.name)
    return found


def migrate(
    session: Session,
    choice: ColumnChoice,
    key: str | None,
    *,
    side_table: str | None,
    dry_run: bool,
    workers: int | None,
    report: Path | None,
) -> ColumnReport:
    """Seal under ``key`` what the XOR cipher wrote into a column; see :func:`migrate_column`."""
    from mycelium_fractal_net.columns import count_values
    from mycelium_fractal_net.legacy.columns import migrate_column

    with session.keyring() as keyring, reporting(report) as failed:
        count = count_values(choice.url, choice.table, choice.column)
        recording.record_migrating(keyring, "migrate", key, count=count)
        label = "opening" if dry_run else "migrating"
        with progress_bar(label, count, quiet=session.quiet, items=True) as update:
            found = migrate_column(
                keyring,
                choice.url,
                choice.table,
                choice.column,
                key,
                side_table=side_table,
                **choice.bound,
                dry_run=dry_run,
                workers=workers,
                progress=update,
                report=failed,
            )
    tell(session, "would migrate" if dry_run else "migrated", found, choice.name)
    return found


def finish(
    session: Session,
    choice: ColumnChoice,
    step: Literal["commit", "rollback"],
    *,
    side_table: str | None,
    workers: int | None,
    report: Path | None,
) -> ColumnReport:
    """Remove the old values that a migration kept, or put them back."""
    from mycelium_fractal_net.columns import count_values
    from mycelium_fractal_net.legacy.columns import commit_column, roll_back_column

    with session.keyring() as keyring, reporting(report) as failed:
        count = count_values(choice.url, choice.table, choice.column)
        recording.record_migrating(keyring, step, None, count=count)
        url, table, column = choice.url, choice.table, choice.column
        with progress_bar(step, count, quiet=session.quiet, items=True) as update:
            options: dict[str, Any] = {
                "side_table": side_table,
                "workers": workers,
                "progress": update,
                "report": failed,
            }
            if step == "commit":
                options |= choice.bound
                found = commit_column(keyring, url, table, column, **options)
            else:
                found = roll_back_column(keyring, url, table, column, **options)
    done = "removed the old" if step == "commit" else "put back the old"
    tell(session, done, found, choice.name)
    return found


@contextlib.contextmanager
def reporting(path: Path | None) -> Iterator[Callable[[Failure], None]]:
    """Takes each value that had to stay: into the file ``path``, or onto standard error."""
    from mycelium_fractal_net.columns import json_line

    with taking(path) as take:

        def failed(failure: Failure) -> None:
            key = ", ".join(f"{name}={value}" for name, value in failure.key.items())
            take(json_line(failure), f"{key}: {failure.reason}")

        yield failed


def tell(session: Session, done: str, found: ColumnReport, where: str) -> None:
    """Say what became of the column. Raises :class:`typer.Exit` with code 11 where some failed."""
    before = f", {found.skipped} done before" if found.skipped else ""
    say(f"{done} {counted(found.done, 'value')} of {where}{before}", quiet=session.quiet)
    if found.failed:
        failed = counted(found.failed, "value")
        complain(f"{failed} failed; mend the cause and run the same again")
        raise typer.Exit(ExitCode.PARTIAL)
