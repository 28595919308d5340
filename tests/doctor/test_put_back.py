"""Authentic rows of former states that somebody put back into the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from mycelium_fractal_net import initialise, open_keyring
from mycelium_fractal_net.config import Settings, load_settings
from mycelium_fractal_net.doctor import Severity, diagnose
from mycelium_fractal_net.security.records.keys import Verb

if TYPE_CHECKING:
    from pathlib import Path

    from mycelium_fractal_net.doctor import Finding
    from mycelium_fractal_net.security.key_providers import StoredKeyProvider


@pytest.fixture
def settings(home: Path) -> Settings:
    """The settings of a store that is in order."""
    initialise(home=home).close()
    return load_settings(home=home)


def put_back(settings: Settings) -> list[Finding]:
    """What doctor says of records that were put back."""
    return [each for each in diagnose(settings) if each.check == "put-back"]


def rows(provider: StoredKeyProvider, table: str) -> list[dict[str, Any]]:
    """All rows of a table, as whoever reads the database has them."""
    with provider.store.database.read() as connection:
        found = connection.execute(text(f"SELECT * FROM {table}")).mappings()
        return [dict(row) for row in found]


def write(provider: StoredKeyProvider, table: str, row: dict[str, Any], by: str) -> None:
    """Put a row in the place of the one of that id, past all of the code."""
    values = ", ".join(f"{name} = :{name}" for name in row if name != "generation")
    with provider.store.database.write() as connection:
        connection.execute(text(f"UPDATE {table} SET {values} WHERE {by} = :{by}"), row)


def test_a_credential_that_was_revoked_and_put_back_is_named(settings: Settings) -> None:
    """Its row is authentic: only the audit knows that it was left."""
    with open_keyring(settings=settings) as keyring:
        provider = keyring.provider
        made, _ = provider.credentials.create("batch", ("encrypt:*",))
        (active,) = rows(provider, "mfn_credentials")
        provider.credentials.revoke(made.credential_id)
    assert put_back(settings) == []
    with open_keyring(settings=settings) as keyring:
        write(keyring.provider, "mfn_credentials", active, "credential_id")
    (finding,) = put_back(settings)
    assert finding.severity is Severity.CRITICAL
    assert finding.subject == f"credential {made.credential_id}"
    assert "the audit has credential.revoke on" in finding.advice
    with open_keyring(settings=settings) as keyring:
        keyring.provider.credentials.revoke(made.credential_id)
    assert put_back(settings) == []


def test_a_key_whose_compromise_was_taken_back_is_named(settings: Settings) -> None:
    """Key and versions, as they were together."""
    with open_keyring(settings=settings) as keyring:
        provider = keyring.provider
        provider.keys.create("orders")
        before = [row for row in rows(provider, "mfn_keys") if row["key_id"] == "orders"]
        versions = [row for row in rows(provider, "mfn_key_versions") if row["key_id"] == "orders"]
        provider.states.apply(Verb.COMPROMISE, "orders")
    assert put_back(settings) == []
    with open_keyring(settings=settings) as keyring:
        write(keyring.provider, "mfn_keys", before[0], "key_id")
        write(keyring.provider, "mfn_key_versions", versions[0], "handle")
    (finding,) = put_back(settings)
    assert finding.subject == "key orders"
    assert "the audit has key.compromise on" in finding.advice


def test_a_record_that_was_deleted_is_named(settings: Settings) -> None:
    """Nothing that was made is ever gone: credentials are revoked, keys are destroyed."""
    with open_keyring(settings=settings) as keyring:
        made, _ = keyring.provider.credentials.create("batch", ("encrypt:*",))
        with keyring.provider.store.database.write() as connection:
            connection.execute(text("DELETE FROM mfn_credentials"))
    (finding,) = put_back(settings)
    assert finding.subject == f"credential {made.credential_id}"
    assert finding.advice.startswith("is not there, although the audit has credential.create on")


def test_a_store_without_records_has_nothing_to_compare(settings: Settings) -> None:
    """Nor has one whose chains are not its own any more."""
    with open_keyring(settings=settings) as keyring:
        keyring.provider.keys.create("orders")
    with open_keyring(settings=settings) as keyring:
        with keyring.provider.store.database.write() as connection:
            connection.execute(text("UPDATE mfn_audit_chains SET sequence = 1"))
            connection.execute(text("DELETE FROM mfn_key_versions WHERE key_id = 'orders'"))
            connection.execute(text("DELETE FROM mfn_keys WHERE key_id = 'orders'"))
    assert put_back(settings) == []
    with open_keyring(settings=settings) as keyring:
        with keyring.provider.store.database.write() as connection:
            connection.execute(text("DELETE FROM mfn_audit_keys"))
    assert put_back(settings) == []


def test_a_master_key_that_was_rotated_is_no_record(settings: Settings) -> None:
    """Its change names neither a key nor a holder, and nothing can be put back by it."""
    with open_keyring(settings=settings) as keyring:
        keyring.provider.master_keys.rotate()
    assert [each.check for each in diagnose(settings)] == ["master-key"]  # a file, unencrypted
