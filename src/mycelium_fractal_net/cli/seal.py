"""``mfn encrypt`` and ``mfn decrypt``; and ``mfn rewrap`` of one file or stream."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mycelium_fractal_net.cli import folders, recording
from mycelium_fractal_net.cli.options import (
    AllowCompromised,
    AssociatedDataFile,
    AssociatedDataText,
    DataKeyAssociatedData,
    Force,
    Output,
    Recursive,
    SealingKey,
    Workers,
    associated_data,
)
from mycelium_fractal_net.cli.places import (
    SEALED_SUFFIX,
    naming,
    opened_name,
    output_stream,
    place,
    sealed_name,
)
from mycelium_fractal_net.cli.session import session_of
from mycelium_fractal_net.cli.streams import STANDARD, begun, check_input, input_stream
from mycelium_fractal_net.cli.terminal import byte_size, progress_bar, say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from mycelium_fractal_net.cli.session import Session
    from mycelium_fractal_net.cli.terminal import Bar
    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from mycelium_fractal_net.security.records.open_options import OpenOptions

__all__ = ["bytes_of", "register", "rewrap_one"]

Sealed = Annotated[
    str, typer.Argument(metavar="PATH", help="A sealed file, a folder with -r, or -.")
]


def register(app: typer.Typer) -> None:
    """Add the two commands."""
    app.command("encrypt")(_encrypt)
    app.command("decrypt")(_decrypt)


def _encrypt(
    context: typer.Context,
    path: Annotated[str, typer.Argument(metavar="PATH", help="A file, a folder with -r, or -.")],
    key: SealingKey = None,
    output: Output = None,
    recursive: Recursive = False,
    text: AssociatedDataText = None,
    associated_data_file: AssociatedDataFile = None,
    force: Force = False,
    workers: Workers = None,
) -> None:
    """Seal a file (FILE -> FILE.mfn), a folder into another, or a stream."""
    session = session_of(context)
    bound = associated_data(text, associated_data_file)
    if recursive:
        folders.seal(session, path, output, key, bound, force=force, workers=workers)
        return
    size = _size(path)
    target = place(path, output, sealed_name(path))
    with session.keyring() as keyring, _bar(session, "sealing", size) as update:
        options: dict[str, Any] = {"key_id": key, "associated_data": bound, "progress": update}
        recording.record_sealing(keyring, key)
        if path == STANDARD or target is None:
            with _streams(path, target, force=force) as (reader, writer):
                count = keyring.encrypt_stream(reader, writer, **options)
        else:
            from mycelium_fractal_net.files import seal_file

            with naming(target):
                count = seal_file(keyring, Path(path), target, force=force, **options)
    _tell(session, "sealed", path, target, count)


def _decrypt(
    context: typer.Context,
    path: Sealed,
    output: Output = None,
    recursive: Recursive = False,
    text: AssociatedDataText = None,
    associated_data_file: AssociatedDataFile = None,
    data_key_associated_data: DataKeyAssociatedData = None,
    allow_compromised: AllowCompromised = False,
    force: Force = False,
    workers: Workers = None,
) -> None:
    """Open a sealed file (FILE.mfn -> FILE), a folder of them, or a stream.

    To standard output only authenticated chunks go, but a cut shows at the end alone: what
    came out is whole only if the exit code is 0.
    """
    from mycelium_fractal_net.security.records.open_options import OpenOptions

    session = session_of(context)
    bound = associated_data(text, associated_data_file)
    options = OpenOptions(bound, bytes_of(data_key_associated_data), allow_compromised)
    if recursive:
        folders.unseal(session, path, output, options, force=force, workers=workers)
        return
    size = _size(path)
    target = place(path, output, opened_name(path) if output is None else _stem(path))
    with session.keyring() as keyring, _bar(session, "opening", size) as update:
        if path == STANDARD or target is None:
            with _streams(path, target, force=force) as (source, writer):
                reader = _recorded(keyring, "decrypt", source)
                count = keyring.decrypt_stream(reader, writer, options, progress=update)
        else:
            from mycelium_fractal_net.files import open_file

            recording.record_opening(keyring, "decrypt", [recording.head_of(path)])
            with naming(target):
                count = open_file(
                    keyring, Path(path), target, options, force=force, progress=update
                )
    _tell(session, "opened", path, target, count)


def rewrap_one(
    session: Session, path: str, output: str | None, options: OpenOptions, *, force: bool
) -> None:
    """Move one file or stream to the newest version of its key, in place or elsewhere."""
    size = _size(path)
    elsewhere = path == STANDARD or output is not None
    target = place(path, output, path) if elsewhere else Path(path)
    with (
        session.keyring() as keyring,
        _bar(session, "rewrapping", size) as update,
    ):
        if elsewhere or target is None:
            with _streams(path, target, force=force) as (source, writer):
                reader = _recorded(keyring, "rewrap", source)
                count = keyring.rewrap_stream(reader, writer, options, progress=update)
            _tell(session, "rewrapped", path, target, count)
            return
        from mycelium_fractal_net.files import rewrap_file

        recording.record_opening(keyring, "rewrap", [recording.head_of(path)])
        with naming(target):
            moved = rewrap_file(keyring, target, options, progress=update)
    said = "was moved to" if moved else "was already under"
    say(f"{path} {said} the newest version of its key", quiet=session.quiet)


def bytes_of(text: str | None) -> bytes:
    """The bytes of an option; none by default."""
    return b"" if text is None else os.fsencode(text)


def _size(path: str) -> int:
    """The size of an input that must be a readable file; 0 where nobody knows it."""
    return 0 if path == STANDARD else check_input(Path(path))


def _bar(session: Session, label: str, size: int) -> Bar:
    return progress_bar(label, size, quiet=session.quiet)


def _stem(path: str) -> str:
    """What a sealed file is called in a folder that -o names."""
    return opened_name(path) if path.endswith(SEALED_SUFFIX) else path


@contextlib.contextmanager
def _streams(path: str, target: Path | None, *, force: bool) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    # The output stands outside: standard output that is a terminal is refused before all else.
    with (
        output_stream(target, force=force, like=path) as writer,
        input_stream(path, "", quiet=True) as reader,
    ):
        yield reader, writer


def _recorded(keyring: Keyring, event: str, reader: BinaryIO) -> BinaryIO:
    """What ``reader`` gives, once there is an audit record of the key version it begins with."""
    head, whole = begun(reader, recording.HEAD_BYTES)
    recording.record_opening(keyring, event, [head])
    return whole


def _tell(session: Session, done: str, path: str, target: Path | None, count: int) -> None:
    if target is not None:  # otherwise standard output is the message itself
        say(f"{done} {path} -> {target} ({byte_size(count)})", quiet=session.quiet)
