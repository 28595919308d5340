"""``mfn index``: the tags of a value in a blind index, or of the values in a file of lines."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any, Final, cast

import click

from mycelium_fractal_net.cli.completion import key_names
from mycelium_fractal_net.cli.inputs import STANDARD, read_small
from mycelium_fractal_net.cli.invocation import Invocation
from mycelium_fractal_net.cli.numbers import WholeNumber
from mycelium_fractal_net.cli.parsing import command
from mycelium_fractal_net.cli.recording import record_searching
from mycelium_fractal_net.cli.terminal import say
from mycelium_fractal_net.security.errors import InvalidInputError
from mycelium_fractal_net.security.records.index_fields import (
    LEAST_BITS,
    MOST_BITS,
    NORMALISATIONS,
    Normalisation,
)

if TYPE_CHECKING:
    from mycelium_fractal_net.security.keyring.lookups import BlindIndex
    from mycelium_fractal_net.security.keyring.signing import Signature

_VALUE_BYTES: Final = 1 << 20
_LINES_BYTES: Final = 64 << 20


@command("index")
@click.argument("name", metavar="KEY", help="A key of type index.", shell_complete=key_names)
@click.argument(
    "file", metavar="[FILE]", default=STANDARD, help="Holds the value; standard input without one."
)
@click.option(
    "--context", metavar="TEXT", required=True, help="Which field it is, such as users.email."
)
@click.option(
    "--bits",
    metavar="N",
    type=WholeNumber(LEAST_BITS, MOST_BITS),
    help="Cut tags short, so that values share them.",
)
@click.option(
    "--normalisation",
    type=click.Choice(NORMALISATIONS),
    default="exact",
    help="Which texts are the same.",
)
@click.option("--lines", is_flag=True, help="Take each line as a value; print a line for each.")
def index(
    invocation: Invocation,
    name: str,
    file: str,
    context: str,
    bits: int | None,
    normalisation: str,
    lines: bool,
) -> None:
    """Print the tags of a value in a blind index, which is read from a file or standard input.

    Newest version first. Search for all of them; the one that is marked is the one to store. A
    newline at the end, LF or CRLF, and a byte order mark are no part of the value. With --lines the
    tags of a value stand in one line, separated by semicolons.
    """
    with invocation.keyring() as keyring:
        field = keyring.index(
            key_id=name,
            context=context.encode(),
            bits=bits,
            normalisation=cast("Normalisation", normalisation),
        )
        values = _lines(file) if lines else [read_small(file, _VALUE_BYTES, "a value")]
        record_searching(keyring, name, len(values))
        found = _tags_of_lines(field, values) if lines else [field.tags(_bare(values[0]))]
        key = keyring.provider.keys.get(name)
    primary = key.primary_or_none
    stored = "" if primary is None else f"{key.key_id}:v{primary.version}"
    if invocation.json:
        shapes = [{"tags": [_shape(tag, stored) for tag in tags]} for tags in found]
        invocation.answer({"values": shapes} if lines else shapes[0])
        return
    for tags in found:
        shown = [
            f"{tag.hex()}  {tag.key_id}{'  to store' * (tag.key_id == stored)}" for tag in tags
        ]
        for each in ["; ".join(shown)] if lines else shown:
            say(each)


def _lines(file: str) -> list[bytes]:
    """The lines of a file without their ends; the last may have none."""
    content = read_small(file, _LINES_BYTES, "values")
    return _bare(content.replace(b"\r\n", b"\n")).split(b"\n") if content else []


def _bare(value: bytes) -> bytes:
    """Without what editors add to a text, and no application puts into a value."""
    value = value.removeprefix(codecs.BOM_UTF8)
    return value.removesuffix(b"\r\n") if value.endswith(b"\r\n") else value.removesuffix(b"\n")


def _tags_of_lines(field: BlindIndex, values: list[bytes]) -> list[list[Signature]]:
    found = []
    for number, value in enumerate(values, start=1):
        try:
            found.append(field.tags(value))
        except InvalidInputError as error:
            raise InvalidInputError(f"line {number}: {error}") from None
    return found


def _shape(tag: Signature, stored: str) -> dict[str, Any]:
    return {"tag": tag.hex(), "version_id": tag.key_id, "store": tag.key_id == stored}
