"""Options that several commands share, and what they stand for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from mycelium_fractal_net.cli.completion import key_names
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.streams import read_small
from mycelium_fractal_net.security.errors import ExitCode

__all__ = [
    "AllowCompromised",
    "AsJson",
    "AssociatedDataFile",
    "AssociatedDataText",
    "DataKeyAssociatedData",
    "Force",
    "Output",
    "Recursive",
    "Report",
    "SealingKey",
    "Workers",
    "associated_data",
]

MAX_ASSOCIATED_BYTES: Final = 1 << 20  # it is held in memory; far above any row id or header

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON; docs/cli.md lists its shape.")]
Output = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="PATH", help="Where to; - is standard output."),
]
Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="Take every file of a folder.")]
AssociatedDataText = Annotated[
    str | None,
    typer.Option(
        "--associated-data",
        "-a",
        metavar="TEXT",
        help="Text that is bound to the message and not in it; opening needs it again.",
    ),
]
AssociatedDataFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The same, from a file of at most 1 MiB."),
]
DataKeyAssociatedData = Annotated[
    str | None,
    typer.Option(
        metavar="STR", help="Text that the data key of a message that brings its own is bound to."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace an output that exists.")]
SealingKey = Annotated[
    str | None,
    typer.Option(
        "--key",
        "-k",
        metavar="KEY",
        help="The key to seal with [default-encryption].",
        autocompletion=key_names,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        max=256,
        help="Files or rows at once; by default one a CPU.",
    ),
]
Report = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write what could not be moved there, as JSON lines."),
]
AllowCompromised = Annotated[
    bool,
    typer.Option("--allow-compromised", help="Open also what a compromised version sealed."),
]


def associated_data(text: str | None, file: Path | None) -> bytes:
    """The associated data that the two options name; none by default. Raises `CommandError`."""
    if text is not None and file is not None:
        raise CommandError(
            ExitCode.USAGE,
            "associated data is given twice",
            "give either -a TEXT or --associated-data-file FILE",
        )
    if file is not None:
        return read_small(file, MAX_ASSOCIATED_BYTES, "associated data")
    return b"" if text is None else os.fsencode(text)
