"""``mfn cat``."""

from __future__ import annotations

import codecs
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mycelium_fractal_net.cli import options, recording
from mycelium_fractal_net.cli.commands.addressed import refuse_addressed
from mycelium_fractal_net.cli.commands.one_file import opened_as
from mycelium_fractal_net.cli.commands.parts import check_seekable, write_part
from mycelium_fractal_net.cli.inputs import binary_stdout, check_input
from mycelium_fractal_net.cli.numbers import ALL
from mycelium_fractal_net.cli.outputs import as_it_comes
from mycelium_fractal_net.cli.parsing import command
from mycelium_fractal_net.security.byte_io.binary_io import head_of
from mycelium_fractal_net.security.byte_io.printable import printable

if TYPE_CHECKING:
    from mycelium_fractal_net.cli.invocation import Invocation
    from mycelium_fractal_net.cli.numbers import Span
    from mycelium_fractal_net.security.byte_io.binary_io import BinaryWriter
    from mycelium_fractal_net.security.records.open_options import OpenOptions


@command("cat")
@click.argument("paths", metavar="FILE...", nargs=-1, required=True, help="Sealed files.")
@options.opening
@options.only_bound
@options.byte_range
def cat(
    invocation: Invocation,
    paths: tuple[str, ...],
    opening: OpenOptions,
    bind_name: bool,
    span: Span | None,
) -> None:
    """Print what is in sealed files, one after the other.

    Of a file that was cut nothing is printed. A terminal gets text, in which what could move
    its cursor is escaped.
    """
    for path in paths:
        check_input(Path(path))
        check_seekable(path)
        refuse_addressed(head_of(path), "decrypt")
    terminal = sys.stdout is not None and sys.stdout.isatty()
    writer: BinaryWriter = _Terminal() if terminal else binary_stdout(force=False)
    with invocation.keyring() as keyring:
        recording.record_opening(keyring, "decrypt", [head_of(path) for path in paths])
        with as_it_comes("standard output"):
            for path in paths:
                write_part(
                    keyring, path, opened_as(opening, path, None, bind_name), span or ALL, writer
                )


class _Terminal:
    """Takes bytes and prints them as text; what is no text is escaped."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def write(self, data: memoryview, /) -> int:
        text = self._decoder.decode(bytes(data))
        for line in text.splitlines(keepends=True):
            words = line.rstrip("\n")
            sys.stdout.write("\t".join(map(printable, words.split("\t"))) + line[len(words) :])
        return len(data)
