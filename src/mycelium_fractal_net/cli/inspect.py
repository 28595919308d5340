"""``mfn inspect``: what a sealed message or a signature file says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mycelium_fractal_net.cli.options import AsJson
from mycelium_fractal_net.cli.session import session_of
from mycelium_fractal_net.cli.streams import input_stream
from mycelium_fractal_net.cli.terminal import json_value, say

if TYPE_CHECKING:
    from mycelium_fractal_net.security.keyring import MessageInfo

__all__ = ["register"]

_HEAD_BYTES = 4096  # more than the head of any form, docs/format.md


def register(app: typer.Typer) -> None:
    """Add ``mfn inspect``."""
    app.command("inspect")(_inspect)


def _inspect(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A sealed file or a .sig, or -.")],
    as_json: AsJson = False,
) -> None:
    """Say which key version made a file. Reads its head alone, so nothing is verified by it."""
    session = session_of(context)
    with session.keyring() as keyring, input_stream(file, "", quiet=True) as reader:
        head = reader.read(_HEAD_BYTES)
        info = keyring.describe(head)
    if as_json:
        json_value({"file": file, **_shape(info)})
        return
    say(f"file     {file}")
    say(f"form     {info.form}")
    say(f"key      {info.version_id}{' (newest)' if info.newest else ''}")
    say(f"state    {info.state}")


def _shape(info: MessageInfo) -> dict[str, Any]:
    return {
        "form": info.form,
        "version_id": info.version_id,
        "key_id": info.key_id,
        "version": info.version,
        "state": info.state.value,
        "newest": info.newest,
    }
