"""What may be asked of an encrypted column: equality, by tags that are made as it is executed.

A statement that is kept, and a compiled one that SQLAlchemy keeps, goes on finding rows after the
index key was rotated: the tags of all versions are asked for at each execution.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import ColumnElement, LargeBinary
from sqlalchemy.sql import operators
from sqlalchemy.types import TypeDecorator

from mycelium_fractal_net.integrations.fields import RefusedQueryError
from mycelium_fractal_net.integrations.sqlalchemy.matching import TagMatch

if TYPE_CHECKING:
    from mycelium_fractal_net.integrations.sqlalchemy.encrypted import Encrypted

_BINARY: Final = LargeBinary()
_EQUAL: Final = {operators.eq: True, operators.ne: False}
_AMONG: Final = {operators.in_op: True, operators.not_in_op: False}
_NULL: Final = (operators.is_, operators.is_not)


def may_equal(column: Any, *values: Any) -> ColumnElement[bool]:
    """Rows whose value may be one of these: for an index whose tags are cut short.

    The caller opens what is found and leaves out what is not meant.
    """
    found = column.__clause_element__() if hasattr(column, "__clause_element__") else column
    comparator: EncryptedComparator = found.comparator
    return comparator.among(values, whole=False)


class EncryptedComparator(TypeDecorator.Comparator[Any]):
    """The operators of an encrypted column. Whatever is not below is refused as it is built."""

    def operate(self, op: Any, *other: Any, **options: Any) -> ColumnElement[Any]:
        """``==``, ``!=``, ``in_`` and ``not_in`` with values, and ``is_(None)``."""
        if op in _EQUAL:
            if _is_sql(other[0]) and hash(other[0]) == hash(self.expr):
                # SQLAlchemy looks columns up in dicts, where a column meets itself with other
                # annotations. Who executes the comparison is refused then.
                return super().operate(op, *other, **options)
            if other[0] is None or _is_null(other[0]):
                return super().operate(
                    operators.is_ if _EQUAL[op] else operators.is_not, *other, **options
                )
            return self.among([other[0]], whole=True, wanted=_EQUAL[op])
        if op in _AMONG:
            return self.among(self._values(other[0]), whole=True, wanted=_AMONG[op])
        if op in _NULL and (other[0] is None or _is_null(other[0])):
            return super().operate(op, *other, **options)
        raise self._refused(f"{getattr(op, '__name__', 'this')} asks for the plaintext")

    def reverse_operate(self, op: Any, other: Any, **options: Any) -> ColumnElement[Any]:
        """As :meth:`operate`, for the equality that is the same from both sides."""
        if op in _EQUAL:
            return self.operate(op, other, **options)
        raise self._refused(f"{getattr(op, '__name__', 'this')} asks for the plaintext")

    def among(
        self, values: Iterable[Any], *, whole: bool, wanted: bool = True
    ) -> ColumnElement[bool]:
        """Rows with the tag of one of these, or of none. ``whole`` where no other value has it."""
        kind = self._kind
        if kind.index is None:
            raise self._refused("it has no index to search by")
        if whole and kind.bits is not None:
            raise self._refused("its tags are cut short: ask may_equal() and compare what you open")
        spelled = [self._spelled(each) for each in values]
        return TagMatch(kind, self.expr, spelled, wanted=wanted)

    def _values(self, given: Any) -> list[Any]:
        if _is_sql(given):
            raise self._refused("it is compared with values, not with what the database computes")
        if isinstance(given, str | bytes) or not isinstance(given, Iterable):
            raise self._refused("in_() takes a list of values")
        return list(given)

    def _spelled(self, value: Any) -> bytes:
        if _is_sql(value):
            raise self._refused("it is compared with values, not with what the database computes")
        if value is None:
            raise self._refused("a list has no None: ask is_(None) beside it")
        return self._kind.spelled(value)

    @property
    def _kind(self) -> Encrypted:
        # Not self.type: a comparator that was pickled was made before its column had one.
        return cast("Encrypted", self.expr.type)

    def _refused(self, why: str) -> RefusedQueryError:
        return RefusedQueryError(f"{self._kind.place}: {why}")


def _is_sql(value: Any) -> bool:
    return hasattr(value, "__clause_element__") or hasattr(value, "__visit_name__")


def _is_null(value: Any) -> bool:
    return getattr(value, "__visit_name__", None) == "null"
