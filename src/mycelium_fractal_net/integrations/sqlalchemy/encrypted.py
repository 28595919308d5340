"""The column type ``Encrypted``: values sealed as they are stored, and found by their tags."""

from __future__ import annotations

import functools
import weakref
import zlib
from binascii import b2a_base64
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Column, Index, LargeBinary, Table, Text, event
from sqlalchemy.types import TypeDecorator, TypeEngine, to_instance

from mycelium_fractal_net.integrations.application import APPLICATION, application_keyring
from mycelium_fractal_net.integrations.fields import (
    EncryptedColumn,
    copied,
    octets,
    stored_tag_bytes,
)
from mycelium_fractal_net.integrations.sqlalchemy import mariadb
from mycelium_fractal_net.integrations.sqlalchemy.comparing import EncryptedComparator
from mycelium_fractal_net.integrations.sqlalchemy.kinds import check_kind, codec_of
from mycelium_fractal_net.integrations.sqlalchemy.locating import located
from mycelium_fractal_net.integrations.sqlalchemy.stored_tag import tag_of
from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    DecryptionError,
    InvalidInputError,
    MfnError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Dialect

    from mycelium_fractal_net.columns.source import Source
    from mycelium_fractal_net.integrations.codecs import Codec
    from mycelium_fractal_net.security.records.index_fields import Normalisation

_INFO: Final = "mycelium_fractal_net"  # in Index.info: it is on the tags of an encrypted column
_NAME_BYTES: Final = 63  # of PostgreSQL's identifiers; MySQL has 64 characters


class Encrypted(TypeDecorator[Any]):
    """A column whose values are sealed under ``key_id``, and of that type in Python.

        email: Mapped[str] = mapped_column(
            Encrypted(String(80), key_id="customers", index="customers-index", unique=True)
        )

    In the database it is one column of bytes: a tag, where ``index`` names an index key, and the
    sealed message, 84 bytes longer than the value. With ``index`` the table gets an index on
    the tag, unique where ``unique`` is said, by which ``==``, ``!=``, ``in_`` and ``not_in`` find
    rows; ``is_(None)`` always works. All else is refused: as it is built with
    :class:`.RefusedQueryError` where an operator asks for it, and before it is executed where a
    clause does (``ORDER BY``, ``DISTINCT``, functions).

    Values and tags are bound to the names of table and column, without the schema's. Where one was
    renamed, ``bound_to=("table", "column")`` names what they were sealed for.

    ``as_text`` stores base64 text, in a column of text without a longest length; it has no index.
    ``takes_over=Plaintext(until="2027-03-01")`` reads also what the column held before it was
    encrypted, and so do :class:`.Fernet` and :class:`.XorCipher`: docs/takeover.md.
    """

    impl = LargeBinary
    cache_ok = True
    comparator_factory = EncryptedComparator

    def __init__(
        self,
        kind: TypeEngine[Any] | type[TypeEngine[Any]],
        *,
        key_id: str,
        index: str | None = None,
        bits: int | None = None,
        normalisation: Normalisation = "exact",
        unique: bool = False,
        bound_to: tuple[str, str] | None = None,
        as_text: bool = False,
        takes_over: Source | None = None,
    ) -> None:
        super().__init__()
        if as_text and index is not None:
            raise ConfigurationError("an encrypted column of text has no index: take one of bytes")
        if takes_over is not None:
            check_kind(to_instance(kind), takes_over)
        if takes_over is not None and unique:
            raise ConfigurationError("a column is unique once it is taken over")
        self.kind: TypeEngine[Any] = to_instance(kind)
        self.key_id = key_id
        self.index = index
        self.bits = bits
        self.normalisation = normalisation
        self.unique = unique
        self.as_text = as_text
        self.takes_over = takes_over
        self.bound_to = bound_to  # and so a part of the key under which statements are cached
        self.hashable = self.kind.hashable
        self._named_by_its_column = False
        self._field: EncryptedColumn | None = None
        self._column: weakref.ref[Column[Any]] | None = None
        self._codec: Codec | None = codec_of(self.kind)
        self.tag_bytes = stored_tag_bytes("-", "-", index, bits, normalisation, unique)

    def __repr__(self) -> str:
        shown = [repr(self.kind), f"key_id={self.key_id!r}"]
        given = (("index", None), ("bits", None), ("normalisation", "exact"), ("unique", False))
        for name, usual in given:
            if getattr(self, name) != usual:
                shown.append(f"{name}={getattr(self, name)!r}")
        if self.as_text:
            shown.append("as_text=True")
        if self.takes_over is not None:
            shown.append(f"takes_over={self.takes_over!r}")
        if self.bound_to is not None:
            shown.append(f"bound_to={self.bound_to!r}")
        return f"Encrypted({', '.join(shown)})"

    # What it is bound to ------------------------------------------------------------------

    @property
    def place(self) -> str:
        """Such as ``customers.email``, for messages."""
        return "an encrypted value" if self.bound_to is None else ".".join(self.bound_to)

    @property
    def field(self) -> EncryptedColumn:
        """What stores, opens and searches, with the keyring of the application."""
        found = self._field
        if found is None or found.keyring is not APPLICATION.opened:
            keyring = application_keyring()
            if self.bound_to is None:
                raise ConfigurationError("an encrypted type works in a column of a table alone")
            found = self._field = EncryptedColumn(
                keyring,
                *self.bound_to,
                key_id=self.key_id,
                index=self.index,
                bits=self.bits,
                normalisation=self.normalisation,
                unique=self.unique,
                takes_over=self.takes_over,
            )
        return found

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Bytes, or text where it is asked for."""
        if dialect.name in mariadb.DIALECTS:
            return dialect.type_descriptor(mariadb.column_type(as_text=self.as_text))
        return dialect.type_descriptor(Text() if self.as_text else LargeBinary())

    def in_column(self, table: str, column: str) -> Encrypted:
        """This type as the one of that column: what it is bound to, unless that was said."""
        found = self.copy()
        found._field = None
        if self.bound_to is None or self._named_by_its_column:
            found.bound_to = (table, column)
            found._named_by_its_column = True
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Without a keyring, which no other process can use."""
        return {**self.__dict__, "_field": None, "_codec": None, "_column": None}

    # Values -------------------------------------------------------------------------------

    @property
    def python_type(self) -> type[Any]:
        """The type of the values in Python."""
        return self.kind.python_type

    @property
    def _spelling(self) -> Codec:
        found = self._codec
        if found is None:
            found = self._codec = codec_of(self.kind)
        return found

    def spelled(self, value: Any) -> bytes:
        """The bytes of a value. Raises :class:`InvalidInputError`, without the value."""
        try:
            return self._spelling.encode(value)
        except MfnError as error:
            raise copied(error, f"{self.place}: ") from None

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | str | None:  # noqa: ARG002
        """What is stored for ``value``."""
        if value is None:
            return None
        stored = self.field.store(self.spelled(value))
        return b2a_base64(stored, newline=False).decode() if self.as_text else stored

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """:meth:`process_bind_param`, in one function for each value of a column of bytes."""
        if self.as_text:
            return super().bind_processor(dialect)
        encode = self._spelling.encode
        given = self.impl_instance.bind_processor(dialect)

        def process(value: Any) -> Any:
            if value is None:
                return None
            try:
                spelled = encode(value)
            except MfnError:
                spelled = self.spelled(value)  # which says where that was
            stored = self.field.store(spelled)
            return stored if given is None else given(stored)

        return process

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002
        """The value in what is stored."""
        if value is None:
            return None
        try:
            if self.as_text or self.takes_over is not None:
                stored = value if isinstance(value, str) else octets(value)
                return self._spelling.read(self.field.open_either(stored))
            return self._spelling.read(self.field.open(octets(value)))
        except (DecryptionError, InvalidInputError) as error:
            raise self._named(error, value) from None

    def _named(self, error: MfnError, value: Any) -> MfnError:
        """The error of a stored value, with the names of its column and its row."""
        where = f"{self.place}: "
        error = error if str(error).startswith(where) else copied(error, where)
        column = None if self._column is None else self._column()
        if column is None:
            return error
        stored = value if isinstance(value, str) else octets(value)
        return located(error, column, stored, self.tag_bytes)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """:meth:`process_result_value`, in one function for each value of a column of bytes."""
        if self.as_text:
            return super().result_processor(dialect, coltype)
        if self.takes_over is not None:
            return functools.partial(self.process_result_value, dialect=dialect)
        decode = self._spelling.decode

        def process(value: Any) -> Any:
            if value is None:
                return None
            try:
                opened = self.field.open(value if type(value) is bytes else octets(value))
            except DecryptionError as error:
                raise self._named(error, value) from None
            try:
                return decode(opened)
            except Exception:
                return self.process_result_value(value, dialect)  # which says what is wrong

        return process

    def compare_values(self, x: Any, y: Any) -> bool:
        """Whether two values are the same, as the type inside has it."""
        return self.kind.compare_values(x, y)

    def coerce_compared_value(self, op: Any, value: Any) -> TypeEngine[Any]:  # noqa: ARG002
        """This type: nothing that it is beside is stored as it is."""
        return self


@event.listens_for(Column, "after_parent_attach")
def _bind(column: Column[Any], table: Any) -> None:
    kind = column.type
    if not isinstance(kind, Encrypted) or not isinstance(table, Table):
        return
    _check(column, table)
    column.type = kind = kind.in_column(table.name, column.name)
    kind._column = weakref.ref(column)
    column.__dict__.pop("comparator", None)
    if kind.index is not None:
        Index(
            _index_name(table.name, column.name, unique=kind.unique),
            tag_of(column, kind.tag_bytes),
            unique=kind.unique,
            info={_INFO: True},
            _column_flag=True,  # as one that a column asks for: a copy of the table has its own
        )


def tag_indexes(table: Table) -> list[Index]:
    """The indexes on the tags of a table's encrypted columns, by name."""
    found = [each for each in table.indexes if _INFO in each.info]
    return sorted(found, key=lambda each: str(each.name))


def _index_name(table: str, column: str, *, unique: bool) -> str:
    """Such as ``uq_customers_email_tag``, and short enough for PostgreSQL."""
    name = f"{'uq' if unique else 'ix'}_{table}_{column}_tag"
    if len(name.encode()) <= _NAME_BYTES:
        return name
    short = f"{zlib.crc32(name.encode()):08x}"
    return f"{name.encode()[: _NAME_BYTES - 9].decode(errors='ignore')}_{short}"


def _check(column: Column[Any], table: Table) -> None:
    """Refuse what would be of the sealed bytes, which differ each time. Or in plaintext."""
    where = f"{table.name}.{column.name}"
    if column.primary_key or column.foreign_keys:
        raise ConfigurationError(f"{where}: an encrypted column is neither key nor reference")
    if column.server_default is not None or column.server_onupdate is not None:
        raise ConfigurationError(f"{where}: a default of the database would not be encrypted")
    if column.computed is not None or column.identity is not None:
        raise ConfigurationError(f"{where}: the database computes nothing that is encrypted")
