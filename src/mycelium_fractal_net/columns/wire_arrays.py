"""Arrays as PostgreSQL takes them in binary, made whole.

psycopg packs one element after the other in Python, which for a column's rows costs as much as the
database's own work on them. A column of values is packed here in a few calls, for the types that
keys and values usually have; rows with a key of another type are sent the other way.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy.dialects.postgresql import BYTEA
from sqlalchemy.types import BIGINT, INTEGER, SMALLINT, TEXT, UUID, VARCHAR

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

# PostgreSQL's src/include/catalog/pg_type.dat
_BYTEA: Final = 17
_INT8: Final = 20
_INT2: Final = 21
_INT4: Final = 23
_TEXT: Final = 25
_UUID: Final = 2950
_NULL: Final = b"\xff\xff\xff\xff"  # the length of an element that is NULL
_LENGTH: Final = struct.Struct("!i").pack

Encode = Callable[[Sequence[Any]], "WireArray"]
"""Makes the array of some values. None among them is NULL."""


class WireArray(bytes):
    """An array in binary: dimensions, whether it has NULL, type of its elements, elements.

    src/backend/utils/adt/arrayfuncs.c, ``array_recv``. It is sent without a type, and is of that to
    which the statement casts it.
    """

    __slots__ = ()


def encoder(kind: TypeEngine[Any]) -> Encode | None:
    """What makes arrays of that type of a column; None where psycopg has to."""
    return _ENCODERS.get(type(kind))


def array_type(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    """The type of the elements to which the statement casts: text has no longest length."""
    return TEXT() if type(kind) is VARCHAR else kind


def of_bytes(values: Sequence[bytes | None]) -> WireArray:
    """An array of ``bytea``."""
    return _whole(_BYTEA, values, map(_element, values))


def of_text(values: Sequence[str | None]) -> WireArray:
    """An array of ``text``."""
    return _whole(
        _TEXT, values, (_element(None if each is None else each.encode()) for each in values)
    )


def _of_uuids(values: Sequence[uuid.UUID | None]) -> WireArray:
    return _whole(
        _UUID, values, (_element(None if each is None else each.bytes) for each in values)
    )


def _of_integers(oid: int, form: str) -> Encode:
    size = struct.calcsize(form) - 4
    pack = struct.Struct(form).pack

    def encode(values: Sequence[int | None]) -> WireArray:
        return _whole(oid, values, (_NULL if each is None else pack(size, each) for each in values))

    return encode


def _element(value: bytes | None) -> bytes:
    return _NULL if value is None else _LENGTH(len(value)) + value


def _whole(oid: int, values: Sequence[Any], elements: Iterable[bytes]) -> WireArray:
    head = struct.pack("!iiiii", 1, None in values, oid, len(values), 1)
    return WireArray(b"".join((head, *elements)))


_ENCODERS: Final[dict[type[TypeEngine[Any]], Encode]] = {
    SMALLINT: _of_integers(_INT2, "!ih"),
    INTEGER: _of_integers(_INT4, "!ii"),
    BIGINT: _of_integers(_INT8, "!iq"),
    UUID: _of_uuids,
    TEXT: of_text,
    VARCHAR: of_text,
    BYTEA: of_bytes,
}
