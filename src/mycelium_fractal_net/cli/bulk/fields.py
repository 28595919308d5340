"""``--field``: the column of ``--database`` is an encrypted field of SQLAlchemy or Django."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, cast

import click

from mycelium_fractal_net.cli.completion import key_names
from mycelium_fractal_net.cli.exits import CommandError
from mycelium_fractal_net.cli.numbers import WholeNumber
from mycelium_fractal_net.cli.parsing import record
from mycelium_fractal_net.security.errors import ExitCode
from mycelium_fractal_net.security.records.index_fields import LEAST_BITS, MOST_BITS, NORMALISATIONS

if TYPE_CHECKING:
    from mycelium_fractal_net.columns import EncryptedField, MessageColumn
    from mycelium_fractal_net.security.records.index_fields import Normalisation


def _field(
    field: str | None,
    index: str | None,
    bits: int | None,
    normalisation: str | None,
    new_tags: bool,
) -> EncryptedField | None:
    if field is None:
        if index or bits is not None or normalisation or new_tags:
            raise CommandError(
                ExitCode.USAGE, "an index is named and no field", "add --field TABLE.COLUMN"
            )
        return None
    if index is None and (bits is not None or normalisation or new_tags):
        raise CommandError(
            ExitCode.USAGE, "bits, normalisation and new tags are of an index", "add --index KEY"
        )
    table, _, column = field.rpartition(".")
    if not table or not column:
        raise CommandError(
            ExitCode.USAGE, "a field is named by its table and column", "--field customers.email"
        )
    from mycelium_fractal_net.columns import EncryptedField

    named = cast("Normalisation", normalisation or "exact")
    return EncryptedField(table, column, index, bits, named, new_tags)


# Parameter ``field``, an EncryptedField, or None where messages stand by themselves.
field_choice = record(
    "field",
    _field,
    click.option(
        "--field",
        metavar="TABLE.COLUMN",
        help="The column is an encrypted field of SQLAlchemy or Django, named as its model does.",
    ),
    click.option(
        "--index",
        metavar="KEY",
        help="The key of the field's index; its newest version makes the tags.",
        shell_complete=key_names,
    ),
    click.option(
        "--bits",
        metavar="N",
        type=WholeNumber(LEAST_BITS, MOST_BITS),
        help="What the field's tags are cut to.",
    ),
    click.option(
        "--normalisation",
        type=click.Choice(NORMALISATIONS),
        help="Which texts are the same in the field's index: exact, unless said.",
    ),
    click.option(
        "--new-tags",
        is_flag=True,
        help="Replace tags of no version of this index, too: where the field got another index.",
    ),
)


def with_field(choice: MessageColumn | None, field: EncryptedField | None) -> MessageColumn | None:
    """The column, as that field. Raises :class:`CommandError` where there is no column."""
    if field is None:
        return choice
    if choice is None:
        raise CommandError(ExitCode.USAGE, "a field is named and no database", "add --database")
    return dataclasses.replace(choice, field=field)
