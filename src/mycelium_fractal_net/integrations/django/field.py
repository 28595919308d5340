"""A field of Django's models that encrypts what another one is for.

An encrypted field *is* the field that it wraps, as a class and in all that it does: validation,
forms, widgets, serializers, the admin. Other are the column, which holds ``tag || sealed message``
as bytes, and what a query may do with it.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import django
from django.db import models
from django.db.models.expressions import Case, Value, When
from django.db.models.functions import Cast

from mycelium_fractal_net.integrations.application import application_keyring
from mycelium_fractal_net.integrations.django import storage
from mycelium_fractal_net.integrations.django.columns import EncryptedCol, of_selected_subquery
from mycelium_fractal_net.integrations.django.lookups import lookup_of
from mycelium_fractal_net.integrations.django.refusals import refused
from mycelium_fractal_net.integrations.django.unique import Stored, is_unique, placeholder
from mycelium_fractal_net.integrations.django.values import codec_of
from mycelium_fractal_net.integrations.fields import EncryptedColumn, named, stored_tag_bytes
from mycelium_fractal_net.security.errors import ConfigurationError, InvalidInputError, MfnError

if TYPE_CHECKING:
    from mycelium_fractal_net.columns.source import Source
    from mycelium_fractal_net.security.records.index_fields import Normalisation

_PATH: Final = "mycelium_fractal_net.integrations.django.EncryptedField"


class EncryptedField(models.Field):  # type: ignore[misc]
    """Encrypts a field: ``EncryptedField(models.CharField(max_length=80), key_id="customers")``.

    ``field`` has all of Django's options, ``null`` and ``blank`` and ``default`` among them.
    ``key_id`` names a key of type ``encryption``. ``index`` names one of type ``index``, for
    searches by ``exact`` and ``in``; ``normalisation`` says which texts are found as the same, and
    ``bits``, 4 to 256, cuts its tags short, for ``may_equal`` alone (docs/searching.md). What is
    stored is bound to the names of table and column; where one of them is changed, ``bound_to``
    keeps the former ones, as ``("shop_customer", "email")``.

    ``as_text`` stores base64 text, in a column of text; it has no index. ``takes_over``, such as
    ``Plaintext(until="2027-03-01")``, reads also what the column held before it was encrypted, and
    is in no migration: docs/takeover.md.

    Making one opens no keyring. Raises :class:`.ConfigurationError` for what cannot be encrypted.
    """

    is_encrypted: Final = True

    def __new__(cls, field: Any = None, **_: Any) -> EncryptedField:  # noqa: D102
        wraps = isinstance(field, models.Field) and not isinstance(field, EncryptedField)
        is_bare = cls is EncryptedField and wraps
        kind: Any = type(field)
        made: EncryptedField = super().__new__(_encrypted(kind) if is_bare else cls)
        return made

    def __init__(
        self,
        field: models.Field,
        *,
        key_id: str,
        index: str | None = None,
        bits: int | None = None,
        normalisation: Normalisation = "exact",
        bound_to: tuple[str, str] | None = None,
        as_text: bool = False,
        takes_over: Source | None = None,
    ) -> None:
        _check(field)
        _, _, args, keywords = field.deconstruct()
        super().__init__(*args, **keywords)
        self.__dict__.pop("validators", None)
        self.db_index = False  # of sealed values, which SlugField asks for by itself
        self.wrapped = field
        self.codec = codec_of(field)
        self.key_id = key_id
        self.index = index
        self.bits = bits
        self.normalisation = normalisation
        self.bound_to = None if bound_to is None else tuple(bound_to)
        self.as_text = as_text
        self.takes_over = takes_over
        storage.check_storage(self.codec, as_text=as_text, index=index, takes_over=takes_over)
        self.tag_bytes = stored_tag_bytes("", key_id, index, bits, normalisation, False)
        self._at_work: EncryptedColumn | None = None

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        """For migrations: the field that is wrapped, and the names of keys; no takeover."""
        keywords: dict[str, Any] = {"key_id": self.key_id}
        if self.index is not None:
            keywords["index"] = self.index
        if self.bits is not None:
            keywords["bits"] = self.bits
        if self.normalisation != "exact":
            keywords["normalisation"] = self.normalisation
        if self.bound_to is not None:
            keywords["bound_to"] = self.bound_to
        if self.as_text:
            keywords["as_text"] = True
        return self.name, _PATH, [self.wrapped.clone()], keywords

    def __reduce__(self) -> Any:
        if hasattr(self, "model"):
            return super().__reduce__()
        _, _, args, keywords = self.deconstruct()
        return functools.partial(EncryptedField, *args, **keywords), ()

    def contribute_to_class(self, cls: Any, name: str, private_only: bool = False) -> None:
        """Become a field of that model, which an abstract one may have handed down."""
        self._at_work = None
        self.__dict__.pop("cached_col", None)
        super().contribute_to_class(cls, name, private_only=private_only)

    def check(self, **options: Any) -> list[Any]:
        """What is wrong with it by itself; of its keys see :mod:`.checks`."""
        from mycelium_fractal_net.integrations.django.checks import of_field

        return [*super().check(**options), *of_field(self)]

    @functools.cached_property
    def validators(self) -> list[Any]:
        """Those of the wrapped field, which may come from the database's type for it."""
        wrapped = self.__dict__.get("wrapped")  # not there yet while the field is made
        found: list[Any] = super().validators if wrapped is None else wrapped.validators
        return found

    # The column ---------------------------------------------------------------------------

    def get_internal_type(self) -> str:
        """Bytes, whatever the value is, or their text; but of JSON, which XML fixtures go by."""
        if isinstance(self, models.JSONField):
            return "JSONField"
        return str(storage.stored_kind(self).get_internal_type())

    def db_type(self, connection: Any) -> Any:
        """That of bytes, or of text."""
        return storage.stored_kind(self).db_type(connection)

    def cast_db_type(self, connection: Any) -> Any:
        """That of bytes, or of text."""
        return storage.stored_kind(self).cast_db_type(connection)

    def db_check(self, _connection: Any) -> None:
        """None: the database cannot look inside."""

    def db_parameters(self, connection: Any) -> dict[str, Any]:
        """Its type; no check and no collation."""
        return {"type": self.db_type(connection), "check": None}

    def at_work(self) -> EncryptedColumn:
        """What seals and opens its values, under the keyring of this process."""
        keyring = application_keyring()
        found = self._at_work
        if found is None or found.keyring is not keyring:
            table, column = self.bound_to or (self.model._meta.db_table, self.column)
            found = self._at_work = EncryptedColumn(
                keyring,
                table,
                column,
                key_id=self.key_id,
                index=self.index,
                bits=self.bits,
                normalisation=self.normalisation,
                takes_over=self.takes_over,
            )
        return found

    # Values -------------------------------------------------------------------------------

    def get_db_prep_value(
        self,
        value: Any,
        connection: Any,  # noqa: ARG002 - Django's signature
        prepared: bool = False,
    ) -> Any:
        """What is stored for ``value``. Raises :class:`.InvalidInputError`."""
        if value is None:
            return None
        if hasattr(value, "as_sql"):
            raise refused(self, "what is stored is a value, not an expression")
        if not prepared:
            value = self.get_prep_value(value)
            if value is None:
                return None
        column = self.at_work()
        most = self.max_length
        data = self._encoded(value)
        if most is not None and hasattr(value, "__len__") and len(value) > most:
            raise self._named(InvalidInputError(f"the value is longer than {most}"))
        stored = column.store(data)
        if self.as_text:
            return storage.as_text(stored)
        others = column.other_tags(data) if self.index and is_unique(self) else ()
        return Stored(stored, list(others)) if others else stored

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        """What is stored for ``value``. Of expressions only those of values of this field.

        Raises :class:`.RefusedError` for others: another column's bytes open nowhere here, and
        what a database computes would be stored in plaintext.
        """
        if not hasattr(value, "as_sql"):
            return self.get_db_prep_value(value, connection)
        if not self._is_of_values(value):
            raise refused(self, "it is set to values, not to what the database computes")
        return value

    def _is_of_values(self, expression: Any) -> bool:
        """Whether it chooses between values of this field, as ``bulk_update`` does."""
        if isinstance(expression, Value):
            return expression.value is None or expression._output_field_or_none == self
        if isinstance(expression, Case):
            parts = [each.result for each in expression.cases]
            return all(map(self._is_of_values, (*parts, expression.default)))
        return isinstance(expression, Cast | When) and all(
            map(self._is_of_values, expression.get_source_expressions()[-1:])
        )

    def get_db_converters(self, _connection: Any) -> list[Any]:
        """None of the wrapped field's, which are of what the database has for its type."""
        return [self.from_db_value]

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """The value in what was stored. Raises :class:`.DecryptionError`, naming the column."""
        if value is None:
            return None
        data = storage.opened(self, self.at_work(), value)
        try:
            found = self.codec.read(data)
        except InvalidInputError as error:
            raise self._named(error) from None
        inner = getattr(super(), "from_db_value", None)
        if inner is None or isinstance(self, models.JSONField):
            return found
        return inner(found, expression, connection)

    def search_tags(self, value: Any) -> list[bytes]:
        """The tags by which to search for what ``get_prep_value`` gave.

        Raises :class:`.RefusedError` while it is taken over: what is not sealed yet has none.
        """
        if self.takes_over is not None:
            raise refused(
                self, "it is being taken over, and a search would miss what is not sealed"
            )
        return self.at_work().tags(self._encoded(value))

    def _encoded(self, value: Any) -> bytes:
        try:
            return self.codec.encode(value)
        except MfnError as error:
            raise self._named(error) from None

    def _named(self, error: Any) -> Any:
        return named(error, self.model._meta.db_table, self.column)

    # Queries ------------------------------------------------------------------------------

    if django.VERSION >= (6, 1):

        def get_placeholder_sql(
            self, value: Any, compiler: Any, connection: Any
        ) -> tuple[str, Any]:
            """What stands for a value in an INSERT or UPDATE."""
            if hasattr(value, "as_sql"):
                found: tuple[str, Any] = compiler.compile(value)
                return found
            return placeholder(self, value, compiler, connection), [value]
    else:

        def get_placeholder(self, value: Any, compiler: Any, connection: Any) -> str:
            """What stands for a value in an INSERT or UPDATE."""
            return placeholder(self, value, compiler, connection)

    def get_col(self, alias: str | None, output_field: Any = None) -> EncryptedCol:
        """Its column in a query."""
        if alias == self.model._meta.db_table and output_field in (None, self):
            return self.cached_col
        return EncryptedCol(alias, self, output_field)

    @functools.cached_property
    def cached_col(self) -> EncryptedCol:
        """The column of the model's own table."""
        return EncryptedCol(self.model._meta.db_table, self)

    def select_format(self, compiler: Any, sql: str, params: Any) -> tuple[str, Any]:
        """How an expression of this field is selected: a subquery for its column may be."""
        return of_selected_subquery(self, compiler, sql), params

    def get_lookup(self, lookup_name: str) -> Any:
        """``exact``, ``in`` or ``isnull``, ``iexact`` where the index is caseless, ``may_equal``.

        Raises :class:`.RefusedError` for any other.
        """
        return lookup_of(self, lookup_name)

    def get_transform(self, lookup_name: str) -> None:
        """Raises :class:`.RefusedError`: there is none."""
        raise refused(self, f"there is no {lookup_name} of it")


@functools.cache
def _encrypted(kind: Any) -> type[EncryptedField]:
    """The class that is an encrypted field and a ``kind``, which forms and the admin go by."""
    return type(f"Encrypted{kind.__name__}", (EncryptedField, kind), {"__module__": __name__})


def _check(field: Any) -> None:
    """Raise :class:`ConfigurationError` for a field that is nothing that can be encrypted."""
    if not isinstance(field, models.Field) or isinstance(field, EncryptedField):
        raise ConfigurationError("what is encrypted is a field, such as models.CharField(...)")
    if hasattr(field, "model"):
        raise ConfigurationError("the field is one of a model already: give a new one")
    if field.is_relation or field.primary_key or isinstance(field, models.FileField):
        raise ConfigurationError(
            f"a {type(field).__name__} is not encrypted: relations, primary keys and files are"
            " found by what is stored"
        )
    if field.has_db_default():
        raise ConfigurationError(
            "db_default is made by the database, which has no key: use default"
        )
    if getattr(field, "db_collation", None):
        raise ConfigurationError(
            "db_collation is how the database compares: normalisation says what is the same"
        )
    if field.unique:
        raise ConfigurationError(
            'unique of an encrypted field is a constraint: UniqueTag("name_of_the_field", name=...)'
            " in Meta.constraints"
        )
