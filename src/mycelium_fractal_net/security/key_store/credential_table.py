"""Credentials: digests of API keys, with their scopes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import insert, select, update

from mycelium_fractal_net.security.errors import ConflictError, KeyNotFoundError
from mycelium_fractal_net.security.key_store.meta import StoreMeta
from mycelium_fractal_net.security.key_store.rows import credential_from_row, credential_row
from mycelium_fractal_net.security.key_store.schema import credentials

if TYPE_CHECKING:
    from mycelium_fractal_net.security.records.credentials import Credential

__all__ = ["CredentialTable", "StoredCredential"]


class StoredCredential(NamedTuple):
    """A credential as the store gave it, with the MAC that has still to be checked."""

    credential: Credential
    mac: bytes


class CredentialTable(StoreMeta):
    """The table ``credentials``."""

    def insert_credential(self, credential: Credential, mac: bytes) -> None:
        """Store a new credential. Raises :class:`ConflictError` where its id is taken."""
        with self.change(credential.master_id) as (connection, generation):
            connection.execute(
                insert(credentials).values(
                    **credential_row(credential), generation=generation, mac=mac
                )
            )

    def replace_credential(self, old: Credential, new: Credential, mac: bytes) -> None:
        """Swap a record for ``new``, if it still is ``old``; else :class:`ConflictError`."""
        with self.change(new.master_id) as (connection, generation):
            swapped = connection.execute(
                update(credentials)
                .where(
                    credentials.c.credential_id == old.credential_id,
                    credentials.c.revision == old.revision,
                )
                .values(**credential_row(new), generation=generation, mac=mac)
            )
            if swapped.rowcount != 1:
                raise ConflictError("the credential was changed by somebody else; try again")

    def load_credential(self, credential_id: str) -> StoredCredential:
        """The credential of that id. Raises :class:`KeyNotFoundError`."""
        row = None
        # What is no id of ours is not asked for: some databases take no NUL, for example.
        if credential_id.isascii() and credential_id.isalnum():
            with self.database.read() as connection:
                row = connection.execute(
                    select(credentials).where(credentials.c.credential_id == credential_id)
                ).first()
        if row is None:
            raise KeyNotFoundError(
                "there is no such credential; mfn credential list shows those there are"
            )
        return StoredCredential(credential_from_row(row), bytes(row.mac))

    def page_of_credentials(
        self, after: str = "", limit: int = 1000, *, since: int = -1
    ) -> list[StoredCredential]:
        """Up to ``limit`` credentials whose ids sort after ``after``, in order.

        Only those that changed after the generation ``since``.
        """
        with self.database.read() as connection:
            return [
                StoredCredential(credential_from_row(row), bytes(row.mac))
                for row in connection.execute(
                    select(credentials)
                    .where(credentials.c.credential_id > after, credentials.c.generation > since)
                    .order_by(credentials.c.credential_id)
                    .limit(limit)
                )
            ]

    def credential_ids(self, after: str = "", limit: int = 1000, *, since: int = -1) -> list[str]:
        """Up to ``limit`` ids that sort after ``after``, in order, as the page above has them."""
        with self.database.read() as connection:
            return list(
                connection.execute(
                    select(credentials.c.credential_id)
                    .where(credentials.c.credential_id > after, credentials.c.generation > since)
                    .order_by(credentials.c.credential_id)
                    .limit(limit)
                ).scalars()
            )

    def credentials_under_other_master(self, master_id: str, limit: int = 100) -> list[str]:
        """Ids of credentials that are still authenticated under another master key."""
        with self.database.read() as connection:
            return list(
                connection.execute(
                    select(credentials.c.credential_id)
                    .where(credentials.c.master_id != master_id)
                    .limit(limit)
                )
                .scalars()
                .all()
            )
