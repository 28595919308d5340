"""Nonces of requests that were accepted: each is taken once, by whichever process is first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import Integer, cast, delete, func

from mycelium_fractal_net.security.key_store.schema import request_nonces

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mycelium_fractal_net.security.key_store.database import Database


# Seconds since the Unix epoch by the clock of the store, which all machines share.
_NOW: Final = {
    "sqlite": cast(func.strftime("%s", "now"), Integer),
    "postgresql": func.floor(func.extract("epoch", func.now())),
}


class NonceStore:
    """The table ``request_nonces``, over a database that :class:`KeyStore` shares."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._take = (
            database.insert(request_nonces)
            .on_conflict_do_nothing()
            .returning(request_nonces.c.digest)
        )

    def take(self, nonces: Iterable[tuple[bytes, int]]) -> set[bytes]:
        """Take nonces, as digests of 32 bytes with the Unix second at which each expires.

        Returns those that nobody took before, durably: they are taken when this returns.
        Raises :class:`StoreUnavailableError`; then it is not known whether they are.
        """
        rows = [{"digest": digest, "expires_at": expires} for digest, expires in nonces]
        with self._database.write() as connection:
            return {bytes(row.digest) for row in connection.execute(self._take, rows)}

    def purge(self, after_seconds: int) -> int:
        """Forget nonces that expired more than ``after_seconds`` ago by the store's clock."""
        now = _NOW[self._database.dialect]
        with self._database.write() as connection:
            return connection.execute(
                delete(request_nonces).where(request_nonces.c.expires_at < now - after_seconds)
            ).rowcount
