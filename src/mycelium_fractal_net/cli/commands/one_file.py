"""One file or stream that is sealed or opened: size, streams, name, and what is said of it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from mycelium_fractal_net.cli.inputs import STANDARD, check_input, input_stream
from mycelium_fractal_net.cli.outputs import SEALED_SUFFIX, opened_name, output_stream
from mycelium_fractal_net.cli.terminal import byte_size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from mycelium_fractal_net.cli.invocation import Invocation
    from mycelium_fractal_net.security.records.open_options import OpenOptions


def opened_as(
    opening: OpenOptions, path: str, bound_name: str | None, bind_name: bool
) -> OpenOptions:
    """How ``path`` is opened: as what it is called, or was; a stream is called nothing."""
    from msgspec.structs import replace

    from mycelium_fractal_net.files.naming import named_options
    from mycelium_fractal_net.security.records.file_names import FileName

    if bound_name is not None or path == STANDARD:
        return replace(opening, name=FileName(bound_name or "", required=bind_name))
    return named_options(opening, Path(path), required=bind_name)


def input_size(path: str, instead: str = "add -r to take all files in it") -> int:
    """The size of an input that must be a readable file; 0 where nobody knows it.

    ``instead`` is what to do with a folder.
    """
    return 0 if path == STANDARD else check_input(Path(path), instead=instead)


def opened_stem(path: str) -> str:
    """What a sealed file is called in a folder that -o names."""
    return opened_name(path) if path.endswith(SEALED_SUFFIX) else path


@contextlib.contextmanager
def both_streams(
    path: str, target: Path | None, *, force: bool
) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Input and output as streams, where one of them is no file."""
    # The output stands outside: standard output that is a terminal is refused before all else.
    with (
        output_stream(target, force=force, like=path) as writer,
        input_stream(path, "", quiet=True) as reader,
    ):
        yield reader, writer


def unchanging(
    path: str, reader: BinaryIO, allow_changing: bool
) -> contextlib.AbstractContextManager[object]:
    """Within it a file that is read must stay what it is, unless ``allow_changing``."""
    if path == STANDARD:
        return contextlib.nullcontext()
    from mycelium_fractal_net.files.single import unchanging as settled

    return settled(reader, Path(path), allow_changing=allow_changing)


def tell(invocation: Invocation, done: str, path: str, target: Path | None, count: int) -> None:
    """Say what was done, unless standard output is the message itself."""
    if target is not None:
        shape = {"input": path, "output": str(target), "bytes": count}
        invocation.answer(shape, f"{done} {path} -> {target} ({byte_size(count)})")
