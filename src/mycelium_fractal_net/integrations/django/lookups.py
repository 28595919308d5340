"""How an encrypted field is searched: ``exact``, ``in`` and ``isnull``, and what its index adds.

``iexact`` is ``exact`` where the index is caseless. Tags that are cut short answer no equality:
``may_equal`` finds rows whose value may be that one, and the application compares what it opens.

Tags are made when a query is compiled to be run, so a queryset that was kept finds rows after the
index key was rotated too.
"""

from __future__ import annotations

from typing import Any, Final

from django.core.exceptions import EmptyResultSet
from django.db.models import Lookup
from django.db.models.lookups import IsNull

from mycelium_fractal_net.integrations.django.refusals import refuse_negated, refused
from mycelium_fractal_net.integrations.fields import flattened


class _OfEncrypted(Lookup):  # type: ignore[misc]
    """The left side is the column of an encrypted field, and nothing else."""

    uses_tags: Final = True

    def __init__(self, lhs: Any, rhs: Any) -> None:
        if not getattr(lhs, "is_encrypted", False):
            raise refused(lhs.output_field, "it is searched where it is a column")
        super().__init__(lhs, rhs)


class _ByTags(_OfEncrypted):
    """The right side is plaintext, of which only tags go to the database."""

    finds_too_many = False

    def get_prep_lookup(self) -> Any:
        """The values to search for."""
        field = self.lhs.target
        if self.rhs is None:  # which Django then makes isnull of
            return None
        check_search(field, self.lookup_name)
        return [self._prepared(field, each) for each in self._values()]

    def _values(self) -> Any:
        return (self.rhs,)

    @staticmethod
    def _prepared(field: Any, value: Any) -> Any:
        if hasattr(value, "resolve_expression"):
            raise refused(field, "it is compared to values, not to what a query finds")
        return field.get_prep_value(value)

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        """``SUBSTR(column, 1, 32) IN (tags of every version)``."""
        field = self.lhs.target
        if not compiler.query.alias_cols:  # Django's sign of a query that goes into the schema
            raise refused(field, "a schema holds no search: its tags are those of today")
        tags = flattened([field.search_tags(each) for each in self.rhs if each is not None])
        if not tags:
            raise EmptyResultSet
        sql, params = self.lhs.tag_sql(compiler, connection)
        if len(tags) == 1:
            return f"{sql} = %s", (*params, *tags)
        most = connection.ops.max_in_list_size() or len(tags)
        parts = [tags[start : start + most] for start in range(0, len(tags), most)]
        found = " OR ".join(f"{sql} IN ({', '.join(['%s'] * len(part))})" for part in parts)
        every = [each for part in parts for each in (*params, *part)]
        return (f"({found})" if len(parts) > 1 else found), every


class EncryptedExact(_ByTags):
    """``email="alice@example.com"``."""

    lookup_name = "exact"


class EncryptedIExact(EncryptedExact):
    """``email__iexact="Alice@example.com"``: the index itself takes both spellings for one."""

    lookup_name = "iexact"


class EncryptedMayEqual(_ByTags):
    """``town__may_equal="Graz"``: each row that has the value, and some that have others."""

    lookup_name = "may_equal"
    finds_too_many = True

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        """As its base; raises :class:`.RefusedError` in ``exclude()`` and ``~Q()``."""
        refuse_negated(self.lhs, compiler)
        return super().as_sql(compiler, connection)


class EncryptedIn(_ByTags):
    """``email__in=[…]``; an empty list finds nothing, and None in one is left out."""

    lookup_name = "in"

    def _values(self) -> Any:
        if hasattr(self.rhs, "resolve_expression"):
            raise refused(self.lhs.target, "it is compared to values, not to what a query finds")
        return self.rhs


class EncryptedIsNull(_OfEncrypted, IsNull):  # type: ignore[misc]
    """``email__isnull=True``."""

    def process_lhs(self, compiler: Any, connection: Any, _lhs: Any = None) -> tuple[str, Any]:
        """The column itself."""
        found: tuple[str, Any] = self.lhs.stored_sql(compiler, connection)
        return found


_LOOKUPS: Final = {
    each.lookup_name: each
    for each in (EncryptedExact, EncryptedIn, EncryptedIsNull, EncryptedIExact, EncryptedMayEqual)
}


def lookup_of(field: Any, name: str) -> Any:
    """The lookup of that name. Raises :class:`.RefusedError` where ``field`` cannot answer it."""
    if name not in _LOOKUPS:
        raise refused(field, f"it is searched by exact, in and isnull alone, not by {name}")
    if name == "iexact" and field.normalisation != "caseless":
        raise refused(field, 'iexact is answered by an index whose normalisation is "caseless"')
    return _LOOKUPS[name]


def check_search(field: Any, name: str) -> None:
    """Raise :class:`.RefusedError` where ``field`` is not searched by the lookup of that name."""
    lookup = lookup_of(field, name)
    if not issubclass(lookup, _ByTags):
        return
    if not field.tag_bytes:
        raise refused(field, "it has no index, so it cannot be searched")
    if field.bits is not None and not lookup.finds_too_many:
        told = f"so not by {name}: ask may_equal, and compare what you open"
        raise refused(field, f"its tags are cut short, {told}")
