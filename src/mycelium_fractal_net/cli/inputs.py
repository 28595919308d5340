"""Inputs and outputs as the command line names them: a path, or ``-``."""

from __future__ import annotations

import contextlib
import io
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, cast

from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.terminal import progress_bar
from mycelium_fractal_net.security.errors import ExitCode, MfnError

STANDARD: Final = "-"
_PUBLIC_KEY_BYTES: Final = 65_536  # an ML-DSA-65 key as PEM has under 3 KiB


def binary_stdin() -> BinaryIO:
    """Standard input. Raises :class:`CommandError` where it was closed."""
    if sys.stdin is None:
        raise CommandError(ExitCode.INPUT, "standard input is closed", "name a file")
    return sys.stdin.buffer


def binary_stdout(*, force: bool) -> BinaryIO:
    """Standard output, for bytes. Raises :class:`CommandError` where it is a terminal.

    With ``force`` a terminal gets the bytes too.
    """
    if sys.stdout is None:
        raise CommandError(ExitCode.WRITE, "standard output is closed", "name a file with -o")
    refuse_terminal(sys.stdout, force=force)
    return sys.stdout.buffer


def refuse_terminal(stream: IO[Any], *, force: bool) -> None:
    """Raise :class:`CommandError` where bytes would go to a terminal, unless ``force`` is given."""
    if stream.isatty() and not force:
        raise CommandError(
            ExitCode.USAGE,
            "the output is a terminal, and is not text",
            "name a file with -o, or send it on with > or |",
        )


def check_input(
    path: Path, *, folder: bool = False, instead: str = "name a file that is in it"
) -> int:
    """Check that ``path`` is a file, or with ``folder`` a folder, that can be read.

    Returns its size in bytes; ``instead`` is what to do with a folder that should be a file.
    Raises :class:`CommandError`. Done first, so that whatever the system reports later is about
    the output.
    """
    try:
        status = path.stat()
        if folder != stat.S_ISDIR(status.st_mode):
            what, advice = (
                (f"{path} is no folder", "leave -r away")
                if folder
                else (f"{path} is a folder", instead)
            )
            raise CommandError(ExitCode.USAGE, what, advice)
        if stat.S_ISSOCK(status.st_mode):
            raise CommandError(ExitCode.INPUT, f"{path} is a socket", "name a file, or -")
        if folder:
            next(path.iterdir(), None)
        elif stat.S_ISREG(status.st_mode):  # opening a pipe would wait for its writer
            path.open("rb").close()
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise CommandError(
            ExitCode.INPUT, f"{path} cannot be read: {reason}", "check the path and its mode"
        ) from None
    return status.st_size


@contextlib.contextmanager
def input_stream(name: str, label: str, *, quiet: bool) -> Iterator[BinaryIO]:
    """The file ``name``, or standard input for ``-``, with a progress bar as it is read."""
    if name == STANDARD:
        yield binary_stdin()
        return
    path = Path(name)
    size = check_input(path)
    with path.open("rb", buffering=0) as file, progress_bar(label, size, quiet=quiet) as update:
        yield file if update is None else cast("BinaryIO", _Watched(file, update))


class _Watched(io.RawIOBase):
    """A file that tells how much of it was read."""

    def __init__(self, file: io.FileIO, update: Callable[[int], None]) -> None:
        self._file = file
        self._update = update

    def readinto(self, buffer: Any, /) -> int:
        count = self._file.readinto(buffer)
        self._update(count)
        return count


def begun(reader: BinaryIO, size: int) -> tuple[bytes, BinaryIO]:
    """The first ``size`` bytes, fewer where there are no more; and a stream that has them still."""
    head = b""
    while len(head) < size and (block := reader.read(size - len(head))):
        head += block
    return head, cast("BinaryIO", _Begun(head, reader))


class _Begun(io.RawIOBase):
    """A stream whose first bytes were read before."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def fileno(self) -> int:
        return self._rest.fileno()

    def readinto(self, buffer: Any, /) -> int:
        if not self._head:
            return self._rest.readinto(buffer)  # type: ignore[attr-defined, no-any-return]
        count = min(len(buffer), len(self._head))
        buffer[:count] = self._head[:count]
        self._head = self._head[count:]
        return count


def read_small(name: str | Path, most: int, what: str, code: ExitCode = ExitCode.USAGE) -> bytes:
    """All of a file, or of standard input, that must be small.

    Raises :class:`CommandError`, past ``most`` bytes with ``code``.
    """
    with input_stream(str(name), "", quiet=True) as stream:
        content = begun(stream, most + 1)[0]
    if len(content) > most:
        shown = "standard input" if name == STANDARD else name
        raise CommandError(code, f"{shown} is too large for {what}", "check the path")
    return content


def read_public_key(name: str) -> bytes:
    """A public key in PEM, DER or JWK: the file ``name``, or standard input for ``-``.

    Raises :class:`CommandError`. Whether it is a public key is the policy's to say.
    """
    return read_small(name, _PUBLIC_KEY_BYTES, "a public key")


def require_private(name: str) -> None:
    """Raise :class:`CommandError` for a file of secrets that others may read; ``-`` is none."""
    if name == STANDARD:
        return
    path = Path(name)
    check_input(path)
    from mycelium_fractal_net.security.byte_io.delivered import delivered
    from mycelium_fractal_net.security.byte_io.private import check_private

    # <(a password manager): a pipe of this user's own shell.
    if stat.S_ISFIFO(path.stat().st_mode) or delivered(path) is not None:
        return
    try:
        check_private(path)
    except MfnError as error:
        raise CommandError(ExitCode.INPUT, str(error)) from None
