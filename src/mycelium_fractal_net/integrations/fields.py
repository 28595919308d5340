"""One encrypted column of an application's table: what is stored, and what is searched for.

Stored is ``tag || sealed message`` in one column of bytes: the tag of a blind index, of
:attr:`EncryptedColumn.tag_bytes` bytes and of none where there is no index, and the sealed message
of the value. Both are bound to table and column (:func:`.field_binding`): neither is of use in
another. Nothing binds a value to its row: whoever writes to the database can swap those of two
rows.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from mycelium_fractal_net.columns.plaintext import sealed_in
from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    DecryptionError,
    InvalidInputError,
    MfnError,
)
from mycelium_fractal_net.security.keyring.lookups import bare_tag, bare_tags
from mycelium_fractal_net.security.records.field_binding import field_binding
from mycelium_fractal_net.security.records.index_fields import IndexField

if TYPE_CHECKING:
    from mycelium_fractal_net.columns.source import Opens, Source
    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from mycelium_fractal_net.security.keyring.lookups import BlindIndex
    from mycelium_fractal_net.security.records.index_fields import Normalisation

_LOG: Final = logging.getLogger(__name__)
_Error = TypeVar("_Error", bound=MfnError)
_PLAINTEXT_READ: Final[Counter[str]] = Counter()


def plaintext_read() -> dict[str, int]:
    """How many values that are not sealed this process has read, by column: see docs/takeover.md.

    A column that is not named has read none: the end of its takeover may be near.
    """
    return dict(_PLAINTEXT_READ)


class RefusedQueryError(InvalidInputError):
    """A query asks of an encrypted column what only plaintext could answer."""


def copied(error: _Error, where: str = "") -> _Error:
    """The same error, whose text says first where it was."""
    made = type(error).__new__(type(error))
    made.__dict__.update(error.__dict__)
    first, *rest = error.args or ("",)
    made.args = (f"{where}{first}", *rest)
    return made


def named(error: _Error, table: str, column: str) -> _Error:
    """The same error, whose text names the column first."""
    return copied(error, f"{table}.{column}: ")


class EncryptedColumn:
    """Stores, opens and searches the values of one column, as bytes. Thread-safe; holds no key.

    ``key_id`` names a key of type ``encryption``, ``index`` one of type ``index``. ``bits`` and
    ``normalisation`` are those of :meth:`.Keyring.index`. Every error names table and column, and
    never the value. Raises :class:`ConfigurationError` for what does not go together: ``unique``,
    which asks for an index with whole tags. With ``takes_over`` values of that source are read
    beside those that are sealed, and nothing is searched or unique until it is left out again.
    """

    __slots__ = (
        "_cipher", "_index", "_opens", "bits", "column", "index", "key_id", "keyring",
        "normalisation", "table", "tag_bytes", "takes_over", "unique",
    )  # fmt: skip

    def __init__(
        self,
        keyring: Keyring,
        table: str,
        column: str,
        *,
        key_id: str,
        index: str | None = None,
        bits: int | None = None,
        normalisation: Normalisation = "exact",
        unique: bool = False,
        takes_over: Source | None = None,
    ) -> None:
        self.tag_bytes = stored_tag_bytes(table, column, index, bits, normalisation, unique)
        if unique and takes_over is not None:
            raise ConfigurationError(
                f"{table}.{column}: it is unique once it is taken over: the tags of rows that are"
                " not sealed yet are nowhere"
            )
        bound = field_binding(table, column)
        self.takes_over = takes_over
        self._opens: Opens | None = None
        self.keyring = keyring
        self.table = table
        self.column = column
        self.key_id = key_id
        self.index = index
        self.bits = bits
        self.normalisation = normalisation
        self.unique = unique
        try:
            self._cipher = keyring.bound(key_id=key_id, associated_data=bound)
            self._index: BlindIndex | None = None
            if index is not None:
                self._index = keyring.index(
                    key_id=index, context=bound, bits=bits, normalisation=normalisation
                )
        except MfnError as error:
            raise named(error, table, column) from None

    def __repr__(self) -> str:
        return f"EncryptedColumn({self.table!r}, {self.column!r})"

    def store(self, value: bytes) -> bytes:
        """What to store for ``value``: the tag of the version in use, and the sealed message."""
        try:
            sealed = self._cipher.seal(value)
            return sealed if self._index is None else bare_tag(self._index, value) + sealed
        except MfnError as error:
            raise named(error, self.table, self.column) from None

    def open_either(self, value: bytes | str) -> bytes:
        """:meth:`open`, and until its last day what was stored before the column was encrypted.

        Text is base64 where it is sealed. Raises :class:`DecryptionError` for what is not sealed
        where no source is taken, or not any more, and for what is not of that source.
        """
        stored = sealed_in(value, self.tag_bytes)
        source = self.takes_over
        if stored is not None:
            if source is None or not source.claims(stored):
                return self.open(stored)
            try:
                return self._open_old(source, value)
            except DecryptionError:
                return self.open(stored)
        if source is None:
            raise named(DecryptionError(), self.table, self.column)
        return self._open_old(source, value)

    def _open_old(self, source: Source, value: bytes | str) -> bytes:
        where = f"{self.table}.{self.column}"
        try:
            if not source.is_taken():
                raise DecryptionError
            opens = self._opens
            if opens is None:
                opens = self._opens = source.opener(self.keyring)
            plaintext = opens(value)
        except MfnError as error:
            raise named(error, self.table, self.column) from None
        if where not in _PLAINTEXT_READ:
            _LOG.warning("%s: a value that is not sealed was read", where)
        _PLAINTEXT_READ[where] += 1
        return plaintext

    def open(self, stored: bytes) -> bytes:
        """The value in what was stored. Raises :class:`DecryptionError`.

        The tag is not looked at: a database writer who changes it hides a row from searches, or has
        it found in place of another, but changes no value.
        """
        try:
            if len(stored) < self.tag_bytes:
                raise DecryptionError
            return self._cipher.open(stored[self.tag_bytes :] if self.tag_bytes else stored)
        except MfnError as error:
            raise named(error, self.table, self.column) from None

    def tag(self, value: bytes) -> bytes:
        """The tag that :meth:`store` puts in front of ``value``."""
        index = self._searched()
        try:
            return bare_tag(index, value)
        except MfnError as error:
            raise named(error, self.table, self.column) from None

    def tags(self, value: bytes) -> list[bytes]:
        """The tags by which to search for ``value``: of every version, newest first."""
        index = self._searched()
        try:
            return bare_tags(index, value)
        except MfnError as error:
            raise named(error, self.table, self.column) from None

    def other_tags(self, value: bytes) -> list[bytes]:
        """Those of the versions that do not store now: a unique column has none of them either.

        Empty unless the index key has several versions. While it is rotated the same value may be
        there with the tag of another version, which the database's constraint does not see.
        """
        found = self.tags(value)
        if len(found) == 1:
            return []
        stored = self.tag(value)
        return [each for each in found if each != stored]

    def _searched(self) -> BlindIndex:
        if self._index is None:
            raise RefusedQueryError(f"{self.table}.{self.column}: has no index to search by")
        if self.takes_over is not None:
            raise RefusedQueryError(
                f"{self.table}.{self.column}: is being taken over, and a search would miss what is"
                " not sealed yet"
            )
        return self._index


def stored_tag_bytes(
    table: str,
    column: str,
    index: str | None,
    bits: int | None,
    normalisation: str,
    unique: bool,
) -> int:
    """How many bytes of tag stand in front of a value; needs no keyring.

    Raises :class:`ConfigurationError` for what does not go together.
    """
    where = f"{table}.{column}"
    if index is None:
        if bits is not None or normalisation != "exact" or unique:
            raise ConfigurationError(f"{where}: bits, normalisation and unique are of an index")
        return 0
    if unique and bits is not None:
        raise ConfigurationError(f"{where}: a tag that is cut short cannot be unique")
    try:
        return IndexField.checked(b"-", bits, normalisation).tag_bytes
    except InvalidInputError as error:
        raise ConfigurationError(f"{where}: {error}") from None


def octets(value: object) -> bytes:
    """The bytes that a database gave for a value of a column; none for what is no bytes.

    SQLite stores values of any type in any column, and ``bytes(number)`` would be as many zero
    bytes as whoever writes to the database likes.
    """
    return bytes(value) if isinstance(value, bytes | bytearray | memoryview) else b""


def flattened(tags: Sequence[list[bytes]]) -> list[bytes]:
    """Every tag once, in order: what a search for several values asks with."""
    return list(dict.fromkeys(each for some in tags for each in some))
