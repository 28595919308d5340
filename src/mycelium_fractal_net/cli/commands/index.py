"""``mfn index``: the tags of a value in a blind index."""

from __future__ import annotations

from typing import Final, cast

import click

from mycelium_fractal_net.cli.completion import key_names
from mycelium_fractal_net.cli.inputs import STANDARD, read_small
from mycelium_fractal_net.cli.invocation import Invocation
from mycelium_fractal_net.cli.numbers import WholeNumber
from mycelium_fractal_net.cli.parsing import command
from mycelium_fractal_net.cli.recording import record_searching
from mycelium_fractal_net.cli.terminal import say
from mycelium_fractal_net.security.records.index_fields import (
    LEAST_BITS,
    MOST_BITS,
    NORMALISATIONS,
    Normalisation,
)

_VALUE_BYTES: Final = 1 << 20


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
def index(
    invocation: Invocation,
    name: str,
    file: str,
    context: str,
    bits: int | None,
    normalisation: str,
) -> None:
    """Print the tags of a value in a blind index, which is read from a file or standard input.

    Newest version first. Search for all of them; the one that is marked is the one to store. A
    newline at the end is no part of the value.
    """
    with invocation.keyring() as keyring:
        field = keyring.index(
            key_id=name,
            context=context.encode(),
            bits=bits,
            normalisation=cast("Normalisation", normalisation),
        )
        value = read_small(file, _VALUE_BYTES, "a value")
        record_searching(keyring, name)
        tags = field.tags(value.removesuffix(b"\n"))
        key = keyring.provider.keys.get(name)
    primary = key.primary_or_none
    stored = "" if primary is None else f"{key.key_id}:v{primary.version}"
    shape = [
        {"tag": tag.hex(), "version_id": tag.key_id, "store": tag.key_id == stored} for tag in tags
    ]
    if invocation.json:
        invocation.answer({"tags": shape})
        return
    for tag in tags:
        say(f"{tag.hex()}  {tag.key_id}{'  to store' * (tag.key_id == stored)}")
