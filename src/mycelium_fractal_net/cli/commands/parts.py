"""Parts of sealed files, by their position in the plaintext."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.cli import recording
from mycelium_fractal_net.cli.commands.addressed import (
    reader_of_part,
    refuse_addressed,
    refuse_onto,
)
from mycelium_fractal_net.cli.commands.one_file import input_size, opened_stem, tell
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.inputs import STANDARD
from mycelium_fractal_net.cli.outputs import destination, output_stream
from mycelium_fractal_net.security.byte_io.binary_io import head_of, write_fully
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mycelium_fractal_net.cli.invocation import Invocation
    from mycelium_fractal_net.cli.numbers import Span
    from mycelium_fractal_net.cli.options import Writing
    from mycelium_fractal_net.security.byte_io.binary_io import BinaryWriter
    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from mycelium_fractal_net.security.records.open_options import OpenOptions
    from mycelium_fractal_net.security.sealed.reader import SealedReader

_BLOCK_BYTES: Final = 1 << 18


def open_part(
    invocation: Invocation,
    path: str,
    identities: Sequence[str],
    opening: OpenOptions,
    span: Span,
    to: Writing,
) -> None:
    """``mfn decrypt --range``: write a part of a file to standard output, or where ``to`` says."""
    if to.recursive:
        raise CommandError(ExitCode.USAGE, "--range is for one file", "leave -r away for it")
    input_size(path)
    check_seekable(path)
    target = destination(path, to.output, opened_stem(path)) if to.output is not None else None
    refuse_onto(target, identities)
    with output_stream(target, force=to.force, like=path) as writer:
        if identities:
            with reader_of_part(invocation, path, identities, opening) as reader:
                count = copy_part(reader, span, writer)
        else:
            head = head_of(path)
            refuse_addressed(head, "decrypt")
            with invocation.keyring() as keyring:
                recording.record_opening(keyring, "decrypt", [head])
                count = write_part(keyring, path, opening, span, writer)
    tell(invocation, "opened a part of", path, target, count)


def check_seekable(path: str) -> None:
    """Raise :class:`CommandError` for what cannot be read by position, as a stream."""
    if path == STANDARD or not stat.S_ISREG(Path(path).stat().st_mode):
        raise CommandError(
            ExitCode.USAGE, "a stream has no positions", "name a file, or decrypt all of it with -"
        )


def write_part(
    keyring: Keyring, path: str, opening: OpenOptions, span: Span, writer: BinaryWriter
) -> int:
    """Write that part of a file's plaintext, as far as there is one; returns its bytes.

    Of a file that was cut nothing is written. Raises :class:`DecryptionError`.
    """
    with Path(path).open("rb", buffering=0) as file, keyring.open_reader(file, opening) as reader:
        return copy_part(reader, span, writer)


def copy_part(reader: SealedReader, span: Span, writer: BinaryWriter) -> int:
    """Write that part of a plaintext; returns its bytes."""
    start, end = span.within(reader.size)
    reader.seek(start)
    block = memoryview(bytearray(_BLOCK_BYTES))
    at = start
    while at < end:
        taken = reader.readinto(block[: end - at])
        write_fully(writer, block[:taken])
        at += taken
    return max(end - start, 0)
