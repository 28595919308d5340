"""Imports under way: what their table has beyond the others, which is that its rows end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete

from mycelium_fractal_net.security.errors import KeyNotFoundError
from mycelium_fractal_net.security.key_store.kinds import IMPORTS
from mycelium_fractal_net.security.key_store.record_table import RecordTable
from mycelium_fractal_net.security.key_store.rows import micros
from mycelium_fractal_net.security.key_store.schema import pending_imports
from mycelium_fractal_net.security.records.imports import PendingImport

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.engine import Connection

    from mycelium_fractal_net.security.key_store.meta import StoreMeta


class ImportTable(RecordTable[PendingImport]):
    """The table ``pending_imports``. An id is never given twice, so a row is taken once."""

    def __init__(self, meta: StoreMeta) -> None:
        super().__init__(meta, IMPORTS)

    def take(self, connection: Connection, import_id: str) -> None:
        """Delete a row within a transaction. Raises :class:`KeyNotFoundError` if it is gone."""
        taken = connection.execute(delete(self.table).where(self.id == import_id))
        if taken.rowcount != 1:
            raise KeyNotFoundError(self.kind.not_found)

    def end(self, import_id: str) -> None:
        """:meth:`take` in a transaction of its own."""
        with self.meta.database.write() as connection:
            self.take(connection, import_id)

    def purge(self, now: datetime) -> int:
        """Delete the rows that have expired, authentic or not; returns how many there were."""
        expired = pending_imports.c.expires_at <= micros(now)
        with self.meta.database.write() as connection:
            gone = connection.execute(delete(self.table).where(expired)).rowcount
        if gone:
            self.meta.database.needs_scrub = self.meta.database.file is not None
        return gone
