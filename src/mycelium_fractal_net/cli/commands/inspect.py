"""``mfn inspect``: what a sealed message or a signature file says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mycelium_fractal_net.cli.inputs import STANDARD, begun, input_stream
from mycelium_fractal_net.cli.parsing import command
from mycelium_fractal_net.cli.terminal import byte_size, counted, say
from mycelium_fractal_net.security.byte_io.binary_io import HEAD_BYTES
from mycelium_fractal_net.security.errors import DecryptionError, InvalidSignatureError
from mycelium_fractal_net.security.sealed.addressed_layout import (
    is_addressed,
    read_addressed_header,
)

if TYPE_CHECKING:
    from mycelium_fractal_net.cli.invocation import Invocation
    from mycelium_fractal_net.security.keyring.keyring import Keyring, MessageInfo
    from mycelium_fractal_net.security.sealed.addressed_layout import AddressedHeader

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
    with input_stream(file, "", quiet=True) as reader:
        head, whole = begun(reader, HEAD_BYTES)
        if is_addressed(head):
            _tell_addressed(invocation, file, read_addressed_header(whole))
        else:
            _tell_ours(invocation, file, begun(whole, _HEAD_BYTES)[0])


def _tell_addressed(invocation: Invocation, file: str, header: AddressedHeader) -> None:
    """For how many, and by which suites; for whom stands nowhere."""
    from mycelium_fractal_net.security.sealed.layout import plain_bytes

    size = _size(file)
    shape = {
        "file": file,
        "form": "recipients",
        "recipients": header.suites,
        "bound_to_name": _bound(header.name, file),
        "plaintext_bytes": None if size is None else plain_bytes(size - len(header.raw)),
    }
    if invocation.json:
        invocation.answer(shape)
        return
    suites = ", ".join(sorted({suite or "unknown" for suite in header.suites}))
    say(f"file     {file}")
    say("form     recipients")
    say(f"for      {counted(len(header.blobs), 'recipient')} ({suites})")
    _tell_rest(shape)


def _tell_ours(invocation: Invocation, file: str, head: bytes) -> None:
    with invocation.keyring() as keyring:
        try:
            shape = _message(keyring, head, _size(file), file)
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
    _tell_rest(shape)


def _tell_rest(shape: dict[str, Any]) -> None:
    if shape["bound_to_name"] is not None:
        say(f"name     bound{_NAME[shape['bound_to_name']]}")
    if shape["plaintext_bytes"] is not None:
        say(f"holds    {byte_size(shape['plaintext_bytes'])}")


def _message(keyring: Keyring, head: bytes, size: int | None, file: str) -> dict[str, Any]:
    from mycelium_fractal_net.security.sealed.layout import plaintext_bytes

    plain = None if size is None else plaintext_bytes(head, size)
    info = keyring.describe(head)
    return _shape(info, plain, _bound(info.name, file))


def _bound(name: bytes, file: str) -> str | None:
    """Whether the name that is bound, by its digest, is that of the file."""
    from mycelium_fractal_net.files.naming import file_name

    if not name:
        return None
    fits = file != STANDARD and file_name(Path(file)).fits(name)
    return "unknown" if file == STANDARD else "this" if fits else "another"


def _size(file: str) -> int | None:
    return None if file == STANDARD else Path(file).stat().st_size


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
