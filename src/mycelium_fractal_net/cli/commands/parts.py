"""Parts of sealed files, by their position in the plaintext."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.inputs import STANDARD
from mycelium_fractal_net.security.byte_io.binary_io import write_fully
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.cli.numbers import Span
    from mycelium_fractal_net.security.byte_io.binary_io import BinaryWriter
    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from mycelium_fractal_net.security.records.open_options import OpenOptions

_BLOCK_BYTES: Final = 1 << 18


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
    count = 0
    for block in _blocks(keyring, path, opening, span):
        write_fully(writer, block)
        count += len(block)
    return count


def _blocks(keyring: Keyring, path: str, opening: OpenOptions, span: Span) -> Iterator[memoryview]:
    with Path(path).open("rb", buffering=0) as file, keyring.open_reader(file, opening) as reader:
        start, end = span.within(reader.size)
        reader.seek(start)
        block = memoryview(bytearray(_BLOCK_BYTES))
        while start < end:
            taken = reader.readinto(block[: end - start])
            yield block[:taken]
            start += taken
