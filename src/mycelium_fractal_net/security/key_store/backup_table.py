"""Which backups were made of the store, and which versions of keys they hold.

A version is *held* where the newest backup of it is under the store's present master key: one of
before is opened by a master key that custodians forget.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import func, insert, or_, select, update

from mycelium_fractal_net.security.errors import ConflictError
from mycelium_fractal_net.security.key_store.meta import StoreMeta
from mycelium_fractal_net.security.key_store.schema import (
    backed_up_versions,
    backups,
    key_versions,
    keys,
    store_meta,
)
from mycelium_fractal_net.security.records.keys import KeyState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Select
    from sqlalchemy.engine import Connection

    from mycelium_fractal_net.security.key_store.database import Database

_ROWS: Final = 1000  # in one statement
_PART: Final = 5000  # in one transaction, for which the writers of a SQLite store wait


class MadeBackup(NamedTuple):
    """A backup that is whole and durable. ``made_at`` is in microseconds since the Unix epoch."""

    backup_id: str
    made_at: int
    generation: int
    master_id: str


def held_versions() -> Select[Any]:
    """The handles of all versions that are held."""
    return (
        select(backed_up_versions.c.handle)
        .join(backups, backups.c.backup_id == backed_up_versions.c.backup_id)
        .join(store_meta, store_meta.c.master_id == backups.c.master_id)
    )


def note_backup(
    database: Database, connection: Connection, made: MadeBackup, handles: Iterable[bytes]
) -> None:
    """Note within a transaction that this backup holds these versions."""
    known = select(backups.c.backup_id).where(backups.c.backup_id == made.backup_id)
    if connection.execute(known).first() is None:
        connection.execute(insert(backups).values(**made._asdict()))
    statement = database.insert(backed_up_versions)
    statement = statement.on_conflict_do_update(
        index_elements=["handle"], set_={"backup_id": statement.excluded.backup_id}
    )
    waiting = iter(handles)
    while some := list(islice(waiting, _ROWS)):
        values = [{"handle": handle, "backup_id": made.backup_id} for handle in some]
        connection.execute(statement, values)


class BackupTable(StoreMeta):
    """The tables ``backups`` and ``backed_up_versions``. None of it moves the generation."""

    def record_backup(self, made: MadeBackup, handles: Iterable[bytes]) -> None:
        """Record that a backup which is durable holds these versions.

        In parts, between which others write; what is recorded is true whatever ends it.
        Raises :class:`ConflictError` where the store has moved to another master key since.
        """
        left = iter(handles)
        while True:
            some = list(islice(left, _PART))
            with self.database.write() as connection:
                if connection.execute(select(store_meta.c.master_id)).scalar() != made.master_id:
                    raise ConflictError(
                        "the store has moved to another master key since this backup;"
                        " make one under that: mfn backup FILE"
                    )
                note_backup(self.database, connection, made, some)
                _wake(connection, some)
            if len(some) < _PART:
                return

    def last_backup(self) -> MadeBackup | None:
        """The newest backup that was recorded, None where there is none."""
        with self.database.read() as connection:
            row = connection.execute(
                select(backups).order_by(backups.c.made_at.desc()).limit(1)
            ).first()
        return None if row is None else MadeBackup(*row)

    def not_held(self, limit: int = 3) -> tuple[int, list[tuple[str, int]]]:
        """How many versions with a key no backup holds, and up to ``limit`` of them.

        Each as its key's name and its number, in order.
        """
        table = key_versions
        elsewhere = table.c.external.is_not(None) & table.c.external_gone_at.is_(None)
        has_key = or_(func.length(table.c.wrapped) > 0, elsewhere)
        where = (has_key, table.c.handle.not_in(held_versions()))
        with self.database.read() as connection:
            count = connection.execute(
                select(func.count()).select_from(table).where(*where)
            ).scalar_one()
            some = connection.execute(
                select(table.c.key_id, table.c.version)
                .where(*where)
                .order_by(table.c.key_id, table.c.version)
                .limit(limit)
            ).all()
        return count, [(row.key_id, row.version) for row in some]

    def keys_that_wait(self, *, for_backups: bool = False) -> list[str]:
        """The names of keys with a version that is not yet active, in order.

        With ``for_backups`` those alone that wait for no day but for a backup.
        """
        waits = [key_versions.c.state == KeyState.PRE_ACTIVATION.value]
        if for_backups:
            waits.append(key_versions.c.activate_at.is_(None))
        with self.database.read() as connection:
            return list(
                connection.execute(
                    select(key_versions.c.key_id)
                    .where(*waits)
                    .distinct()
                    .order_by(key_versions.c.key_id)
                ).scalars()
            )


def _wake(connection: Connection, handles: list[bytes]) -> None:
    """Have schedulers look at once at keys with versions that waited for their backup."""
    waits = key_versions.c.state == KeyState.PRE_ACTIVATION.value
    for start in range(0, len(handles), _ROWS):
        held = key_versions.c.handle.in_(handles[start : start + _ROWS])
        names = select(key_versions.c.key_id).where(held, waits)
        connection.execute(update(keys).where(keys.c.key_id.in_(names)).values(due_at=0))
