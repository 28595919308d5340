"""A store whose tables are not as they were made is refused, and what is foreign is named."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.doctor import diagnose
from mycelium_fractal_net.security.errors import StoreError, StoreIntegrityError
from mycelium_fractal_net.security.key_store.freshness import Freshness
from mycelium_fractal_net.security.key_store.schema import metadata
from tests.support.stores import open_provider

if TYPE_CHECKING:
    from pathlib import Path

    from mycelium_fractal_net.security.key_providers import LocalKeyProvider

# What holds the generation where it is, so that no process learns of a revocation.
_HOLD = {
    "sqlite": "CREATE TRIGGER hold AFTER UPDATE OF generation ON mfn_store_meta BEGIN"
    " UPDATE mfn_store_meta SET generation = OLD.generation; END",
    "postgresql": "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN NEW.generation := OLD.generation; RETURN NEW; END';"
    "CREATE TRIGGER hold BEFORE UPDATE ON mfn_store_meta FOR EACH ROW EXECUTE FUNCTION hold()",
}
SQLITE = {
    "a trigger that holds the generation": (_HOLD["sqlite"], "trigger 'hold' on mfn_store_meta"),
    "a trigger that deletes nonces": (
        "CREATE TRIGGER forget AFTER INSERT ON mfn_request_nonces BEGIN"
        " DELETE FROM mfn_request_nonces; END",
        "trigger 'forget' on mfn_request_nonces",
    ),
    "a trigger elsewhere that writes here": (
        "CREATE TABLE log (x); CREATE TRIGGER far AFTER INSERT ON log BEGIN"
        " UPDATE MFN_keys SET publish = 1; END",
        "trigger 'far' on log",
    ),
    "a view of a table": ("CREATE VIEW seen AS SELECT * FROM mfn_credentials", "view 'seen'"),
    "a view in the place of a table": (
        "ALTER TABLE mfn_signers RENAME TO hidden; CREATE VIEW mfn_signers AS SELECT * FROM hidden",
        "table mfn_signers is missing",
    ),
    "a column": ("ALTER TABLE mfn_keys ADD COLUMN note TEXT", "column 'note' on mfn_keys"),
    "a column that is computed": (
        "ALTER TABLE mfn_keys ADD COLUMN twice AS (revision * 2)",
        "column 'twice' on mfn_keys",
    ),
    "an index": ("CREATE INDEX theirs ON mfn_usage (count)", "index 'theirs' on mfn_usage"),
    "a unique index": (
        "CREATE UNIQUE INDEX theirs ON mfn_request_nonces (expires_at)",
        "index 'theirs' on mfn_request_nonces",
    ),
    "a table that takes a nonce twice": (
        "DROP TABLE mfn_request_nonces; CREATE TABLE mfn_request_nonces"
        " (digest BLOB NOT NULL, expires_at BIGINT NOT NULL)",
        "unique 'digest' of mfn_request_nonces is missing",
    ),
    "a table whose conflicts replace": (
        "DROP TABLE mfn_request_nonces; CREATE TABLE mfn_request_nonces (digest BLOB NOT NULL"
        " PRIMARY KEY ON CONFLICT REPLACE, expires_at BIGINT NOT NULL)",
        "mfn_request_nonces is made with ON CONFLICT",
    ),
    "a column of another kind": (
        "DROP TABLE mfn_raw_usage;"
        " CREATE TABLE mfn_raw_usage (handle BLOB NOT NULL PRIMARY KEY, reserved TEXT NOT NULL)",
        "column 'reserved' on mfn_raw_usage is text not null",
    ),
    "a foreign key that cascades": (
        "PRAGMA foreign_keys = OFF; DROP TABLE mfn_key_versions; CREATE TABLE mfn_key_versions"
        " (handle BLOB NOT NULL PRIMARY KEY, key_id VARCHAR(64) NOT NULL REFERENCES mfn_keys"
        " (key_id) ON DELETE CASCADE, version INTEGER NOT NULL, state VARCHAR(24) NOT NULL,"
        " compromised BOOLEAN NOT NULL, created_at BIGINT NOT NULL, activate_at BIGINT,"
        " destroy_at BIGINT, wrapped BLOB NOT NULL, public_key BLOB, rewrapped_at BIGINT,"
        " imported BOOLEAN NOT NULL DEFAULT 0, external VARCHAR(600), external_gone_at BIGINT,"
        " UNIQUE (key_id, version))",
        "foreign key 'key_id to mfn_keys.key_id' on mfn_key_versions is cascading",
    ),
}
POSTGRESQL = {
    "a trigger that holds the generation": (
        _HOLD["postgresql"],
        "trigger 'hold' on mfn_store_meta",
    ),
    "a rule": (
        "CREATE RULE never AS ON DELETE TO mfn_credentials DO INSTEAD NOTHING",
        "rule 'never' on mfn_credentials",
    ),
    "row security": (
        "ALTER TABLE mfn_credentials ENABLE ROW LEVEL SECURITY",
        "mfn_credentials is under row security",
    ),
    "a row policy": (
        "CREATE POLICY lenient ON mfn_credentials USING (true)",
        "row policy 'lenient' on mfn_credentials",
    ),
    "a view of a table": (
        "CREATE VIEW seen AS SELECT * FROM mfn_credentials",
        "view 'seen' on mfn_credentials",
    ),
    "a view in the place of a table": (
        "ALTER TABLE mfn_signers RENAME TO hidden; CREATE VIEW mfn_signers AS SELECT * FROM hidden",
        "mfn_signers is no plain table",
    ),
    "a table that inherits": (
        "CREATE TABLE more () INHERITS (mfn_keys)",
        "mfn_keys is inherited from, or by, more",
    ),
    "a table that a crash empties": (
        "ALTER TABLE mfn_request_nonces SET UNLOGGED",
        "mfn_request_nonces is not durable",
    ),
    "a column": ("ALTER TABLE mfn_keys ADD COLUMN note text", "column 'note' on mfn_keys"),
    "a default that calls a function": (
        "ALTER TABLE mfn_keys ALTER COLUMN revision SET DEFAULT nextval(NULL)",
        "column 'revision' on mfn_keys is bigint not null default",
    ),
    "another default": (
        "ALTER TABLE mfn_keys ALTER COLUMN due_at SET DEFAULT random()",
        "column 'due_at' on mfn_keys is bigint default",
    ),
    "a check": (
        "ALTER TABLE mfn_keys ADD CONSTRAINT odd CHECK (revision < 9)",
        "constraint 'odd' on mfn_keys",
    ),
    "an index that calls a function": (
        "DROP INDEX ix_mfn_keys_due_at; CREATE INDEX ix_mfn_keys_due_at ON mfn_keys (abs(due_at))",
        "index 'ix_mfn_keys_due_at' on mfn_keys is abs(due_at)",
    ),
    "a table that takes a nonce twice": (
        "ALTER TABLE mfn_request_nonces DROP CONSTRAINT pk_mfn_request_nonces",
        "unique 'digest' of mfn_request_nonces is missing",
    ),
    "an index that is one no more": (
        "ALTER TABLE mfn_signers ALTER COLUMN state TYPE text",
        "column 'state' on mfn_signers is text not null",
    ),
}


def change(provider: LocalKeyProvider, statements: str) -> None:
    """Change the schema from outside, as who may write the database does."""
    database = provider.store.database
    if database.file is not None:
        with closing(sqlite3.connect(database.file)) as connection:
            connection.executescript(statements)
    else:
        with database.write() as connection:
            connection.execute(text(statements))


def refused(provider: LocalKeyProvider, home: Path, named: str) -> None:
    """See that the store is refused where it is opened, by ``mfn init``'s way, and by doctor."""
    database = provider.store.database
    for act in (database.check, database.create, database.watch):
        with pytest.raises(StoreIntegrityError) as caught:
            act()
        assert named in str(caught.value)
    found = diagnose(load_settings(home=home, store=database.url))
    assert any(named in each.advice and each.severity.value == "critical" for each in found)


@pytest.mark.parametrize("case", SQLITE)
def test_what_is_foreign_in_a_file_is_refused_by_name(
    local_provider: LocalKeyProvider, home: Path, case: str
) -> None:
    """Triggers, views, columns, indexes, and tables that are not what they were."""
    statements, named = SQLITE[case]
    change(local_provider, statements)
    refused(local_provider, home, named)


@pytest.mark.parametrize("case", POSTGRESQL)
def test_what_is_foreign_on_a_server_is_refused_by_name(
    postgres_url: str, home: Path, case: str
) -> None:
    """And rules, row policies, inheritance, defaults, durability."""
    provider = open_provider(postgres_url, home)
    statements, named = POSTGRESQL[case]
    change(provider, statements)
    refused(provider, home, named)
    provider.store.database.close()


def test_what_others_have_in_the_same_database_is_left_to_them(provider: LocalKeyProvider) -> None:
    """Their own tables, indexes, views and triggers are nobody's business here."""
    change(
        provider,
        "CREATE TABLE orders (id INTEGER PRIMARY KEY); CREATE INDEX by_id ON orders (id);"
        " CREATE VIEW open_orders AS SELECT * FROM orders",
    )
    provider.store.database.check()
    provider.store.database.watch()


def test_a_process_that_runs_notices_a_trigger_within_its_next_reading(
    local_provider: LocalKeyProvider,
) -> None:
    """The generation would stand still for it; so it stops, until the trigger is gone."""
    freshness = Freshness(local_provider.store)
    freshness.refresh()
    change(local_provider, _HOLD["sqlite"])
    with pytest.raises(StoreIntegrityError, match="trigger 'hold'"):
        freshness.refresh()
    with pytest.raises(StoreIntegrityError, match="trigger 'hold'"):
        freshness.refresh()
    change(local_provider, "DROP TRIGGER hold")
    freshness.refresh()


def test_a_service_on_a_server_looks_again_now_and_then(
    postgres_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at each reading: once in half a minute."""
    from mycelium_fractal_net.security.key_store import database as module

    provider = open_provider(postgres_url, home)
    database = provider.store.database
    now = [1000.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    database.watch()
    change(provider, _HOLD["postgresql"])
    database.watch()
    now[0] += 31
    with pytest.raises(StoreIntegrityError, match="trigger 'hold'"):
        database.watch()
    database.close()


def test_many_foreign_objects_are_counted(local_provider: LocalKeyProvider) -> None:
    """The first few by name."""
    names = [table for table in metadata.tables if table != "mfn_store_meta"]
    change(
        local_provider,
        ";".join(f"CREATE INDEX theirs_{name} ON {name} (rowid)" for name in names).replace(
            "(rowid)", "(1)"
        ),
    )
    with pytest.raises(StoreError, match=rf"and {len(names) - 5} more; whoever can do that"):
        local_provider.store.database.check()
