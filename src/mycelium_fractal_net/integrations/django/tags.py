"""The tag in front of an encrypted value, for indexes and constraints."""

from __future__ import annotations

from typing import Any, Final

from django.db.models import BinaryField, Func
from django.utils.deconstruct import deconstructible

from mycelium_fractal_net.integrations.django.refusals import refused


@deconstructible(path="mycelium_fractal_net.integrations.django.Tag")
class Tag(Func):  # type: ignore[misc]
    """The tag of the encrypted field of that name: ``Index(Tag("email"), name="by_email")``.

    Equal values have equal tags, as long as one version of the index key makes them.
    """

    uses_tags: Final = True
    arity = 1
    output_field = BinaryField()

    def __init__(self, field: Any) -> None:
        super().__init__(field)
        self.named = field if isinstance(field, str) else getattr(field, "name", "")

    def as_sql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, Any]:
        """``SUBSTR("email", 1, 32)``. Raises :class:`.RefusedError` where there is no tag."""
        (column,) = self.get_source_expressions()
        if not getattr(column, "is_encrypted", False):
            raise refused(column, "a tag is that of an encrypted field")
        if not column.target.tag_bytes:
            raise refused(column.target, "it has no index, and so no tag")
        found: tuple[str, Any] = column.tag_sql(compiler, connection)
        return found
