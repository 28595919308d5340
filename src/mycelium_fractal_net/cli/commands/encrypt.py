"""``mfn encrypt`` and ``mfn decrypt``; and ``mfn rewrap`` of one file or stream."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mycelium_fractal_net.cli import options, recording
from mycelium_fractal_net.cli.bulk import folders
from mycelium_fractal_net.cli.commands import addressed
from mycelium_fractal_net.cli.commands.one_file import (
    both_streams,
    input_size,
    opened_as,
    opened_stem,
    tell,
    unchanging,
)
from mycelium_fractal_net.cli.commands.parts import open_part
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.inputs import STANDARD, begun
from mycelium_fractal_net.cli.outputs import (
    destination,
    is_channel,
    naming,
    opened_name,
    sealed_name,
)
from mycelium_fractal_net.cli.parsing import command
from mycelium_fractal_net.security.byte_io.binary_io import HEAD_BYTES, head_of
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from typing import BinaryIO

    from mycelium_fractal_net.cli.invocation import Invocation
    from mycelium_fractal_net.cli.numbers import Span
    from mycelium_fractal_net.cli.options import Writing
    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from mycelium_fractal_net.security.records.open_options import OpenOptions


@command("encrypt")
@click.argument("path", metavar="PATH", help="A file, a folder with -r, or -.")
@options.sealing_key
@options.recipients
@options.associated_data
@options.bind_name
@options.allow_changing
@options.writing
@options.workers
def encrypt(
    invocation: Invocation,
    path: str,
    key: str | None,
    recipients: tuple[str, ...],
    associated_data: bytes,
    bind_name: bool,
    allow_changing: bool,
    to: Writing,
    workers: int | None,
) -> None:
    """Seal a file (FILE -> FILE.mfn), a folder into another, or a stream.

    With --to no key store is needed: whoever has the private key opens it, by decrypt --identity.
    """
    more: dict[str, Any] = {"bind_name": bind_name, "allow_changing": allow_changing}
    if recipients:
        if key is not None:
            raise CommandError(
                ExitCode.USAGE, "-k and --to are two ways to seal", "give one of them"
            )
        addressed.seal(invocation, path, recipients, associated_data, to, **more)
        return
    if to.recursive:
        folders.seal(invocation, path, key, associated_data, to, workers=workers, **more)
        return
    size = input_size(path)
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
                both_streams(path, target, force=to.force) as (reader, writer),
                unchanging(path, reader, allow_changing),
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
    tell(invocation, "sealed", path, target, count)


@command("decrypt")
@click.argument("path", metavar="PATH", help="A sealed file, a folder with -r, or -.")
@options.opening
@options.identities
@options.only_bound
@options.bound_name
@options.byte_range
@options.writing
@options.workers
def decrypt(
    invocation: Invocation,
    path: str,
    opening: OpenOptions,
    identities: tuple[str, ...],
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
        opening = opened_as(opening, path, bound_name, bind_name)
        open_part(invocation, path, identities, opening, span, to)
        return
    if identities:
        addressed.unseal(
            invocation, path, identities, opening, to, bind_name=bind_name, bound_name=bound_name
        )
        return
    if to.recursive:
        if bound_name is not None:
            raise CommandError(
                ExitCode.USAGE, "--bound-name is for one file", "leave -r away for it"
            )
        folders.unseal(invocation, path, opening, to, workers, bind_name=bind_name)
        return
    size = input_size(path)
    opening = opened_as(opening, path, bound_name, bind_name)
    natural = opened_name(path) if to.output is None else opened_stem(path)
    target = destination(path, to.output, natural)
    if path != STANDARD:
        addressed.refuse_addressed(head_of(path), "decrypt")
    with invocation.keyring() as keyring, invocation.progress("opening", size) as update:
        if path == STANDARD or target is None or is_channel(target):
            with both_streams(path, target, force=to.force) as (source, writer):
                reader = _recorded(keyring, "decrypt", source)
                count = keyring.decrypt_stream(reader, writer, opening, progress=update)
        else:
            from mycelium_fractal_net.files import open_file

            recording.record_opening(keyring, "decrypt", [head_of(path)])
            with naming(target):
                count = open_file(
                    keyring, Path(path), target, opening, force=to.force, progress=update
                )
    tell(invocation, "opened", path, target, count)


def rewrap_one(invocation: Invocation, path: str, opening: OpenOptions, to: Writing) -> None:
    """Move one file or stream to the newest version of its key, in place or elsewhere."""
    size = input_size(path)
    elsewhere = path == STANDARD or to.output is not None
    target = destination(path, to.output, path) if elsewhere else Path(path)
    with invocation.keyring() as keyring, invocation.progress("rewrapping", size) as update:
        if elsewhere or target is None:
            with both_streams(path, target, force=to.force) as (source, writer):
                reader = _recorded(keyring, "rewrap", source)
                count = keyring.rewrap_stream(reader, writer, opening, progress=update)
            tell(invocation, "rewrapped", path, target, count)
            return
        from mycelium_fractal_net.files import rewrap_file

        addressed.refuse_addressed(head_of(path), "rewrap")
        recording.record_opening(keyring, "rewrap", [head_of(path)])
        with naming(target):
            moved = rewrap_file(keyring, target, opening, progress=update)
    said = "was moved to" if moved else "was already under"
    shape = {"input": path, "output": path, "bytes": size, "moved": moved}
    invocation.answer(shape, f"{path} {said} the newest version of its key")


def _recorded(keyring: Keyring, event: str, reader: BinaryIO) -> BinaryIO:
    """What ``reader`` gives, once there is an audit record of the key version it begins with."""
    head, whole = begun(reader, HEAD_BYTES)
    addressed.refuse_addressed(head, event)
    recording.record_opening(keyring, event, [head])
    return whole
