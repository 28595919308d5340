"""Signers: public keys that may sign requests, and for whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import insert, select, update

from mycelium_fractal_net.security.errors import (
    ConflictError,
    InvalidInputError,
    KeyNotFoundError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_store.meta import StoreMeta
from mycelium_fractal_net.security.key_store.rows import micros, moment
from mycelium_fractal_net.security.key_store.schema import signers
from mycelium_fractal_net.security.records.signers import Signer, SignerState, check_signer

if TYPE_CHECKING:
    from sqlalchemy.engine import Row

__all__ = ["SignerTable", "StoredSigner", "signer_row"]


class StoredSigner(NamedTuple):
    """A signer as the store gave it, with the MAC that has still to be checked."""

    signer: Signer
    mac: bytes


def signer_row(signer: Signer) -> dict[str, Any]:
    """The columns of ``signers`` but for generation and mac, which the writer sets."""
    return {
        "name": signer.name,
        "public_key": signer.public_key,
        "algorithm": signer.algorithm,
        "credentials": " ".join(signer.credentials),
        "any_credential": signer.any_credential,
        "state": signer.state.value,
        "created_at": micros(signer.created_at),
        "revision": signer.revision,
        "master_id": signer.master_id,
    }


def _stored(row: Row[Any]) -> StoredSigner:
    try:
        credentials = tuple(row.credentials.split(" ")) if row.credentials else ()
        check_signer(row.name, credentials, row.any_credential)
        signer = Signer(
            name=row.name,
            public_key=bytes(row.public_key),
            algorithm=row.algorithm,
            credentials=credentials,
            any_credential=row.any_credential,
            state=SignerState(row.state),
            created_at=moment(row.created_at),
            revision=row.revision,
            master_id=row.master_id,
        )
        return StoredSigner(signer, bytes(row.mac))
    except (ValueError, TypeError, OverflowError, InvalidInputError):
        raise StoreIntegrityError(f"signer {row.name!r}: its row is damaged") from None


class SignerTable(StoreMeta):
    """The table ``signers``."""

    def insert_signer(self, signer: Signer, mac: bytes) -> None:
        """Store a new signer. Raises :class:`ConflictError` where its name is taken."""
        with self.change(signer.master_id) as (connection, generation):
            connection.execute(
                insert(signers).values(**signer_row(signer), generation=generation, mac=mac)
            )

    def replace_signer(self, old: Signer, new: Signer, mac: bytes) -> None:
        """Swap a record for ``new``, if it still is ``old``; else :class:`ConflictError`."""
        with self.change(new.master_id) as (connection, generation):
            swapped = connection.execute(
                update(signers)
                .where(signers.c.name == old.name, signers.c.revision == old.revision)
                .values(**signer_row(new), generation=generation, mac=mac)
            )
            if swapped.rowcount != 1:
                raise ConflictError("the signer was changed by somebody else; try again")

    def load_signer(self, name: str) -> StoredSigner:
        """The signer of that name. Raises :class:`KeyNotFoundError`."""
        with self.database.read() as connection:
            row = connection.execute(select(signers).where(signers.c.name == name)).first()
        if row is None:
            raise KeyNotFoundError("there is no such signer; mfn signer list shows those there are")
        return _stored(row)

    def page_of_signers(
        self, after: str = "", limit: int = 1000, *, since: int = -1
    ) -> list[StoredSigner]:
        """Up to ``limit`` signers whose names sort after ``after``, in order.

        Only those that changed after the generation ``since``.
        """
        with self.database.read() as connection:
            return [
                _stored(row)
                for row in connection.execute(
                    select(signers)
                    .where(signers.c.name > after, signers.c.generation > since)
                    .order_by(signers.c.name)
                    .limit(limit)
                )
            ]

    def signer_names(self, after: str = "", limit: int = 1000, *, since: int = -1) -> list[str]:
        """Up to ``limit`` names that sort after ``after``, in order, as the page above has them."""
        with self.database.read() as connection:
            return list(
                connection.execute(
                    select(signers.c.name)
                    .where(signers.c.name > after, signers.c.generation > since)
                    .order_by(signers.c.name)
                    .limit(limit)
                ).scalars()
            )

    def signers_under_other_master(self, master_id: str, limit: int = 100) -> list[str]:
        """Names of signers that are still authenticated under another master key."""
        with self.database.read() as connection:
            found = connection.execute(
                select(signers.c.name).where(signers.c.master_id != master_id).limit(limit)
            )
            return list(found.scalars())
