"""Where the output of a command goes, and how it gets there: whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast

from mycelium_fractal_net.cli.exits import NO_ROOM, CommandError
from mycelium_fractal_net.cli.inputs import STANDARD, binary_stdout, refuse_terminal
from mycelium_fractal_net.security.errors import ExitCode

SEALED_SUFFIX: Final = ".mfn"
NAME_BYTES: Final = 255  # NAME_MAX of Linux
# What came in by standard input has no permission bits to take over: its owner alone may read it.
PRIVATE: Final = os.stat_result((0o600, *(0 for _ in range(9))))


def sealed_name(source: str) -> str:
    """``big.bin`` as ``big.bin.mfn``; standard input as standard output."""
    return STANDARD if source == STANDARD else source + SEALED_SUFFIX


def opened_name(source: str) -> str:
    """``big.bin.mfn`` as ``big.bin``. Raises :class:`CommandError` for other names."""
    name = Path(source).name
    if source == STANDARD:
        return STANDARD
    if not name.endswith(SEALED_SUFFIX) or name == SEALED_SUFFIX:
        raise CommandError(
            ExitCode.USAGE, f"{source} does not end in {SEALED_SUFFIX}", "name the output with -o"
        )
    return source.removesuffix(SEALED_SUFFIX)


def destination(source: str, output: str | None, natural: str | None = None) -> Path | None:
    """Where the output goes; None is standard output, also where it is named ``/dev/stdout``.

    ``natural`` is its name where ``output`` gives none, or names a folder to put it in.
    Raises :class:`CommandError` where it cannot be there.
    """
    name = natural if output is None else output
    if name is None or name == STANDARD:
        return None
    target = Path(name)
    check_length(target.name)
    if _is_standard_output(target):
        return None
    if target.is_dir():
        if source == STANDARD or natural is None:
            raise CommandError(ExitCode.USAGE, f"{name} is a folder", "name a file with -o")
        check_length(Path(natural).name)
        target /= Path(natural).name
    if not target.parent.is_dir():
        raise CommandError(
            ExitCode.WRITE,
            f"there is no folder {target.parent}",
            "make it, or choose another place with -o",
        )
    if target.exists() and not is_channel(target):
        from mycelium_fractal_net.files.new_file import leads_into_proc

        if not target.is_file() or leads_into_proc(target):
            raise CommandError(
                ExitCode.EXISTS, f"{name} is no file that can be replaced", "use -o - and a pipe"
            )
    if source != STANDARD and target.exists() and target.samefile(source):
        raise CommandError(
            ExitCode.USAGE, f"{source} is both input and output", "choose another name with -o"
        )
    return target


def fits(name: str) -> bool:
    """Whether a file can have that name."""
    return len(os.fsencode(name)) <= NAME_BYTES


def check_length(name: str, elsewhere: str = " with -o") -> None:
    """Raise :class:`CommandError` for a name that no file of Linux can have."""
    if not fits(name):
        raise CommandError(
            ExitCode.WRITE,
            f"the name {name[:40]}… would have more than {NAME_BYTES} bytes",
            f"name a shorter one{elsewhere}",
        )


def is_channel(target: Path | None) -> bool:
    """Whether the name leads to a pipe or a character device: what is written into as it comes."""
    with contextlib.suppress(OSError):
        mode = 0 if target is None else target.stat().st_mode
        return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)
    return False


def _is_standard_output(target: Path) -> bool:
    from mycelium_fractal_net.files.new_file import leads_into_proc

    with contextlib.suppress(OSError, ValueError, AttributeError):
        ours = os.fstat(sys.stdout.fileno())
        return os.path.samestat(ours, target.stat()) and leads_into_proc(target)
    return False


@contextlib.contextmanager
def naming(target: Path) -> Iterator[None]:
    """Let an error of the system that names no file, such as of a full disk, name ``target``."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(target)
        raise


@contextlib.contextmanager
def as_it_comes(name: str) -> Iterator[None]:
    """Let it be said of a stream that found no room that what is in it is a part."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        reason = (error.strerror or "").lower()
        raise CommandError(
            ExitCode.WRITE, f"{name}: {reason}", "make room; what was written there is a part"
        ) from None


@contextlib.contextmanager
def output_stream(target: Path | None, *, force: bool, like: str = STANDARD) -> Iterator[BinaryIO]:
    """A stream to ``target``, into it where it is a pipe or device; to standard output for None.

    A file gets its name when the block ends without an error, and the permission bits of the
    file ``like``. One that exists is kept unless ``force`` (:class:`FileExistsError`).
    """
    if target is None:
        with as_it_comes("standard output"):
            yield binary_stdout(force=force)
        return
    if is_channel(target):
        with as_it_comes(str(target)), naming(target), target.open("wb", buffering=0) as channel:
            refuse_terminal(channel, force=force)
            yield cast("BinaryIO", channel)
        return
    from mycelium_fractal_net.files.new_file import new_file

    status = PRIVATE if like == STANDARD else Path(like).stat()
    with naming(target), new_file(target, status, force=force) as writer:
        yield writer
