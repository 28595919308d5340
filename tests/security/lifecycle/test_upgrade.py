"""A store of the schema before schedules: it stays authentic, and what came since is, too."""

from __future__ import annotations

import struct
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from alembic import command
from sqlalchemy import text

from mycelium_fractal_net.security.errors import StoreIntegrityError
from mycelium_fractal_net.security.key_providers import LocalCustodian, LocalKeyProvider
from mycelium_fractal_net.security.key_store import Database, KeyStore
from mycelium_fractal_net.security.key_store.rows import micros
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.records.keys import Key
from mycelium_fractal_net.security.rotation import KeyRotationScheduler
from tests.support.stores import Clock, keyring_over

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mycelium_fractal_net.security.key_store.record_table import Also


def _encoded(*fields: Any) -> bytes:
    """Fields as rows are authenticated: a kind, a length of four bytes, the value."""
    parts = []
    for field in fields:
        if field is None:
            kind, value = b"-", b""
        elif isinstance(field, bytes):
            kind, value = b"b", field
        elif isinstance(field, str):
            kind, value = b"s", field.encode()
        else:
            kind, value = b"i", b"%d" % field
        parts.append(kind + struct.pack(">I", len(value)) + value)
    return b"".join(parts)


def _insert_as_0003(provider: LocalKeyProvider, key: Key) -> None:
    """Write a key as the release before did: its columns, and its MAC over them."""
    own: dict[str, Any] = {
        "key_id": key.key_id,
        "key_type": key.key_type.value,
        "use": key.use.value,
        "algorithm": key.algorithm,
        "publish": key.publish,
        "interval_days": key.rotation.interval_days,
        "retain_count": key.rotation.retain_count,
        "auto_destroy": key.rotation.auto_destroy,
        "unused_for_days": key.rotation.unused_for_days,
        "created_at": micros(key.created_at),
        "revision": key.revision,
        "master_id": key.master_id,
    }
    (only,) = key.versions
    version: dict[str, Any] = {
        "handle": only.handle,
        "key_id": key.key_id,
        "version": 1,
        "state": "active",
        "compromised": False,
        "created_at": micros(only.created_at),
        "activate_at": None,
        "destroy_at": None,
        "wrapped": only.wrapped,
        "public_key": only.public_key,
    }
    covered = {**version, "wrapped": True}
    label, store_id = b"mycelium-fractal-net/row/key/v1", provider.store_id
    mac = provider.record_macs.of(key.master_id).tag(
        _encoded(label, store_id, *own.values(), 1, *covered.values())
    )
    with provider.store.database.write() as connection:
        for table, row in (
            ("mfn_keys", {**own, "generation": 1, "mac": mac}),
            ("mfn_key_versions", version),
        ):
            names = ", ".join(f'"{name}"' for name in row)
            values = ", ".join(f":{name}" for name in row)
            connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)


@pytest.fixture
def before(
    store_url: str, home: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> LocalKeyProvider:
    """A provider over a store of schema 0003 with a key of each type, made by its release."""
    database, policy = Database(store_url), Policy()
    newest = command.upgrade
    with monkeypatch.context() as first:
        first.setattr(command, "upgrade", lambda config, _: newest(config, "0003"))
        database.create()
    custodian = LocalCustodian.create(home / "master.key", policy)
    provider = LocalKeyProvider(KeyStore(database), custodian, policy, clock=clock)
    with database.write() as connection:
        connection.execute(
            text("INSERT INTO mfn_store_meta (id, generation, master_id) VALUES (1, 1, :id)"),
            {"id": custodian.newest_id()},
        )
        wrapped = provider.wrapping.wrap(
            custodian.newest_id(),
            policy.generate_key_material("HMAC-SHA-256"),
            provider.record_macs.binding,
        )
        connection.execute(
            text("INSERT INTO mfn_authority_keys (master_id, wrapped) VALUES (:id, :wrapped)"),
            {"id": custodian.newest_id(), "wrapped": wrapped},
        )

    def insert(make: Callable[[str], Key], event: str, also: Also | None = None) -> Key:
        del event, also
        return make(custodian.newest_id())

    provider.keys.insert = insert  # type: ignore[method-assign]
    provider.store.require_status = lambda: _Pulse(custodian.newest_id())  # type: ignore[assignment,method-assign,return-value]
    for name, key_type in (("orders", "encryption"), ("release", "signing"), ("tags", "mac")):
        made = provider.keys.create(name, key_type)
        _insert_as_0003(provider, replace(made, rotate_at=None))
    database.close()
    database = Database(store_url)
    return LocalKeyProvider(KeyStore(database), custodian, policy, clock=clock)


class _Pulse:
    def __init__(self, master_id: str) -> None:
        self.master_id = master_id


def test_keys_of_the_schema_before_stay_authentic_and_fall_due(
    before: LocalKeyProvider, clock: Clock
) -> None:
    """Nothing is written but columns: each record verifies, works, and has a schedule."""
    database = before.store.database
    with closing(database):
        database.create()
        database.check()
        assert [key.key_id for key in before.keys.all()] == ["orders", "release", "tags"]
        assert all(key.rotate_at is None and key.rotation.automatic for key in before.keys.all())
        with keyring_over(before) as keyring:
            sealed = keyring.encrypt(b"data", key_id="orders")
            scheduler = KeyRotationScheduler(before, clock=clock)
            assert scheduler.run_once().rotated == ()
            clock.forward(days=90)
            assert scheduler.run_once().rotated == ("orders:v2", "tags:v2")
            clock.forward(days=275)
            assert "release:v2" in scheduler.run_once().rotated
            keyring.refresh()
            assert keyring.decrypt(sealed) == b"data"
        assert before.keys.get("orders").rotate_at is not None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE mfn_keys SET automatic = NOT automatic WHERE key_id = 'orders'",
        "UPDATE mfn_keys SET rotate_at = rotate_at + 1 WHERE key_id = 'orders'",
        "UPDATE mfn_keys SET rotate_at = NULL WHERE key_id = 'orders'",
        "UPDATE mfn_keys SET rotate_at ="
        " (SELECT rotate_at + 1 FROM mfn_keys WHERE key_id = 'other') WHERE key_id = 'orders'",
        "UPDATE mfn_key_versions SET rewrapped_at = 1 WHERE key_id = 'orders' AND version = 2",
        "UPDATE mfn_key_versions SET rewrapped_at = NULL WHERE key_id = 'orders'",
        "UPDATE mfn_key_versions SET rewrapped_at = rewrapped_at - 1 WHERE key_id = 'orders'"
        " AND version = 1",
    ],
)
def test_what_says_when_a_key_is_rotated_cannot_be_edited(
    provider: LocalKeyProvider, clock: Clock, statement: str
) -> None:
    """The record is refused and named; no scheduler goes by it, and the others are rotated."""
    for name in ("orders", "other"):
        provider.keys.create(name)
        provider.rotate_key(name)
    provider.retirement.record_rewrap("orders", reason="all was moved")
    provider.keys.get("orders")
    with provider.store.database.write() as connection:
        changed = connection.execute(text(statement)).rowcount
    assert changed >= 1
    with pytest.raises(StoreIntegrityError, match="'orders' fails its authentication"):
        provider.keys.get("orders")
    clock.forward(days=90)
    report = KeyRotationScheduler(provider, clock=clock).run_once()
    assert report.rotated == ("other:v3",)
    assert [name for name, _ in report.failed] == ["orders"]


def test_a_schedule_cannot_be_brought_over_from_another_key(
    provider: LocalKeyProvider, clock: Clock
) -> None:
    """Nor put back as it was before a rotation, with the MAC that it had."""
    provider.keys.create("orders")
    statement = text("SELECT rotate_at, mac FROM mfn_keys WHERE key_id = 'orders'")
    with provider.store.database.read() as connection:
        before = connection.execute(statement).one()
    clock.forward(days=1)
    provider.rotate_key("orders")
    for columns in ("rotate_at = :rotate_at", "rotate_at = :rotate_at, mac = :mac"):
        with provider.store.database.write() as connection:
            connection.execute(
                text(f"UPDATE mfn_keys SET {columns} WHERE key_id = 'orders'"),
                dict(before._mapping),
            )
        with pytest.raises(StoreIntegrityError):
            provider.keys.get("orders")


_BACK_TO_0004 = (
    "DROP INDEX ix_mfn_keys_due_at",
    "DROP INDEX ix_mfn_key_versions_state",
    "DROP INDEX ix_mfn_raw_usage_reserved",
    "DROP INDEX ix_mfn_credentials_renewed_at",
    "ALTER TABLE mfn_keys DROP COLUMN due_at",
    "ALTER TABLE mfn_scheduler_clock DROP COLUMN passed_to",
    "ALTER TABLE mfn_scheduler_clock DROP COLUMN seen_until",
    "ALTER TABLE mfn_scheduler_clock DROP COLUMN behind_since",
    "ALTER TABLE mfn_credentials DROP COLUMN bound",
    "ALTER TABLE mfn_keys DROP COLUMN exportable",
    "ALTER TABLE mfn_key_versions DROP COLUMN imported",
    "DROP TABLE mfn_pending_imports",
    "ALTER TABLE mfn_key_versions DROP COLUMN external",
    "ALTER TABLE mfn_key_versions DROP COLUMN external_gone_at",
    "DROP TABLE mfn_audit_count",
    "DROP TABLE mfn_audit_acknowledged",
    "DROP TABLE mfn_acknowledged_findings",
    "UPDATE mfn_schema_version SET version_num = '0004'",
)


def test_keys_of_the_schema_before_due_times_are_given_one(
    provider: LocalKeyProvider, clock: Clock
) -> None:
    """The next look comes by each, verifies it, and says when it is due; none is due early."""
    for name in ("orders", "by-hand"):
        provider.keys.create(name)
    scheduler = KeyRotationScheduler(provider, clock=clock)
    scheduler.unschedule_rotation("by-hand")
    database = provider.store.database
    with database.write() as connection:
        for statement in _BACK_TO_0004:
            connection.execute(text(statement))
    database.create()
    database.check()
    due = text("SELECT key_id, due_at FROM mfn_keys ORDER BY key_id")
    with database.read() as connection:
        assert connection.execute(due).all() == [("by-hand", 0), ("orders", 0)]
    assert scheduler.run_once().rotated == ()
    at = micros(clock.now + timedelta(days=90))
    with database.read() as connection:
        assert connection.execute(due).all() == [("by-hand", None), ("orders", at)]
    clock.forward(days=90)
    assert scheduler.run_once().rotated == ("orders:v2",)
