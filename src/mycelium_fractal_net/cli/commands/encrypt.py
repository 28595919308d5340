"""``mfn encrypt`` and ``mfn decrypt``; and ``mfn rewrap`` of one file or stream."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mycelium_fractal_net.cli import options, recording
from mycelium_fractal_net.cli.bulk import folders
from mycelium_fractal_net.cli.commands.parts import check_seekable, write_part
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.inputs import STANDARD, begun, check_input, input_stream
from mycelium_fractal_net.cli.outputs import (
    SEALED_SUFFIX,
    destination,
    is_channel,
    naming,
    opened_name,
    output_stream,
    sealed_name,
)
from mycelium_fractal_net.cli.parsing import command
from mycelium_fractal_net.cli.terminal import byte_size
from mycelium_fractal_net.security.byte_io.binary_io import HEAD_BYTES, head_of
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from mycelium_fractal_net.cli.invocation import Invocation
    from mycelium_fractal_net.cli.numbers import Span
    from mycelium_fractal_net.cli.options import Writing
    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from mycelium_fractal_net.security.records.open_options import OpenOptions


@command("encrypt")
@click.argument("path", metavar="PATH", help="A file, a folder with -r, or -.")
@options.sealing_key
@options.associated_data
@options.bind_name
@options.allow_changing
@options.writing
@options.workers
def encrypt(
    invocation: Invocation,
    path: str,
    key: str | None,
    associated_data: bytes,
    bind_name: bool,
    allow_changing: bool,
    to: Writing,
    workers: int | None,
) -> None:
    """Seal a file (FILE -> FILE.mfn), a folder into another, or a stream."""
    if to.recursive:
        more: dict[str, Any] = {"bind_name": bind_name, "allow_changing": allow_changing}
        folders.seal(invocation, path, key, associated_data, to, workers=workers, **more)
        return
    size = _size(path)
    target = destination(path, to.output, sealed_name(path))
    if bind_name and (target is None or is_channel(target)):
        raise CommandError(ExitCode.USAGE, "a stream has no name to bind", "name a file with -o")
    with invocation.keyring() as keyring, invocation.progress("sealing", size) as update:
        how: dict[str, Any] = {"associated_data": associated_data, "progress": update}
        recording.record_sealing(keyring, key)
        if path == STANDARD or target is None or is_channel(target):
            if bind_name and target is not None:
                from mycelium_fractal_net.files.naming import file_name

                how["name"] = file_name(target)
            with (
                _streams(path, target, force=to.force) as (reader, writer),
                _unchanging(path, reader, allow_changing),
            ):
                count = keyring.encrypt_stream(reader, writer, key_id=key, **how)
        else:
            from mycelium_fractal_net.files import seal_file

            with naming(target):
                how |= {
                    "bind_name": bind_name,
                    "force": to.force,
                    "allow_changing": allow_changing,
                }
                count = seal_file(keyring, Path(path), target, key_id=key, **how)
    _tell(invocation, "sealed", path, target, count)


@command("decrypt")
@click.argument("path", metavar="PATH", help="A sealed file, a folder with -r, or -.")
@options.opening
@options.only_bound
@options.bound_name
@options.byte_range
@options.writing
@options.workers
def decrypt(
    invocation: Invocation,
    path: str,
    opening: OpenOptions,
    bind_name: bool,
    bound_name: str | None,
    span: Span | None,
    to: Writing,
    workers: int | None,
) -> None:
    """Open a sealed file (FILE.mfn -> FILE), a folder of them, or a stream.

    To standard output only authenticated chunks go, but a cut shows at the end alone: what
    came out is whole only if the exit code is 0. With --range the output is standard output
    unless -o names another, and of a file that was cut nothing is written.
    """
    if span is not None:
        _decrypt_part(invocation, path, named(opening, path, bound_name, bind_name), span, to)
        return
    if to.recursive:
        if bound_name is not None:
            raise CommandError(
                ExitCode.USAGE, "--bound-name is for one file", "leave -r away for it"
            )
        folders.unseal(invocation, path, opening, to, workers, bind_name=bind_name)
        return
    size = _size(path)
    opening = named(opening, path, bound_name, bind_name)
    target = destination(path, to.output, opened_name(path) if to.output is None else _stem(path))
    with invocation.keyring() as keyring, invocation.progress("opening", size) as update:
        if path == STANDARD or target is None or is_channel(target):
            with _streams(path, target, force=to.force) as (source, writer):
                reader = _recorded(keyring, "decrypt", source)
                count = keyring.decrypt_stream(reader, writer, opening, progress=update)
        else:
            from mycelium_fractal_net.files import open_file

            recording.record_opening(keyring, "decrypt", [head_of(path)])
            with naming(target):
                count = open_file(
                    keyring, Path(path), target, opening, force=to.force, progress=update
                )
    _tell(invocation, "opened", path, target, count)


def _decrypt_part(
    invocation: Invocation, path: str, opening: OpenOptions, span: Span, to: Writing
) -> None:
    if to.recursive:
        raise CommandError(ExitCode.USAGE, "--range is for one file", "leave -r away for it")
    _size(path)
    check_seekable(path)
    target = destination(path, to.output, _stem(path)) if to.output is not None else None
    with (
        invocation.keyring() as keyring,
        output_stream(target, force=to.force, like=path) as writer,
    ):
        recording.record_opening(keyring, "decrypt", [head_of(path)])
        count = write_part(keyring, path, opening, span, writer)
    _tell(invocation, "opened a part of", path, target, count)


def rewrap_one(invocation: Invocation, path: str, opening: OpenOptions, to: Writing) -> None:
    """Move one file or stream to the newest version of its key, in place or elsewhere."""
    size = _size(path)
    elsewhere = path == STANDARD or to.output is not None
    target = destination(path, to.output, path) if elsewhere else Path(path)
    with invocation.keyring() as keyring, invocation.progress("rewrapping", size) as update:
        if elsewhere or target is None:
            with _streams(path, target, force=to.force) as (source, writer):
                reader = _recorded(keyring, "rewrap", source)
                count = keyring.rewrap_stream(reader, writer, opening, progress=update)
            _tell(invocation, "rewrapped", path, target, count)
            return
        from mycelium_fractal_net.files import rewrap_file

        recording.record_opening(keyring, "rewrap", [head_of(path)])
        with naming(target):
            moved = rewrap_file(keyring, target, opening, progress=update)
    said = "was moved to" if moved else "was already under"
    shape = {"input": path, "output": path, "bytes": size, "moved": moved}
    invocation.answer(shape, f"{path} {said} the newest version of its key")


def named(opening: OpenOptions, path: str, bound_name: str | None, bind_name: bool) -> OpenOptions:
    """How ``path`` is opened: as what it is called, or was; a stream is called nothing."""
    from msgspec.structs import replace

    from mycelium_fractal_net.files.naming import named_options
    from mycelium_fractal_net.security.records.file_names import FileName

    if bound_name is not None or path == STANDARD:
        return replace(opening, name=FileName(bound_name or "", required=bind_name))
    return named_options(opening, Path(path), required=bind_name)


def _size(path: str) -> int:
    """The size of an input that must be a readable file; 0 where nobody knows it."""
    return 0 if path == STANDARD else check_input(Path(path))


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


def _unchanging(
    path: str, reader: BinaryIO, allow_changing: bool
) -> contextlib.AbstractContextManager[object]:
    if path == STANDARD:
        return contextlib.nullcontext()
    from mycelium_fractal_net.files.single import unchanging

    return unchanging(reader, Path(path), allow_changing=allow_changing)


def _recorded(keyring: Keyring, event: str, reader: BinaryIO) -> BinaryIO:
    """What ``reader`` gives, once there is an audit record of the key version it begins with."""
    head, whole = begun(reader, HEAD_BYTES)
    recording.record_opening(keyring, event, [head])
    return whole


def _tell(invocation: Invocation, done: str, path: str, target: Path | None, count: int) -> None:
    if target is not None:  # otherwise standard output is the message itself
        shape = {"input": path, "output": str(target), "bytes": count}
        invocation.answer(shape, f"{done} {path} -> {target} ({byte_size(count)})")
