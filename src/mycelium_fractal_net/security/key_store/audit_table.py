"""What the store keeps of the audit log: its wrapped key, and how far each chain has come.

None of this moves the store's generation: no cache has to know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import func, insert, select, update

from mycelium_fractal_net.security.errors import ConflictError, StoreIntegrityError
from mycelium_fractal_net.security.key_store.meta import StoreMeta
from mycelium_fractal_net.security.key_store.rows import from_micros
from mycelium_fractal_net.security.key_store.schema import (
    audit_acknowledged,
    audit_chains,
    audit_count,
    audit_keys,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

_ONLY: Final = 1
_COUNT: Final = select(audit_count.c.chains, audit_count.c.tag)


class StoredAuditKey(NamedTuple):
    """The audit key as the store has it: wrapped under one of its master keys."""

    number: int
    wrapped: bytes
    master_id: str


class Anchor(NamedTuple):
    """How far a chain had come when the store was last told.

    ``machine`` is the id of the audit folder, ``mac`` that of the line ``sequence``. ``closed``
    says that the process which wrote it ended well, ``open_from`` is the first of the intents
    whose outcome was not there. ``tag`` authenticates the row. ``restored_from`` is the backup that
    the store came from since: whoever wrote the chain wrote it for the store before.
    """

    chain_id: str
    machine: str
    sequence: int
    mac: bytes
    closed: bool
    open_from: int | None
    tag: bytes = b""
    restored_from: str | None = None


class ChainCount(NamedTuple):
    """How many chains were ever begun in a store. ``tag`` authenticates it."""

    chains: int
    tag: bytes = b""


class Acknowledged(NamedTuple):
    """A fault of the audit records that an operator knows of, since when, and the reason.

    ``chain_id`` is empty for a fault of no chain. ``at`` is in microseconds since the Unix epoch;
    ``tag`` authenticates the row.
    """

    chain_id: str
    sequence: int
    what: str
    reason: str
    actor: str
    at: int
    tag: bytes = b""

    @property
    def time(self) -> datetime:
        """Since when."""
        return from_micros(self.at)


class AuditTable(StoreMeta):
    """The tables of the audit log."""

    def insert_audit_key(self, key: StoredAuditKey, count: ChainCount) -> None:
        """Store an audit key, and that no chain was begun under it.

        Raises :class:`ConflictError` where somebody else was first, or where the store has moved
        to another master key, which must not leave it behind.
        """
        with self.change(key.master_id) as (connection, _):
            connection.execute(insert(audit_keys).values(**key._asdict()))
            connection.execute(insert(audit_count).values(number=_ONLY, **count._asdict()))

    def chain_count(self) -> ChainCount | None:
        """How many chains were ever begun; None in a store of before that was never counted."""
        with self.database.read() as connection:
            row = connection.execute(_COUNT).first()
        return None if row is None else ChainCount(*row)

    def count_chains(self, counted: Callable[[int], ChainCount]) -> None:
        """Where nobody has counted the chains yet, do so: ``counted`` authenticates the number."""
        with self.database.write() as connection:
            if connection.execute(_COUNT).first() is None:
                known = connection.execute(select(func.count()).select_from(audit_chains)).scalar()
                values = counted(known or 0)._asdict()
                connection.execute(insert(audit_count).values(number=_ONLY, **values))

    def audit_key(self) -> StoredAuditKey | None:
        """The audit key, None where the store has none yet."""
        with self.database.read() as connection:
            row = connection.execute(select(audit_keys).order_by(audit_keys.c.number)).first()
        return None if row is None else StoredAuditKey(*row)

    def replace_audit_key(self, old: StoredAuditKey, new: StoredAuditKey) -> None:
        """Swap the wrapping of the audit key, if it still is ``old``; else raise."""
        with self.change(new.master_id) as (connection, _):
            swapped = connection.execute(
                update(audit_keys)
                .where(audit_keys.c.number == old.number, audit_keys.c.wrapped == old.wrapped)
                .values(**new._asdict())
            )
            if swapped.rowcount != 1:
                raise ConflictError("the audit key was moved by somebody else; try again")

    def register_chain(self, anchor: Anchor, counted: Callable[[ChainCount], ChainCount]) -> None:
        """Store a chain that is about to begin; ``counted`` gives the count with one more."""
        with self.database.write() as connection:
            row = connection.execute(_COUNT.with_for_update()).first()
            connection.execute(insert(audit_chains).values(**anchor._asdict()))
            if row is not None:
                values = counted(ChainCount(*row))._asdict()
                connection.execute(update(audit_count).values(**values))

    def anchor_chain(self, anchor: Anchor) -> None:
        """Store how far a chain has come. Raises :class:`StoreIntegrityError` where it is gone."""
        with self.database.write() as connection:
            moved = connection.execute(
                update(audit_chains)
                .where(audit_chains.c.chain_id == anchor.chain_id)
                .values(**anchor._asdict())
            )
            if moved.rowcount != 1:
                raise StoreIntegrityError(f"audit chain {anchor.chain_id} is not in the store")

    def chain(self, chain_id: str) -> Anchor | None:
        """The anchor of a chain, None where the store does not know it."""
        with self.database.read() as connection:
            row = connection.execute(
                select(audit_chains).where(audit_chains.c.chain_id == chain_id)
            ).first()
        return None if row is None else Anchor(*row)

    def chains(self) -> list[Anchor]:
        """The anchors of all chains, of every machine."""
        with self.database.read() as connection:
            rows = connection.execute(select(audit_chains).order_by(audit_chains.c.chain_id))
            return [Anchor(*row) for row in rows]

    def acknowledge(self, faults: Sequence[Acknowledged]) -> None:
        """Store that an operator knows of these faults, in the place of what was said before."""
        table = audit_acknowledged
        with self.database.write() as connection:
            for each in faults:
                connection.execute(
                    table.delete().where(
                        table.c.chain_id == each.chain_id,
                        table.c.sequence == each.sequence,
                        table.c.what == each.what,
                    )
                )
                connection.execute(insert(table).values(**each._asdict()))

    def acknowledged(self) -> list[Acknowledged]:
        """The faults that an operator knows of."""
        with self.database.read() as connection:
            return [Acknowledged(*row) for row in connection.execute(select(audit_acknowledged))]
