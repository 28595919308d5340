"""Seals what a column held before, in place, beside the application that uses it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, Unpack

from mycelium_fractal_net.columns.coding import Coding, Habit, Value, encode
from mycelium_fractal_net.columns.column import MessageColumn
from mycelium_fractal_net.columns.column_report import ColumnReport
from mycelium_fractal_net.columns.encrypted_field import FieldSealer
from mycelium_fractal_net.columns.located_column import LocatedColumn, ValueChange
from mycelium_fractal_net.columns.plaintext import as_it_is, sealed_in
from mycelium_fractal_net.columns.sweep import RunOptions, Sweep
from mycelium_fractal_net.security.errors import DecryptionError, InvalidInputError
from mycelium_fractal_net.security.keyring.keyring import Keyring
from mycelium_fractal_net.security.records.open_options import PLAIN

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from mycelium_fractal_net.columns.source import Source

_SPAN_ROWS: Final = 2000
_TEXT: Final = Coding(text=True, base64=True)
_BYTES: Final = Coding(text=False, base64=False)


def take_over_column(
    keyring: Keyring,
    column: MessageColumn,
    key_id: str | None,
    source: Source | None = None,
    *,
    dry_run: bool = False,
    **how: Unpack[RunOptions],
) -> ColumnReport:
    """Seal under ``key_id`` what a column still holds of ``source``, as its field stores it.

    Without a source that is plaintext; whether its last day has come is not asked. ``column`` has a
    ``field``. Values are bytes, or text, which is replaced by base64 text; one
    of no length is a value, and NULL stays. A field with an index is of bytes, as which SQLite
    stores it in any column; other databases have no index on base64 text. What is sealed already
    stays, so that a run that was cut off is run again. What is neither sealed nor of the source
    stays and is reported. Each new value is opened before it takes the place of the old one, of
    which nothing is kept. ``dry_run`` writes nothing: ``done`` is what would be sealed.

    Raises as :func:`.rewrap_column`, and what the source says of its keys.
    """
    field = column.field
    if field is None:
        raise InvalidInputError("a column is taken over as an encrypted field, and none is named")
    sealer = FieldSealer(keyring, field, key_id)
    column.constant(PLAIN)
    database, place = column.located()
    if field.index is not None and place.holds_text:
        raise InvalidInputError("a column of text is taken over without an index")
    text_as = _TEXT if field.index is None else _BYTES
    place.take_empty()
    habit = Habit()
    opens = as_it_is if source is None else source.opener(keyring)

    def old_plaintext(value: Value) -> bytes | None:
        """Of a value that is not sealed."""
        stored = sealed_in(value, field.tag_bytes)
        if stored is None:
            return opens(value)
        if source is not None and source.claims(stored):
            with contextlib.suppress(DecryptionError):
                return opens(value)
        return None

    def convert(value: Value, _associated: bytes) -> Value | None:
        plaintext = old_plaintext(value)
        if plaintext is None:
            return None
        return encode(sealer.seal(plaintext), text_as if isinstance(value, str) else _BYTES, habit)

    def write_nothing(_: Connection, _place: LocatedColumn, _change: ValueChange) -> bool:
        return True

    sweep = Sweep(keyring, database, place, how)
    found = sweep.run(convert, write_nothing if dry_run else None, rows=_SPAN_ROWS)
    found.empty = 0  # they are among the others
    return found
