"""Values that are bound to their row: one that was put into another row does not open there.

    from mycelium_fractal_net.integrations.sqlalchemy.rows import RowBound

    class Patient(Base):
        __tablename__ = "patients"
        id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
        diagnosis = RowBound(String(200), key_id="patients")

For mapped classes whose primary key is known before a row is inserted. docs/sqlalchemy.md says what
it costs, and when to take it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import event, inspect
from sqlalchemy.orm import Mapper, mapped_column

from mycelium_fractal_net.integrations.application import application_keyring
from mycelium_fractal_net.integrations.fields import copied
from mycelium_fractal_net.integrations.sqlalchemy.kinds import codec_of
from mycelium_fractal_net.integrations.sqlalchemy.locating import identity
from mycelium_fractal_net.integrations.sqlalchemy.row_values import (
    RowValue,
    SealedRow,
    row_binding,
)
from mycelium_fractal_net.security.errors import InvalidInputError, MfnError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.types import TypeEngine

__all__ = ["RowBound"]


class RowBound:
    """An attribute of a mapped class, and its column, whose values are bound to their row.

    Sealed under ``key_id`` for the names of table and column and for the primary key, of whole
    numbers, text, bytes or UUIDs, which is given to the object or made by a default in Python:
    :class:`InvalidInputError` where the database would make it, and where it is changed.

    The object alone reads and writes the value. A statement of Core, or in bulk, that would write
    it is refused, and one that reads it gets :class:`.RowValue`, which shows nothing. It is not
    searched, but for ``is_(None)``. Errors name table, column and row, and never the value.
    """

    def __init__(
        self,
        kind: TypeEngine[Any] | type[TypeEngine[Any]],
        *,
        key_id: str,
        nullable: bool = False,
    ) -> None:
        self._type = SealedRow(kind, key_id)
        self._codec = codec_of(self._type.kind)
        self._nullable = nullable
        self._attribute = ""

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self._attribute = f"_row_bound_{name}"
        setattr(owner, self._attribute, mapped_column(name, self._type, nullable=self._nullable))
        event.listen(owner, "before_insert", self._before_insert, propagate=True)
        event.listen(owner, "before_update", self._before_update, propagate=True)

    def __get__(self, row: Any, owner: type[Any]) -> Any:
        if row is None:
            return getattr(owner, self._attribute)
        value: RowValue | None = getattr(row, self._attribute)
        if value is None:
            return None
        if value.spelled is None:
            value.spelled = self._opened(row, value)
        try:
            return self._codec.read(value.spelled)
        except MfnError as error:
            raise self._named(error, row) from None

    def __set__(self, row: Any, value: Any) -> None:
        made = None
        if value is not None:
            try:
                made = RowValue(spelled=self._codec.encode(value))
            except MfnError as error:
                raise self._named(error, row) from None
        setattr(row, self._attribute, made)

    # Sealing, as its row is stored ---------------------------------------------------------

    def _before_insert(self, mapper: Mapper[Any], _connection: Any, row: Any) -> None:
        self._seal(mapper, row, [self._known(mapper, row, each) for each in mapper.primary_key])

    def _before_update(self, mapper: Mapper[Any], _connection: Any, row: Any) -> None:
        state = inspect(row)
        for each in mapper.primary_key:
            if state.attrs[mapper.get_property_by_column(each).key].history.has_changes():
                raise self._named(
                    InvalidInputError(
                        "the primary key of a row with values that are bound to it stays as it is"
                    ),
                    row,
                )
        if state.attrs[self._attribute].history.has_changes():
            self._seal(mapper, row, state.identity)

    def _seal(self, mapper: Mapper[Any], row: Any, key: Sequence[Any]) -> None:
        value: RowValue | None = getattr(row, self._attribute)
        if value is None:
            return
        column = self._column(mapper)
        binding = row_binding(column.table.name, column.name, key)
        if value.sealed is not None and value.binding == binding:
            return
        if value.spelled is None:
            raise self._named(
                InvalidInputError("the value is of another row: assign it, and not what is stored"),
                row,
            )
        try:
            value.sealed = application_keyring().encrypt(
                value.spelled, key_id=self._type.key_id, associated_data=binding
            )
        except MfnError as error:
            raise self._named(error, row) from None
        value.binding = binding

    def _known(self, mapper: Mapper[Any], row: Any, column: Any) -> Any:
        """A part of the primary key, made now where its default would make it a moment later."""
        name = mapper.get_property_by_column(column).key
        value = getattr(row, name)
        if value is None:
            default: Any = column.default
            if default is not None and default.is_callable:
                value = default.arg(None)
            elif default is not None and default.is_scalar:
                value = default.arg
            if value is None:
                raise self._named(
                    InvalidInputError(
                        f"its value is bound to the row, whose {column.name} is not known before it"
                        " is inserted: give it, or a default in Python such as uuid4"
                    ),
                    row,
                )
            setattr(row, name, value)
        return value

    # Opening -------------------------------------------------------------------------------

    def _opened(self, row: Any, value: RowValue) -> bytes:
        state = inspect(row)
        column = self._column(state.mapper)
        try:
            if state.identity is None or value.sealed is None:
                raise InvalidInputError("the value is of another row")
            return application_keyring().decrypt(
                value.sealed,
                key_id=self._type.key_id,
                associated_data=row_binding(column.table.name, column.name, state.identity),
            )
        except MfnError as error:
            raise self._named(error, row) from None

    def _column(self, mapper: Mapper[Any]) -> Any:
        return mapper.column_attrs[self._attribute].columns[0]

    def _named(self, error: MfnError, row: Any) -> MfnError:
        """The error with table, column and row in front."""
        state = inspect(row)
        column = self._column(state.mapper)
        where = f"{column.table.name}.{column.name}"
        if state.identity is not None:
            names = [each.name for each in state.mapper.primary_key]
            where = f"{where}, {identity(names, state.identity)}"
        return copied(error, f"{where}: ")
