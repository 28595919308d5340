"""What the store keeps of the audit log: its wrapped key, and how far each chain has come.

None of this moves the store's generation: no cache has to know.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import insert, select, update

from mycelium_fractal_net.security.errors import ConflictError, StoreIntegrityError
from mycelium_fractal_net.security.key_store.meta import StoreMeta
from mycelium_fractal_net.security.key_store.schema import audit_chains, audit_keys


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


class AuditTable(StoreMeta):
    """The tables ``audit_keys`` and ``audit_chains``."""

    def insert_audit_key(self, key: StoredAuditKey) -> None:
        """Store an audit key. Raises :class:`ConflictError` where somebody else was first.

        Or where the store has moved to another master key, which must not leave it behind.
        """
        with self.change(key.master_id) as (connection, _):
            connection.execute(insert(audit_keys).values(**key._asdict()))

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

    def register_chain(self, anchor: Anchor) -> None:
        """Store a chain that is about to begin."""
        with self.database.write() as connection:
            connection.execute(insert(audit_chains).values(**anchor._asdict()))

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
