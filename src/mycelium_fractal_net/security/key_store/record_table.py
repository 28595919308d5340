"""A table of records that grant authority: queries, and compare-and-swap of whole records."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from sqlalchemy import func, insert, select, true, update

from mycelium_fractal_net.security.errors import (
    ConflictError,
    KeyNotFoundError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_store.kinds import R
from mycelium_fractal_net.security.key_store.rows import octets

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import ColumnElement
    from sqlalchemy.engine import Connection, Row

    from mycelium_fractal_net.security.key_store.kinds import RecordKind
    from mycelium_fractal_net.security.key_store.meta import StoreMeta

T = TypeVar("T")

Also = Callable[["Connection"], None]
"""What else a transaction does, after the record was written; what it raises undoes all of it."""


class Stored(NamedTuple, Generic[R]):
    """A record as the store gave it, with the MAC that has still to be checked."""

    record: R
    mac: bytes


class RecordTable(Generic[R]):
    """The records of one kind in a store. What comes out of it is not yet trusted.

    A row that is no record is given, or raised, as a :class:`StoreIntegrityError` that names it:
    it keeps no other record of its page from being read.
    """

    def __init__(self, meta: StoreMeta, kind: RecordKind[R]) -> None:
        self.meta = meta
        self.kind = kind
        self.table = kind.table
        self.id: ColumnElement[str] = kind.table.c[kind.id_name]

    # Reading ------------------------------------------------------------------------------

    def load(self, record_id: str) -> Stored[R]:
        """The record of that id. Raises :class:`KeyNotFoundError`."""
        found: list[tuple[str, Stored[R] | StoreIntegrityError]] = []
        # What cannot be an id is not asked for: some databases take no NUL, for example.
        if record_id.isascii() and record_id.isprintable():
            with self.meta.database.read() as connection:
                found = self.where(connection, self.id == record_id)
        if not found:
            raise KeyNotFoundError(self.kind.not_found.format(record_id))
        return or_raise(found[0][1])

    def page(
        self, after: str = "", limit: int = 1000, *, since: int = -1
    ) -> list[tuple[str, Stored[R] | StoreIntegrityError]]:
        """Up to ``limit`` records whose ids sort after ``after``, in order, each with its id.

        Only those that changed after the store's generation ``since``.
        """
        with self.meta.database.read() as connection:
            return self.where(connection, self.id > after, self._changed(since), limit=limit)

    def some(self, ids: Sequence[str]) -> list[tuple[str, Stored[R] | StoreIntegrityError]]:
        """Those of these records that are there, in order of id, each with its id."""
        with self.meta.database.read() as connection:
            return self.where(connection, self.id.in_(ids))

    def where(
        self, connection: Connection, *conditions: ColumnElement[bool], limit: int | None = None
    ) -> list[tuple[str, Stored[R] | StoreIntegrityError]]:
        """The records for which all conditions hold, in order of id, each with its id."""
        rows = connection.execute(
            select(self.table).where(*conditions).order_by(self.id).limit(limit)
        ).all()
        return self._stored(connection, rows)

    def _stored(
        self,
        connection: Connection,  # noqa: ARG002 - of rows in other tables
        rows: Sequence[Row[Any]],
    ) -> list[tuple[str, Stored[R] | StoreIntegrityError]]:
        return [self._one(row) for row in rows]

    def _one(
        self, row: Row[Any], *parts: Sequence[Row[Any]]
    ) -> tuple[str, Stored[R] | StoreIntegrityError]:
        """The record of a row, with its id; ``parts`` are rows of it in other tables."""
        name: str = getattr(row, self.kind.id_name)
        try:
            return name, Stored(self.kind.from_row(row, *parts), octets(row.mac))
        except StoreIntegrityError as error:
            return name, error
        except TypeError:  # of the MAC
            return name, StoreIntegrityError(f"{self.kind.name} {name!r}: its row is damaged")

    def ids(self, after: str = "", limit: int | None = None, *, since: int = -1) -> list[str]:
        """The ids of a page, or of all that changed after the generation ``since``."""
        return self._ids(self.id > after, self._changed(since), limit=limit)

    def _changed(self, since: int) -> ColumnElement[bool]:
        # A generation is not authenticated: a negative one must not hide a record from lists.
        return self.table.c.generation > since if since >= 0 else true()

    def under(self, master_ids: Collection[str], limit: int | None = None) -> list[str]:
        """Ids of records that are authenticated, or wrapped, under one of these master keys."""
        return self._ids(self.table.c.master_id.in_(master_ids), limit=limit)

    def _ids(self, *conditions: ColumnElement[bool], limit: int | None) -> list[str]:
        with self.meta.database.read() as connection:
            found = connection.execute(
                select(self.id).where(*conditions).order_by(self.id).limit(limit)
            )
            return list(found.scalars())

    def has(self, record_id: str) -> bool:
        """Whether a record of that id is there, authentic or not."""
        return bool(self._ids(self.id == record_id, limit=1))

    def count(self) -> int:
        """How many records there are."""
        with self.meta.database.read() as connection:
            counted = connection.execute(select(func.count()).select_from(self.table))
            return int(counted.scalar_one())

    # Writing ------------------------------------------------------------------------------

    def insert(self, record: R, mac: bytes, also: Also | None = None) -> None:
        """Store a new record. Raises :class:`ConflictError` where its id is taken."""
        with self.meta.change(record.master_id) as (connection, generation):
            row = self.kind.to_row(record)
            connection.execute(insert(self.table).values(**row, generation=generation, mac=mac))
            self._insert_parts(connection, record)
            if also is not None:
                also(connection)

    def replace(self, old: R, new: R, mac: bytes, also: Also | None = None) -> None:
        """Swap a whole record for ``new``, if it still is ``old``; else :class:`ConflictError`."""
        with self.meta.change(new.master_id) as (connection, generation):
            self.swap(connection, generation, old, new, mac)
            if also is not None:
                also(connection)

    def swap(self, connection: Connection, generation: int, old: R, new: R, mac: bytes) -> None:
        """:meth:`replace` within a transaction."""
        swapped = connection.execute(
            update(self.table)
            .where(self.id == self.kind.id_of(old), self.table.c.revision == old.revision)
            .values(**self.kind.to_row(new), generation=generation, mac=mac)
        )
        if swapped.rowcount != 1:
            named = self.kind.named(old)
            raise ConflictError(f"{named} was changed by somebody else; try again")
        self._swap_parts(connection, old, new)

    def _insert_parts(self, connection: Connection, record: R) -> None:
        """Store what of a new record lies in another table."""

    def _swap_parts(self, connection: Connection, old: R, new: R) -> None:
        """Store what changed of it there."""


def or_raise(found: T | StoreIntegrityError) -> T:
    """What was found, or its error raised."""
    if isinstance(found, StoreIntegrityError):
        raise found
    return found
