"""What a store that opened is looked at for in production: each state, and its absence."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import psycopg
import pytest
from sqlalchemy import create_engine, text

from mycelium_fractal_net import initialise, open_keyring
from mycelium_fractal_net.config import Settings, load_settings
from mycelium_fractal_net.doctor import Finding, Severity, diagnose
from mycelium_fractal_net.doctor.diagnosis import PROD
from mycelium_fractal_net.doctor.posture.key_store import connection_findings
from mycelium_fractal_net.security.key_store.postgresql import Connected
from mycelium_fractal_net.security.key_store.scheduler_table import SchedulerTable
from mycelium_fractal_net.security.records.keys import DEFAULT_ROTATION, KeyType, Verb

if TYPE_CHECKING:
    from pathlib import Path

OF_THE_STORE = {
    "all-scopes", "every-key", "endless-credentials", "cryptoperiod", "no-scheduler", "store-tls",
    "store-superuser",
}  # fmt: skip


@pytest.fixture
def settings(home: Path) -> Settings:
    """The settings of a store with a key named orders, whose keys a service rotates."""
    found = load_settings(environ={"MFN_HOME": str(home)})
    with initialise(settings=found) as keyring:
        keyring.provider.keys.create("orders")
    managed = msgspec.structs.replace(found.security.key_management, rotation_enabled=True)
    security = msgspec.structs.replace(found.security, key_management=managed)
    return msgspec.structs.replace(found, security=security)


def found(settings: Settings) -> list[Finding]:
    """What is found of the store alone."""
    findings = [each for each in diagnose(settings, profile=PROD) if each.check in OF_THE_STORE]
    assert all(each.requirements for each in findings)
    return findings


def test_a_sound_store_has_no_finding_of_its_own(settings: Settings) -> None:
    """And what there is to say without a profile is said with one; more than a notice."""
    assert found(settings) == []
    usual, raised = (
        next(each for each in diagnose(settings, profile=profile) if each.check == "master-key")
        for profile in (None, PROD)
    )
    assert usual.severity is Severity.NOTICE
    assert raised == replace(usual, severity=Severity.WARNING)


def test_what_the_settings_have_is_told_of_a_store_that_does_not_open(tmp_path: Path) -> None:
    """Beside that it does not."""
    nowhere = load_settings(environ={"MFN_HOME": str(tmp_path / "nowhere")})
    checks = {each.check for each in diagnose(nowhere, profile=PROD)}
    assert {"open", "not-production", "unsigned-requests"} <= checks


def test_credentials_that_may_too_much_are_found(settings: Settings) -> None:
    """Each by itself; one that is revoked is none, nor one that names its keys and ends."""
    end = datetime.now(UTC) + timedelta(days=30)
    with open_keyring(settings=settings) as keyring:
        made = keyring.provider.credentials
        everything = made.create("all", ("*",), expires_at=end)[0].credential_id
        every_key = made.create("keys", ("decrypt:*", "keys:read"), expires_at=end)[0]
        made.create("good", ("decrypt:orders",), expires_at=end)
        gone = made.create("gone", ("*",))[0].credential_id
        made.revoke(gone)
    first, second = found(settings)
    assert (first.check, first.subject) == ("all-scopes", f"credential {everything}")
    assert first.severity is Severity.WARNING
    assert (second.check, second.subject) == ("every-key", f"credential {every_key.credential_id}")
    assert "decrypt:*" in second.advice
    assert second.severity is Severity.NOTICE


def test_credentials_without_an_end_are_one_finding(settings: Settings) -> None:
    """With the first three by name; a damaged row is named elsewhere."""
    with open_keyring(settings=settings) as keyring:
        made = [
            keyring.provider.credentials.create("x", ("decrypt:orders",))[0].credential_id
            for _ in range(4)
        ]
    (finding,) = found(settings)
    assert (finding.check, finding.severity) == ("endless-credentials", Severity.NOTICE)
    assert sum(each in finding.advice for each in made) == 3
    assert "and 1 more" in finding.advice
    engine = create_engine(f"sqlite:///{settings.store}")
    with engine.begin() as connection:
        statement = "UPDATE mfn_credentials SET name = 'y' WHERE credential_id = :id"
        connection.execute(text(statement), {"id": made[0]})
    engine.dispose()
    (finding,) = found(settings)
    assert "more" not in finding.advice


def test_a_key_that_protects_for_too_long_is_found(settings: Settings) -> None:
    """By the age of its newest version; a signing key has three years and others two."""
    with open_keyring(settings=settings) as keyring:
        provider = keyring.provider
        provider.clock = lambda: datetime.now(UTC) - timedelta(days=731)
        for key_type in (KeyType.SIGNING, KeyType.MAC):
            provider.keys.create(f"old-{key_type}", key_type)
        provider.keys.create("stopped")
        provider.states.apply(Verb.SUSPEND, "stopped:v1")
    (finding,) = found(settings)
    assert (finding.check, finding.subject) == ("cryptoperiod", "key old-mac")
    assert finding.severity is Severity.WARNING
    with open_keyring(settings=settings) as keyring:
        keyring.provider.rotate_key("old-mac")
    assert found(settings) == []


def test_a_policy_that_has_a_key_protect_for_too_long_is_found(settings: Settings) -> None:
    """Before the key is that old."""
    policy = replace(DEFAULT_ROTATION[KeyType.ENCRYPTION], interval_days=731)
    with open_keyring(settings=settings) as keyring:
        keyring.provider.keys.set_rotation("orders", policy)
    (finding,) = found(settings)
    assert "mfn key policy orders --interval-days 730" in finding.advice
    with open_keyring(settings=settings) as keyring:
        keyring.provider.keys.set_rotation("orders", replace(policy, interval_days=730))
    assert found(settings) == []


def test_a_store_that_nobody_rotates_is_found(settings: Settings) -> None:
    """Until a scheduler looks, wherever that runs."""
    managed = msgspec.structs.replace(settings.security.key_management, rotation_enabled=False)
    security = msgspec.structs.replace(settings.security, key_management=managed)
    by_hand = msgspec.structs.replace(settings, security=security)
    (finding,) = found(by_hand)
    assert (finding.check, finding.severity) == ("no-scheduler", Severity.WARNING)
    with open_keyring(settings=settings) as keyring:
        table = SchedulerTable(keyring.provider.store.database)
        table.note_look(datetime.now(UTC) - timedelta(days=2))
        assert len(found(by_hand)) == 1
        table.note_look(datetime.now(UTC))
    assert found(by_hand) == []


# PostgreSQL ----------------------------------------------------------------------------------

AWAY = Connected("192.0.2.1", encrypted=True, verified=True, superuser=False)


@pytest.mark.parametrize(
    ("connected", "expected"),
    [
        (AWAY, []),
        (AWAY._replace(verified=False), [("store-tls", Severity.WARNING)]),
        (AWAY._replace(encrypted=False, verified=False), [("store-tls", Severity.CRITICAL)]),
        (Connected("127.0.0.1", encrypted=False, verified=False, superuser=False), []),
        (Connected("/run/postgresql", encrypted=False, verified=False, superuser=False), []),
        (AWAY._replace(superuser=True), [("store-superuser", Severity.WARNING)]),
    ],
)
def test_the_way_to_the_database(
    connected: Connected, expected: list[tuple[str, Severity]]
) -> None:
    """On this machine nobody else reads it; elsewhere it is encrypted and verified."""
    findings = connection_findings(connected)
    assert [(each.check, each.severity) for each in findings] == expected


def test_a_superuser_of_a_real_database_is_found(postgres_url: str, home: Path) -> None:
    """And a user who owns its database alone is not."""
    first = load_settings(environ={"MFN_HOME": str(home)}, store=postgres_url)
    initialise(settings=first).close()
    (finding,) = (each for each in found(first) if each.check.startswith("store-"))
    assert finding.check == "store-superuser"
    name = f"u{secrets.token_hex(6)}"
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN")
        connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}")
    as_user = postgres_url.replace("//mfn@", f"//{name}@")
    owned = load_settings(environ={"MFN_HOME": str(home)}, store=as_user)
    assert [each for each in found(owned) if each.check.startswith("store-")] == []
