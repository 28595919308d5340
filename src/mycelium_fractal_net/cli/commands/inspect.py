"""``mfn inspect``: what a sealed message or a signature file says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mycelium_fractal_net.cli import options
from mycelium_fractal_net.cli.inputs import STANDARD, input_stream
from mycelium_fractal_net.cli.terminal import byte_size, json_value, say
from mycelium_fractal_net.security.errors import DecryptionError, InvalidSignatureError
from mycelium_fractal_net.security.records.keys import version_id

if TYPE_CHECKING:
    from mycelium_fractal_net.cli.invocation import Invocation
    from mycelium_fractal_net.security.keyring.keyring import Keyring

_HEAD_BYTES: Final = 16_384  # more than any header, and than the longest .sig file, docs/format.md


@click.command("inspect")
@click.argument("file", metavar="FILE", help="A sealed file or a .sig, or -.")
@options.as_json
@click.pass_obj
def inspect(invocation: Invocation, file: str, as_json: bool) -> None:
    """Say which key version made a file. Reads its head alone, so nothing is verified by it."""
    with invocation.keyring() as keyring, input_stream(file, "", quiet=True) as reader:
        head = reader.read(_HEAD_BYTES)
        size = None if file == STANDARD else Path(file).stat().st_size
        try:
            shape = _message(keyring, head, size)
        except DecryptionError:
            try:
                shape = _signature(keyring, head)
            except InvalidSignatureError:
                raise DecryptionError from None
    if as_json:
        json_value({"file": file, **shape})
        return
    say(f"file     {file}")
    say(f"form     {shape['form']}")
    say(f"key      {shape['version_id']}{' (newest)' if shape['newest'] else ''}")
    say(f"state    {shape['state']}")
    if shape["plaintext_bytes"] is not None:
        say(f"holds    {byte_size(shape['plaintext_bytes'])}")


def _message(keyring: Keyring, head: bytes, size: int | None) -> dict[str, Any]:
    from mycelium_fractal_net.security.sealed.layout import plaintext_bytes

    info = keyring.describe(head)
    return {
        "form": info.form,
        "version_id": info.version_id,
        "key_id": info.key_id,
        "version": info.version,
        "state": info.state.value,
        "newest": info.newest,
        "plaintext_bytes": None if size is None else plaintext_bytes(head, size),
    }


def _signature(keyring: Keyring, head: bytes) -> dict[str, Any]:
    from mycelium_fractal_net.security.signatures.signature_file import parse_signature_file

    handle = parse_signature_file(head).handle
    key = keyring.provider.keys.by_handle(handle)
    version = key.by_handle(handle)
    return {
        "form": "signature",
        "version_id": version_id(key.key_id, version.version),
        "key_id": key.key_id,
        "version": version.version,
        "state": version.state.value,
        "newest": version is key.latest,
        "plaintext_bytes": None,
    }
