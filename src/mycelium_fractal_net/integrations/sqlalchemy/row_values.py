"""The column of values that are bound to their row: what stands in it, and what it lets in.

It takes what :class:`.RowBound` has sealed for a row, and gives back what that opens for one. So no
statement of SQLAlchemy Core writes or reads such a value in plaintext: it does not have the row.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NoReturn
from uuid import UUID

from sqlalchemy import LargeBinary
from sqlalchemy.sql import operators
from sqlalchemy.types import TypeDecorator, TypeEngine, to_instance

from mycelium_fractal_net.integrations.fields import RefusedQueryError, octets
from mycelium_fractal_net.integrations.sqlalchemy import mariadb
from mycelium_fractal_net.integrations.sqlalchemy.kinds import codec_of
from mycelium_fractal_net.security.errors import InvalidInputError
from mycelium_fractal_net.security.records.field_binding import field_binding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Dialect

_LENGTH_BYTES: Final = 8
_NULL: Final = (operators.is_, operators.is_not)


def row_binding(table: str, column: str, key: Sequence[Any]) -> bytes:
    """The associated data of a row's value: table, column, and each part of the primary key.

    A part is its kind, one byte, and its bytes behind their length in 8 bytes, big-endian. Raises
    :class:`InvalidInputError` for a part that is no whole number, text, bytes or UUID.
    """
    parts = [field_binding(table, column)]
    for each in key:
        kind, written = _part(each)
        parts += (kind, len(written).to_bytes(_LENGTH_BYTES), written)
    return b"".join(parts)


def _part(value: Any) -> tuple[bytes, bytes]:
    if isinstance(value, UUID):
        return b"u", value.bytes
    if isinstance(value, str):
        return b"t", value.encode()
    if isinstance(value, bytes):
        return b"b", value
    if isinstance(value, int) and not isinstance(value, bool):
        return b"i", b"%d" % value
    raise InvalidInputError("a value is bound to a key of whole numbers, text, bytes or UUIDs")


class RowValue:
    """A value of a row, sealed or not yet. It shows neither, and is opened by the row's attribute.

    ``spelled`` are the bytes of the value, where they are known; ``sealed`` what is stored, once it
    is, for the row of ``binding``.
    """

    __slots__ = ("binding", "sealed", "spelled")

    def __init__(self, *, spelled: bytes | None = None, sealed: bytes | None = None) -> None:
        self.spelled = spelled
        self.sealed = sealed
        self.binding: bytes | None = None

    def __repr__(self) -> str:
        return "<RowValue>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a RowValue may hold plaintext, and is not pickled or copied")


class _Comparator(TypeDecorator.Comparator[Any]):
    def operate(self, op: Any, *other: Any, **options: Any) -> Any:
        if op in _NULL or (op in (operators.eq, operators.ne) and other[0] is None):
            return super().operate(op, *other, **options)
        raise RefusedQueryError("a value that is bound to its row is not searched")

    def reverse_operate(self, op: Any, other: Any, **_options: Any) -> NoReturn:  # noqa: ARG002
        raise RefusedQueryError("a value that is bound to its row is not searched")


class SealedRow(TypeDecorator[RowValue]):
    """The type of that column. Made by :class:`.RowBound`."""

    impl = LargeBinary
    cache_ok = True
    comparator_factory = _Comparator

    def __init__(self, kind: TypeEngine[Any] | type[TypeEngine[Any]], key_id: str) -> None:
        super().__init__()
        self.kind: TypeEngine[Any] = to_instance(kind)
        self.key_id = key_id
        codec_of(self.kind)  # refuses what is of no kind that there is

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Bytes, however many."""
        if dialect.name in mariadb.DIALECTS:
            return dialect.type_descriptor(mariadb.column_type(as_text=False))
        return dialect.type_descriptor(LargeBinary())

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:  # noqa: ARG002
        """What was sealed for a row; nothing else is stored."""
        if value is None:
            return None
        if not isinstance(value, RowValue) or value.sealed is None:
            raise InvalidInputError(
                "a value that is bound to its row is stored by the ORM, as it inserts or updates"
                " an object: not by Core, and not in bulk"
            )
        return value.sealed

    def process_result_value(self, value: Any, dialect: Dialect) -> RowValue | None:  # noqa: ARG002
        """What the object of its row opens."""
        return None if value is None else RowValue(sealed=octets(value))

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:  # noqa: ARG002
        """:meth:`process_result_value` alone: that of bytes takes a number for a size."""
        return functools.partial(self.process_result_value, dialect=dialect)

    def compare_values(self, x: Any, y: Any) -> bool:
        """Whether it is the same one: each assignment is stored anew."""
        return x is y

    def coerce_compared_value(self, op: Any, value: Any) -> TypeEngine[Any]:  # noqa: ARG002
        """This type: nothing that it is beside is stored as it is."""
        return self
