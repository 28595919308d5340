"""The tag in front of a stored value in SQL, and rows whose tag is one of a list.

Of both each database makes what its index is on: an expression here, a prefix on MariaDB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import BindParameter, Boolean, ColumnElement, LargeBinary, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import Grouping
from sqlalchemy.sql.visitors import InternalTraversal

from mycelium_fractal_net.security.records.index_fields import TAG_BYTES

if TYPE_CHECKING:
    from sqlalchemy.sql.compiler import SQLCompiler

BINARY: Final = LargeBinary()
_BOOLEAN: Final = Boolean()
_BARE: Final = (None, operators.and_, operators.or_, operators.inv, operators._asbool)
_OF_RESULTS: Final = ("add_to_result_map", "within_columns_clause", "within_label_clause")


def tag_of(column: ColumnElement[Any], tag_bytes: int = TAG_BYTES) -> ColumnElement[bytes]:
    """The tag in front of a stored value, as an expression that its index is on."""
    return StoredTag(column, tag_bytes)


def inside(options: dict[str, Any]) -> dict[str, Any]:
    """A compiler's options for what stands inside an expression, and is no result by itself."""
    return {name: given for name, given in options.items() if name not in _OF_RESULTS}


class StoredTag(ColumnElement[bytes]):
    """The first ``tag_bytes`` bytes of a column."""

    __visit_name__ = "encrypted_stored_tag"
    inherit_cache = True
    _traverse_internals = [  # noqa: RUF012 - as SQLAlchemy declares it
        ("column", InternalTraversal.dp_clauseelement),
        ("tag_bytes", InternalTraversal.dp_plain_obj),
    ]

    def __init__(self, column: ColumnElement[Any], tag_bytes: int) -> None:
        self.column = column
        self.tag_bytes = tag_bytes
        self.type = BINARY
        self._propagate_attrs = column._propagate_attrs

    @property
    def _from_objects(self) -> Any:
        return self.column._from_objects


class Condition(ColumnElement[bool]):
    """What is true of a row by the tag in one of its columns; ``wanted`` is turned by NOT."""

    column: ColumnElement[Any]
    wanted: bool

    def __init__(self, column: ColumnElement[Any], *, wanted: bool) -> None:
        self.column = column
        self.wanted = wanted
        self.type = _BOOLEAN
        self._propagate_attrs = column._propagate_attrs

    @property
    def _from_objects(self) -> Any:
        return self.column._from_objects

    def self_group(self, against: Any = None) -> Any:  # noqa: D102 - as SQLAlchemy's
        return self if against in _BARE else Grouping(self)

    def _negate(self) -> ColumnElement[Any]:
        made = self._clone()
        made.wanted = not self.wanted
        return made


class TagAmong(Condition):
    """Whether a row's tag is one of those in a parameter that SQLAlchemy expands into a list."""

    __visit_name__ = "encrypted_tag_among"
    inherit_cache = True
    _traverse_internals = [  # noqa: RUF012 - as SQLAlchemy declares it
        ("column", InternalTraversal.dp_clauseelement),
        ("tag_bytes", InternalTraversal.dp_plain_obj),
        ("given", InternalTraversal.dp_clauseelement),
        ("wanted", InternalTraversal.dp_boolean),
    ]

    def __init__(
        self,
        column: ColumnElement[Any],
        tag_bytes: int,
        given: BindParameter[Any],
        *,
        wanted: bool = True,
    ) -> None:
        super().__init__(column, wanted=wanted)
        self.tag_bytes = tag_bytes
        self.given = given


def tag_among(column: ColumnElement[Any], tag_bytes: int, tags: list[bytes]) -> TagAmong:
    """Rows whose tag in ``column`` is one of these."""
    given = bindparam(None, tags, unique=True, expanding=True, type_=BINARY)
    return TagAmong(column, tag_bytes, given)


@compiles(StoredTag)
def _tag(element: StoredTag, compiler: SQLCompiler, **options: Any) -> str:
    # The numbers are literals: with bound ones SQLite does not see that it is the index's.
    column = compiler.process(element.column, **inside(options))
    return f"substr({column}, 1, {element.tag_bytes:d})"


@compiles(TagAmong)
def _among(element: TagAmong, compiler: SQLCompiler, **options: Any) -> str:
    tag = StoredTag(element.column, element.tag_bytes)
    listed = tag.in_(element.given) if element.wanted else tag.not_in(element.given)
    return compiler.process(listed, **inside(options))
