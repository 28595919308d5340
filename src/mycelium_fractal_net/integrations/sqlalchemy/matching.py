"""Rows with the tag of a value: what ``column == value`` and ``column.in_(values)`` are in SQL.

Of one value there is a parameter for each version of the index key: their number is a part of what
SQLAlchemy caches a statement by, and looked up at each execution. A parameter that SQLAlchemy
expands into a list costs as much as the rest of a search, and serves for several values alone.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import BindParameter, ColumnElement, bindparam
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
    from sqlalchemy.sql.compiler import SQLCompiler

    from mycelium_fractal_net.integrations.sqlalchemy.encrypted import Encrypted

_growing: Final = threading.Lock()


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
        self.kind = kind
        self.spelled: BindParameter[Any] = BindParameter(None, spelled, type_=BINARY, unique=True)
        self.listed = len(spelled) != 1
        self._places: tuple[BindParameter[Any], ...] = ()

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
        names = {each.key: name for each, name in compiled.bind_names.items()}
        return [names[each.key] for each in self._places if each.key in names]

    def places_in(self, compiler: SQLCompiler) -> list[BindParameter[Any]]:
        """Its parameters in a statement that is compiled for the cache; empty where it is not."""
        known = compiler._cache_key_bind_match
        return [] if known is None else [each for each in self._places if each.key in known[1]]

    def _gen_cache_key(self, anon_map: Any, bindparams: list[Any]) -> Any:
        found = super()._gen_cache_key(anon_map, bindparams)
        if found is None:
            return None
        tags: list[Any] = self.tags()
        if self.listed:
            tags = [tags]
        for place, given in zip(self._placed(len(tags)), tags, strict=False):
            bindparams.append(_given(place, given))
        return (*found, len(tags))

    def _placed(self, number: int) -> tuple[BindParameter[Any], ...]:
        """At least so many parameters, each with the name that it keeps: threads share them."""
        if len(self._places) < number:
            with _growing:
                while len(self._places) < number:
                    made: BindParameter[Any] = BindParameter(
                        None, None, type_=BINARY, unique=True, required=False,
                        expanding=self.listed,
                    )  # fmt: skip
                    self._places = (*self._places, made)
        return self._places


def _given(place: BindParameter[Any], value: Any) -> BindParameter[Any]:
    """The parameter with a value, under its name. What SQLAlchemy has for it takes 7 us."""
    made = place.__class__.__new__(place.__class__)
    made.__dict__ = {**place.__dict__, "value": value}
    return made


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
