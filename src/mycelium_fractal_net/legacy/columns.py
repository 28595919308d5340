"""The way of a column out of the XOR cipher: there, and back, and for good.

Opening one value of that cipher takes 23 ms of PBKDF2, so the processes share nothing but rows,
and each row is written in a transaction of its own.
"""

from __future__ import annotations

import base64
import string
from typing import TYPE_CHECKING, Final, Unpack

from mycelium_fractal_net.columns.coding import (
    Coding,
    Habit,
    Value,
    decode,
    encode,
    from_base64,
)
from mycelium_fractal_net.columns.column import MessageColumn
from mycelium_fractal_net.columns.column_database import ColumnDatabase
from mycelium_fractal_net.columns.column_report import ColumnReport
from mycelium_fractal_net.columns.located_column import (
    LocatedColumn,
    Row,
    ValueChange,
    associated_bytes,
    value_of,
)
from mycelium_fractal_net.columns.moving import WriteRow
from mycelium_fractal_net.columns.sweep import RunOptions, Sweep
from mycelium_fractal_net.legacy.side_table import SideTable
from mycelium_fractal_net.legacy.xor_format import open_xor
from mycelium_fractal_net.security.errors import (
    DecryptionError,
    InvalidInputError,
    KeyNotFoundError,
)
from mycelium_fractal_net.security.keyring.keyring import Keyring
from mycelium_fractal_net.security.records.open_options import PLAIN, OpenOptions

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_BASE64: Final = string.ascii_letters.encode() + string.digits.encode() + b"+/-_= \t\r\n"
_SPAN_ROWS: Final = 40  # a second of one processor
_OLD_ROWS: Final = 500


def migrate_column(
    keyring: Keyring,
    column: MessageColumn,
    key_id: str | None,
    options: OpenOptions = PLAIN,
    *,
    side_table: str | None = None,
    dry_run: bool = False,
    **how: Unpack[RunOptions],
) -> ColumnReport:
    """Seal under ``key_id`` what the XOR cipher wrote into a column.

    Its values are the text that the cipher wrote, as text or as bytes, or the bytes that the
    text stands for; a sealed message takes the same form. What is sealed already stays.
    Each new value is opened before it takes the old one's place, which is kept in ``side_table``
    (``TABLE_COLUMN_xor`` by default) in the same transaction, until :func:`commit_column` or
    :func:`roll_back_column`. The old cipher knew no associated data; the new messages are bound
    to that in ``options`` or in the column. ``dry_run`` opens everything and writes nothing:
    ``done`` is then what would be sealed. Otherwise as :func:`.rewrap_column`.
    """
    constant = column.constant(options)
    name = keyring.protecting_key(key_id)
    database, place = column.located()
    side = SideTable(database, place, side_table)
    if not dry_run:
        side.create()
    habit = Habit(urlsafe=True)  # as the old cipher wrote
    old = OpenOptions(allow_compromised=options.allow_compromised)

    def convert(value: Value, bound: bytes) -> Value | None:
        message, coding = decode_old(value)
        if not message or _is_sealed(keyring, message):
            return None
        plaintext = open_xor(keyring, old_text(message), old).data
        if dry_run:
            return value
        bound = bound or constant
        sealed = keyring.encrypt(plaintext, key_id=name, associated_data=bound)
        if keyring.decrypt(sealed, associated_data=bound) != plaintext:
            raise DecryptionError
        return encode(sealed, coding, habit)

    def write_row(connection: Connection, place: LocatedColumn, change: ValueChange) -> bool:
        if dry_run:
            return True
        if connection.execute(*place.write_row(change)).rowcount != 1:
            return False
        side.keep(connection, change)
        return True

    sweep = Sweep(keyring, database, place, how)
    return sweep.run(convert, write_row, rows=_SPAN_ROWS)


def commit_column(
    keyring: Keyring,
    column: MessageColumn,
    options: OpenOptions = PLAIN,
    *,
    side_table: str | None = None,
    **how: Unpack[RunOptions],
) -> ColumnReport:
    """Remove the old values of a migrated column where what stands there now is sealed and opens.

    The others stay and are reported. The side table goes once it is empty.
    """
    constant = column.constant(options)
    database, place = column.located()
    side = _existing(SideTable(database, place, side_table))

    def write_row(connection: Connection, _: LocatedColumn, change: ValueChange) -> bool:
        key = change.row.key
        row = place.read(connection, key)
        if row is None:
            raise InvalidInputError("the row is gone, or has no value any more")
        message = decode(value_of(row))[0]
        keyring.describe(message)  # what is still of the XOR cipher is no message
        bound = associated_bytes(row.associated) or constant
        keyring.decrypt(message, associated_data=bound)
        side.forget(connection, key)
        return True

    return _finish(keyring, database, side, write_row, how)


def roll_back_column(
    keyring: Keyring,
    column: MessageColumn,
    *,
    side_table: str | None = None,
    **how: Unpack[RunOptions],
) -> ColumnReport:
    """Put the old values back where nobody changed the new ones; the others are reported."""
    database, place = column.located()
    side = _existing(SideTable(database, place, side_table))

    def write_row(connection: Connection, _: LocatedColumn, change: ValueChange) -> bool:
        key = change.row.key
        now = Row(key, side.new_value(connection, key), None)
        back = ValueChange(now, change.new)
        if connection.execute(*place.write_row(back)).rowcount != 1:
            raise InvalidInputError("the value was changed since; the old one is still kept")
        side.forget(connection, key)
        return True

    return _finish(keyring, database, side, write_row, how)


def decode_old(value: Value) -> tuple[bytes, Coding]:
    """The message in a value that may be of the XOR cipher, whose messages begin with anything.

    Bytes that are all of base64's characters are text: a random message has 64 bytes or more,
    and the fourth of a sealed one is none of them. Raises :class:`DecryptionError`.
    """
    if isinstance(value, bytes) and not value.strip(_BASE64):
        return from_base64(value, text=False)
    return decode(value)


def old_text(message: bytes) -> bytes:
    """The text that the XOR cipher wrote for those bytes."""
    return base64.urlsafe_b64encode(message)


def _is_sealed(keyring: Keyring, message: bytes) -> bool:
    """Whether it is a sealed message of this store; one of the old cipher begins with anything."""
    try:
        keyring.describe(message)
    except (DecryptionError, KeyNotFoundError):
        return False
    return True


def _existing(side: SideTable) -> SideTable:
    if not side.exists():
        raise InvalidInputError(f"there is no table {side.name} with old values")
    return side


def _finish(
    keyring: Keyring,
    database: ColumnDatabase,
    side: SideTable,
    write_row: WriteRow,
    how: RunOptions,
) -> ColumnReport:
    """Put every old value through ``write_row``, and see whether the side table may go."""
    sweep = Sweep(keyring, database, side.place, how)
    found = sweep.run(lambda value, _bound: value, write_row, rows=_OLD_ROWS)
    side.drop_if_empty()
    return found
