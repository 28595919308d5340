"""Options and arguments that several commands share, and what they stand for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from mycelium_fractal_net.cli.completion import key_names, version_names
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.inputs import check_input, read_small
from mycelium_fractal_net.cli.numbers import WHOLE, ByteRange, WholeNumber
from mycelium_fractal_net.cli.parsing import SomePath, note, record
from mycelium_fractal_net.security.errors import ExitCode
from mycelium_fractal_net.security.records.keys import DESTRUCTION_WINDOW_DAYS

if TYPE_CHECKING:
    from mycelium_fractal_net.security.records.open_options import OpenOptions

MAX_ASSOCIATED_BYTES: Final = 1 << 20  # it is held in memory; far above any row id or header
PATH: Final = SomePath()

key_name = click.argument(
    "name", metavar="KEY", help="A key, such as orders.", shell_complete=key_names
)
version_name = click.argument(
    "name",
    metavar="VERSION",
    help="A version, such as orders:v2; a bare key means its newest.",
    shell_complete=version_names,
)
shared_database = click.option(
    "--shared-database",
    is_flag=True,
    help="Make the store in a database that holds tables of others.",
)
_output = click.option("--output", "-o", metavar="PATH", help="Where to; - is standard output.")
_recursive = click.option("--recursive", "-r", is_flag=True, help="Take every file of a folder.")
force = click.option("--force", is_flag=True, help="Replace an output that exists.")
sealing_key = click.option(
    "--key",
    "-k",
    metavar="KEY",
    help="The key to seal with [default-encryption].",
    shell_complete=key_names,
)
recipients = click.option(
    "--to",
    "recipients",
    metavar="FILE",
    multiple=True,
    help="Seal to the public keys in that file, or to one given as text; again for more.",
)
identities = click.option(
    "--identity",
    "-i",
    "identities",
    metavar="FILE",
    multiple=True,
    help="Open what was sealed to a key whose private half is in that file; again for more.",
)
bind_name = click.option(
    "--bind-name",
    is_flag=True,
    help="Bind the name, with -r the path in the folder: renamed, it does not open.",
)
bound_name = click.option(
    "--bound-name",
    metavar="NAME",
    help="The name that it is bound to, where it is called otherwise now.",
)
only_bound = click.option(
    "--bind-name", is_flag=True, help="Refuse also what is not bound to its name."
)
allow_changing = click.option(
    "--allow-changing",
    is_flag=True,
    help="Seal what was read of a file, such as a log, that is written to meanwhile.",
)
byte_range = click.option(
    "--range",
    "span",
    metavar="START:END",
    type=ByteRange(),
    help="These bytes of the plaintext alone, such as 0:1MiB, 1GiB: or -4KiB:.",
)
workers = click.option(
    "--workers",
    metavar="N",
    type=WholeNumber(1, 256),
    help="Files or rows at once; by default one a CPU.",
)
window_days = click.option(
    "--window-days",
    metavar="DAYS",
    type=WHOLE,
    default=DESTRUCTION_WINDOW_DAYS,
    help="How long it can still be cancelled, 7 to 365.",
)
yes = click.option(
    "--yes",
    is_flag=True,
    expose_value=False,
    callback=note,
    help="Do it without asking; nobody is asked where there is no terminal.",
)
_allow_compromised = click.option(
    "--allow-compromised", is_flag=True, help="Open also what a compromised version sealed."
)
_text = click.option(
    "--associated-data",
    "-a",
    metavar="TEXT",
    help="Text that is bound to the message and not in it; opening needs it again.",
)
_file = click.option(
    "--associated-data-file",
    metavar="FILE",
    type=PATH,
    help="The same, from a file of at most 1 MiB.",
)
_of_data_key = click.option(
    "--data-key-associated-data",
    metavar="STR",
    help="Text that the data key of a message that brings its own is bound to.",
)


@dataclass(frozen=True, slots=True)
class Writing:
    """Where the output goes, whether that of a folder, and whether into the place of another."""

    output: str | None
    recursive: bool
    force: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """How much is worked on at once, and where that is written which could not be moved."""

    workers: int | None
    report: Path | None


def _bound(associated_data: str | None, associated_data_file: Path | None) -> bytes:
    if associated_data is not None and associated_data_file is not None:
        raise CommandError(
            ExitCode.USAGE,
            "associated data is given twice",
            "give either -a TEXT or --associated-data-file FILE",
        )
    if associated_data_file is not None:
        return read_small(associated_data_file, MAX_ASSOCIATED_BYTES, "associated data")
    return b"" if associated_data is None else os.fsencode(associated_data)


def _opening(
    associated_data: str | None,
    associated_data_file: Path | None,
    data_key_associated_data: str | None,
    allow_compromised: bool,
) -> OpenOptions:
    from mycelium_fractal_net.security.records.open_options import OpenOptions

    return OpenOptions(
        _bound(associated_data, associated_data_file),
        os.fsencode(data_key_associated_data or ""),
        allow_compromised,
    )


def _opening_old(allow_compromised: bool) -> OpenOptions:
    return _opening(None, None, None, allow_compromised)


def _folders(also: tuple[Path, ...]) -> tuple[Path, ...]:
    for folder in also:
        check_input(folder, folder=True)
    return also


# Parameter ``also``, folders.
also = record(
    "also",
    _folders,
    click.option(
        "--also",
        multiple=True,
        metavar="FOLDER",
        type=PATH,
        help="Where audit records were moved to; give it again for each.",
    ),
)
# Parameter ``associated_data``, bytes; parameter ``opening``, an OpenOptions.
associated_data = record("associated_data", _bound, _text, _file)
opening = record("opening", _opening, _text, _file, _of_data_key, _allow_compromised)
opening_old = record("opening", _opening_old, _allow_compromised)
# Parameter ``to``, a Writing.
writing = record("to", Writing, _output, _recursive, force)
# Parameter ``batch``, a Batch.
batch = record(
    "batch",
    Batch,
    workers,
    click.option(
        "--report",
        metavar="FILE",
        type=PATH,
        help="Write what could not be moved there, as JSON lines.",
    ),
)
