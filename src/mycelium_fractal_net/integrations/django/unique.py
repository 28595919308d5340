"""Uniqueness of an encrypted field: that of its tag, at each step of a rotation of the index key.

All writers store tags of one version, so the database's constraint keeps equal values apart. While
another version waits, or rows have tags of a former one, a value may be there that the constraint
does not see. What is written is then not the new value alone, but that of the row that has it
already, where there is one: its tag is there twice, and the constraint refuses it. That is within
the one statement. PostgreSQL waits in it for a sweep that is at that very row, and takes what has
become of the row: else its former tag, soon gone, would hold the constraint back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS, NotSupportedError
from django.db.models import UniqueConstraint
from django.db.models.sql.compiler import SQLInsertCompiler
from django.utils.deconstruct import deconstructible

from mycelium_fractal_net.integrations.django.tags import Tag
from mycelium_fractal_net.security.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

_OTHER: Final = "mfn_other"
_OPTIONS: Final = {"violation_error_code", "violation_error_message"}
_LITERALS: Final = {"sqlite": "X'{}'", "postgresql": "'\\x{}'::bytea"}
_WAITING: Final = {"sqlite": "", "postgresql": " FOR SHARE"}


@deconstructible(path="mycelium_fractal_net.integrations.django.UniqueTag")
class UniqueTag(UniqueConstraint):  # type: ignore[misc]
    """No two rows have the same value in the encrypted field of that name; any number have none.

    In ``Meta.constraints``. Validation finds what any version of the index key has tagged. For
    searches it is the index too.

    ``fields`` names its field to those who look there for what to validate, as serializers of the
    Django REST framework do. The schema is told of the tag alone.
    """

    uses_tags: Final = True

    def __init__(self, field: str, *, name: str, **options: Any) -> None:
        more = options.keys() - _OPTIONS
        if more:
            raise ConfigurationError(
                f"UniqueTag is of one field and of all rows: it takes no {', '.join(sorted(more))}"
            )
        super().__init__(Tag(field), name=name, **options)
        self.field = field
        self.fields = (field,)

    def deconstruct(self) -> tuple[str, Sequence[Any], dict[str, Any]]:
        """What makes it anew."""
        path, _, keywords = super().deconstruct()
        del keywords["fields"]
        return path, (self.field,), keywords

    def constraint_sql(self, model: Any, schema_editor: Any) -> Any:
        """As part of a table's definition: nothing, an index is made beside it."""
        return self._of_the_tag().constraint_sql(model, schema_editor)

    def create_sql(self, model: Any, schema_editor: Any) -> Any:
        """What makes the index."""
        return self._of_the_tag().create_sql(model, schema_editor)

    def _of_the_tag(self) -> UniqueConstraint:
        """The same without ``fields``, of which the schema would index the columns."""
        _, _, keywords = self.deconstruct()
        return UniqueConstraint(Tag(self.field), **keywords)

    def validate(
        self,
        model: Any,
        instance: Any,
        exclude: Any = None,
        using: str = DEFAULT_DB_ALIAS,
    ) -> None:
        """Raise ValidationError, under the field's name, where another row has the value."""
        field = model._meta.get_field(self.field)
        value = getattr(instance, field.attname)
        if value is None or (exclude and self.field in exclude):
            return
        others = model._default_manager.using(using).filter(**{self.field: value})
        if not instance._state.adding and instance.pk is not None:
            others = others.exclude(pk=instance.pk)
        if others.exists():
            if self.violation_error_message == self.default_violation_error_message:
                raise ValidationError(
                    {self.field: instance.unique_error_message(model, (self.field,))}
                )
            raise ValidationError(
                {
                    self.field: ValidationError(
                        self.get_violation_error_message(), code=self.violation_error_code
                    )
                }
            )


def is_unique(field: Any) -> bool:
    """Whether a constraint of its model keeps the values of ``field`` apart."""
    return any(
        isinstance(each, UniqueTag) and each.field == field.name
        for each in field.model._meta.constraints
    )


class Stored(bytes):
    """What is stored for a value, and its tags of the versions that do not store now."""

    others: list[bytes]

    def __new__(cls, stored: bytes, others: list[bytes]) -> Stored:  # noqa: D102
        made = super().__new__(cls, stored)
        made.others = others
        return made


def placeholder(field: Any, value: Any, compiler: Any, connection: Any) -> str:
    """What stands for ``value`` in an INSERT or UPDATE: ``%s``, and what the module says.

    In an UPDATE the row itself is none of the others. Tags are written out, since a field has one
    parameter; they are no secret, being stored.
    """
    if not isinstance(value, Stored):
        is_bytes = isinstance(value, bytes) and connection.vendor == "mysql"
        return "_binary %s" if is_bytes else "%s"
    literal = _LITERALS.get(connection.vendor)
    if literal is None:
        raise NotSupportedError(
            f"{field} is unique and its index key has several versions: here that is for SQLite"
            " and PostgreSQL alone"
        )

    def quoted(name: str) -> str:
        return str(connection.ops.quote_name(name)).replace("%", "%%")

    meta = field.model._meta
    table, column = quoted(meta.db_table), quoted(field.column)
    tags = ", ".join(
        literal.format(each.hex()) for each in (value[: field.tag_bytes], *value.others)
    )
    found = (
        f"SELECT {_OTHER}.{column} FROM {table} {_OTHER}"  # noqa: S608
        f" WHERE SUBSTR({_OTHER}.{column}, 1, {field.tag_bytes}) IN ({tags})"
    )
    if not isinstance(compiler, SQLInsertCompiler):
        keys = [quoted(each.column) for each in meta.pk_fields]  # several of a composite key
        itself = " AND ".join(f"{_OTHER}.{key} = {table}.{key}" for key in keys)
        found += f" AND NOT ({itself})"
    return f"COALESCE(({found} LIMIT 1{_WAITING[connection.vendor]}), %s)"
