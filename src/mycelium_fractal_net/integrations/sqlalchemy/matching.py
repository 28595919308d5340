"""Rows with the tag of a value: what ``column == value`` and ``column.in_(values)`` are in SQL.

Of one value there is a parameter for each version of the index key: their number is a part of what
SQLAlchemy caches a statement by, and looked up at each execution. A parameter that SQLAlchemy
expands into a list costs as much as the rest of a search, and serves for several values alone.

The parameters are made with the key of the statement, and are no part of the element: one that
SQLAlchemy has compiled takes the values of those of the statement that is executed.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import BindParameter, ColumnElement, LargeBinary, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.visitors import InternalTraversal

from mycelium_fractal_net.integrations.fields import flattened
from mycelium_fractal_net.integrations.sqlalchemy.stored_tag import (
    BINARY,
    Condition,
    TagAmong,
    inside,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.sql.cache_key import CacheKey
    from sqlalchemy.sql.compiler import SQLCompiler

    from mycelium_fractal_net.integrations.sqlalchemy.encrypted import Encrypted

_T = TypeVar("_T")
_P = TypeVar("_P", bound=BindParameter[Any])
_TAG: Final = LargeBinary()  # known by being this one
_numbers: Final = itertools.count()
_SENT: Final = {  # by whether SQLAlchemy expands it into a list
    listed: BindParameter("tag", None, type_=_TAG, required=False, expanding=listed).__dict__
    for listed in (False, True)
}
_NOT_SENT: Final = BindParameter("spelled", None, type_=BINARY, required=False).__dict__


class _Spelled(BindParameter[Any]):
    """What values are spelled as. It is never sent, so nothing of it is in a statement's text."""

    inherit_cache = True

    def _gen_cache_key(self, anon_map: Any, bindparams: list[Any]) -> Any:
        number, met = anon_map.get_anon(self)
        if not met:
            bindparams.append(self)
        return number, _Spelled


def _parameter(kind: type[_P], like: dict[str, Any], key: str, value: Any) -> _P:
    """As the constructor makes it, in a tenth of the time."""
    made = kind.__new__(kind)
    made.__dict__ = {**like, "key": key, "_identifying_key": key, "unique": True, "value": value}
    return made


class TagMatch(Condition):
    """Whether a row's tag is of one of these values, under any version; or of none of them.

    What they are spelled as stands in a parameter that is never sent: SQLAlchemy replaces the
    parameters of a statement that it has compiled by those of the one that is executed.
    """

    __visit_name__ = "encrypted_tag_match"
    inherit_cache = True
    _traverse_internals = [  # noqa: RUF012 - as SQLAlchemy declares it
        ("column", InternalTraversal.dp_clauseelement),
        ("spelled", InternalTraversal.dp_clauseelement),
        ("wanted", InternalTraversal.dp_boolean),
        ("listed", InternalTraversal.dp_boolean),
    ]

    def __init__(
        self, kind: Encrypted, column: ColumnElement[Any], spelled: list[bytes], *, wanted: bool
    ) -> None:
        super().__init__(column, wanted=wanted)
        number = next(_numbers)
        self.kind = kind
        self.spelled = _parameter(_Spelled, _NOT_SENT, f"spelled_{number}", spelled)
        self.listed = len(spelled) != 1
        self._number = number

    def __setstate__(self, state: dict[str, Any]) -> None:
        """With a number of this process: that of another may be taken here."""
        self.__dict__ = {**state, "_number": next(_numbers)}

    def tags(self) -> list[bytes]:
        """The tags to search for, as they are now."""
        field = self.kind.field
        spelled: list[bytes] = self.spelled.value or []
        if len(spelled) == 1:
            return field.tags(spelled[0])
        return flattened([field.tags(each) for each in spelled])

    def among(self, tags: list[bytes] | BindParameter[Any] | None = None) -> ColumnElement[bool]:
        """The same as a list: of these tags, or of those at the time when it is executed."""
        given = tags
        if not isinstance(given, BindParameter):
            asked = self.tags if tags is None else None
            given = bindparam(
                None, tags, unique=True, expanding=True, type_=BINARY, callable_=asked
            )
        return TagAmong(self.column, self.kind.tag_bytes, given, wanted=self.wanted)

    def names_in(self, compiled: SQLCompiler) -> list[str]:
        """What its parameters are called there; empty where they are of that time."""
        return self._each_in({each.key: name for each, name in compiled.bind_names.items()})

    def places_in(self, compiler: SQLCompiler) -> list[BindParameter[Any]]:
        """Its parameters in a statement that is compiled for the cache; empty where it is not."""
        known = compiler._cache_key_bind_match
        return [] if known is None else self._each_in(known[1])

    def _each_in(self, found: Mapping[str, _T]) -> list[_T]:
        keys = map(self._key, itertools.count())
        return [found[each] for each in itertools.takewhile(found.__contains__, keys)]

    def _key(self, place: int) -> str:
        """What one of its parameters is called, in copies of the element as well."""
        return f"tag_{self._number}_{place}"

    def _gen_cache_key(self, anon_map: Any, bindparams: list[Any]) -> Any:
        found = ColumnElement._gen_cache_key(self, anon_map, bindparams)  # super() takes 8 us
        if found is None:
            return None
        tags: list[Any] = self.tags()
        if self.listed:
            tags = [tags]
        like = _SENT[self.listed]
        for place, each in enumerate(tags):
            bindparams.append(_parameter(BindParameter, like, self._key(place), each))
        return (*found, len(tags))


def has_tags(key: CacheKey | None) -> bool:
    """Whether the statement of that key has tags in its parameters, which are those of that time.

    Nothing else of a process is asked more than this: it is called for each of its statements that
    is executed again.
    """
    return key is not None and any(each.type is _TAG for each in key.bindparams)


@compiles(TagMatch)
def _sql(element: TagMatch, compiler: SQLCompiler, **options: Any) -> str:
    options = inside(options)
    places = element.places_in(compiler)
    if not places or element.listed:  # without: it is cached by other names, or not at all
        return compiler.process(element.among(*places), **options)
    tag = f"substr({compiler.process(element.column, **options)}, 1, {element.kind.tag_bytes:d})"
    given = ", ".join(compiler.process(each, **options) for each in places)
    if len(places) == 1:
        return f"{tag} {'=' if element.wanted else '!='} {given}"
    return f"{tag} {'IN' if element.wanted else 'NOT IN'} ({given})"
