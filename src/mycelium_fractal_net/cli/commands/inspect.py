"""``mfn inspect``: what a sealed message or a signature file says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mycelium_fractal_net.cli.inputs import STANDARD, input_stream
from mycelium_fractal_net.cli.parsing import command
from mycelium_fractal_net.cli.terminal import byte_size, say
from mycelium_fractal_net.security.errors import DecryptionError, InvalidSignatureError

if TYPE_CHECKING:
    from mycelium_fractal_net.cli.invocation import Invocation
    from mycelium_fractal_net.security.keyring.keyring import Keyring, MessageInfo

_NAME: Final = {
    "this": ", and it has that name",
    "another": ", and it has another: it was renamed or swapped",
    "unknown": "",
}
_HEAD_BYTES: Final = 16_384  # more than any header, and than the longest .sig file, docs/format.md


@command("inspect")
@click.argument("file", metavar="FILE", help="A sealed file or a .sig, or -.")
def inspect(invocation: Invocation, file: str) -> None:
    """Say which key version made a file. Reads its head alone, so nothing is verified by it."""
    with invocation.keyring() as keyring, input_stream(file, "", quiet=True) as reader:
        head = reader.read(_HEAD_BYTES)
        size = None if file == STANDARD else Path(file).stat().st_size
        try:
            shape = _message(keyring, head, size, file)
        except DecryptionError:
            try:
                shape = _signature(keyring, head)
            except InvalidSignatureError:
                raise DecryptionError from None
    if invocation.json:
        invocation.answer({"file": file, **shape})
        return
    say(f"file     {file}")
    say(f"form     {shape['form']}")
    say(f"key      {shape['version_id']}{' (newest)' if shape['newest'] else ''}")
    say(f"state    {shape['state']}")
    if shape["bound_to_name"] is not None:
        say(f"name     bound{_NAME[shape['bound_to_name']]}")
    if shape["plaintext_bytes"] is not None:
        say(f"holds    {byte_size(shape['plaintext_bytes'])}")


def _message(keyring: Keyring, head: bytes, size: int | None, file: str) -> dict[str, Any]:
    from mycelium_fractal_net.files.naming import file_name
    from mycelium_fractal_net.security.sealed.layout import plaintext_bytes

    plain = None if size is None else plaintext_bytes(head, size)
    info = keyring.describe(head)
    bound = None
    if info.name:
        fits = file != STANDARD and file_name(Path(file)).fits(info.name)
        bound = "unknown" if file == STANDARD else "this" if fits else "another"
    return _shape(info, plain, bound)


def _signature(keyring: Keyring, head: bytes) -> dict[str, Any]:
    from mycelium_fractal_net.security.keyring.keyring import MessageInfo
    from mycelium_fractal_net.security.signatures.signature_file import parse_signature_file

    handle = parse_signature_file(head).handle
    key = keyring.provider.keys.by_handle(handle)
    made = key.by_handle(handle)
    newest = made is key.latest
    info = MessageInfo("signature", key.key_id, made.version, made.state, newest)
    return _shape(info, None, None)


def _shape(info: MessageInfo, plaintext_bytes: int | None, bound: str | None) -> dict[str, Any]:
    shape = {"form": info.form, "version_id": info.version_id, **info._asdict()}
    del shape["name"]
    return {**shape, "bound_to_name": bound, "plaintext_bytes": plaintext_bytes}
