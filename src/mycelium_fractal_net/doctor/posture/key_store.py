"""How the key store is reached, where it is a PostgreSQL elsewhere: encrypted, verified, and
with no more rights than it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mycelium_fractal_net.doctor.findings import Examined, Finding, critical, warning
from mycelium_fractal_net.security.addresses import is_loopback
from mycelium_fractal_net.security.key_store.postgresql import connected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.key_store.postgresql import Connected


def key_store_findings(store: Examined) -> Iterator[Finding]:
    """What is wrong with the connection that doctor itself has."""
    database = store.provider.store.database
    if database.file is None:
        with database.read() as connection:
            found = connected(connection)
        yield from connection_findings(found)


def connection_findings(found: Connected) -> Iterator[Finding]:
    """What others may read on the way to the database, and what its user may do."""
    away = not found.host.startswith("/") and not is_loopback(found.host)
    if away and not found.encrypted:
        yield critical(
            "store-tls",
            "key store",
            "the database is reached without TLS, and what is written to it is read and changed on"
            " the way: name sslmode=verify-full and sslrootcert in its URL",
        )
    elif away and not found.verified:
        yield warning(
            "store-tls",
            "key store",
            "the certificate of the database is not verified, or not its name: name"
            " sslmode=verify-full and sslrootcert in its URL",
        )
    if found.superuser:
        yield warning(
            "store-superuser",
            "key store",
            "its user is a superuser of the database: give the store a user of its own, which owns"
            " its tables alone (docs/posture.md)",
        )
