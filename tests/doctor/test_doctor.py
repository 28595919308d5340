"""mfn doctor's findings, each caused for real."""

from __future__ import annotations

import os
import shutil
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from sqlalchemy import create_engine, text

from mycelium_fractal_net import initialise
from mycelium_fractal_net.bootstrap import build_policy
from mycelium_fractal_net.config import Settings, load_settings
from mycelium_fractal_net.doctor import Finding, Severity, audit_records, diagnose
from mycelium_fractal_net.security.audit import Event
from mycelium_fractal_net.security.key_providers import LocalCustodian, LocalKeyProvider
from mycelium_fractal_net.security.key_store import Database, KeyStore, UsageStore, sqlite
from mycelium_fractal_net.security.key_store.rows import day_of
from mycelium_fractal_net.security.key_store.scheduler_table import (
    RotationFailure,
    SchedulerTable,
)
from mycelium_fractal_net.security.key_store.usage import RAW_MESSAGES_ROTATE, REFUSED
from mycelium_fractal_net.security.records.keys import DEFAULT_ROTATION, KeyType, Verb
from mycelium_fractal_net.security.records.signers import Signer, SignerState
from mycelium_fractal_net.security.signatures.signing_key import SigningKey
from tests.support.algorithms import SIGNING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def settings(home: Path) -> Settings:
    """The settings of a store with a key named orders."""
    found = load_settings(environ={"MFN_HOME": str(home)})
    with initialise(settings=found) as keyring:
        keyring.provider.keys.create("orders")
    return found


@pytest.fixture
def provider(settings: Settings) -> Iterator[LocalKeyProvider]:
    """A provider over that store."""
    policy = build_policy(settings)
    database = Database(settings.store)
    yield LocalKeyProvider(
        KeyStore(database), LocalCustodian(settings.master_key_file, policy), policy
    )
    database.close()


def tamper(settings: Settings, statement: str) -> None:
    engine = create_engine(f"sqlite:///{settings.store}")
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def found(settings: Settings, check: str, **options: object) -> list[Finding]:
    return [each for each in diagnose(settings, **options) if each.check == check]  # type: ignore[arg-type]


def test_a_fresh_store_has_nothing_but_an_unencrypted_master_key(settings: Settings) -> None:
    """One notice, which says what to do about it."""
    (finding,) = diagnose(settings)
    assert (finding.severity, finding.check) == (Severity.NOTICE, "master-key")
    assert "mfn master passphrase" in finding.advice


def test_files_that_others_may_use_are_critical(settings: Settings, home: Path) -> None:
    """Folders, database, key file and passphrase file, each by its path."""
    passphrase = home / "passphrase"
    passphrase.write_text("x")
    named = load_settings(
        environ={"MFN_HOME": str(home), "MFN_MASTER_PASSPHRASE_FILE": str(passphrase)}
    )
    (chain,) = (path.parent for path in (home / "audit").glob("*/lock"))
    paths = [home / "keys.db", home / "master.key", passphrase, home / "audit", chain]
    for path in paths:
        path.chmod(0o755 if path.is_dir() else 0o644)
    home.chmod(0o755)
    findings = found(named, "file-modes")
    assert {each.subject for each in findings} == {str(home), *map(str, paths)}
    assert {each.severity for each in findings} == {Severity.CRITICAL}


@pytest.mark.parametrize(
    ("statement", "subject"),
    [
        ("UPDATE mfn_keys SET interval_days = 1 WHERE key_id = 'orders'", "key orders"),
        ("UPDATE mfn_key_versions SET state = 'suspended' WHERE key_id = 'orders'", "key orders"),
        ("UPDATE mfn_key_versions SET wrapped = mac FROM mfn_keys WHERE mfn_keys.key_id = 'orders'"
         " AND mfn_key_versions.key_id = 'orders'", "key orders:v1"),
        ("INSERT INTO mfn_credentials SELECT 'intruder', 'x', mac, NULL, NULL, '*', 'active', 1,"
         " NULL, 0, 1, master_id, mac, NULL, 0 FROM mfn_keys LIMIT 1", "credential intruder"),
        ("INSERT INTO mfn_signers (name, public_key, algorithm, credentials, any_credential, state,"
         " created_at, revision, generation, master_id, mac) SELECT 'intruder', mac, 'Ed25519', '',"
         " 1, 'active', 1, 0, 1, master_id, mac FROM mfn_keys LIMIT 1", "signer intruder"),
    ],
)  # fmt: skip
def test_rows_that_fail_their_authentication_are_named(
    settings: Settings, statement: str, subject: str
) -> None:
    """The one that was changed, and no other."""
    tamper(settings, statement)
    (finding,) = found(settings, "authentication")
    assert (finding.severity, finding.subject) == (Severity.CRITICAL, subject)


def test_an_authentic_credential_is_no_finding(
    settings: Settings, provider: LocalKeyProvider
) -> None:
    """What this software wrote is in order."""
    provider.credentials.create("x", ("*",))
    assert not found(settings, "authentication")


# Signers --------------------------------------------------------------------------------------


def credential(provider: LocalKeyProvider, name: str = "billing") -> str:
    return provider.credentials.create(name, ("*",))[0].credential_id


def public() -> bytes:
    return SigningKey.generate(SIGNING).public.der()


def test_a_credential_whose_signers_are_all_revoked_is_noticed(
    settings: Settings, provider: LocalKeyProvider
) -> None:
    """It is refused for ever; while one of them is left there is nothing to say."""
    first, second = credential(provider), credential(provider)
    provider.signers.add("one", public(), credentials=(first, second))
    provider.signers.add("two", public(), credentials=(first,))
    assert not found(settings, "credential-signer")
    provider.signers.revoke("one")
    (finding,) = found(settings, "credential-signer")
    assert (finding.severity, finding.subject) == (Severity.NOTICE, f"credential {second}")
    assert "(billing)" in finding.advice
    provider.signers.revoke("two")
    assert {each.subject for each in found(settings, "credential-signer")} == {
        f"credential {first}", f"credential {second}",
    }  # fmt: skip


def test_a_new_signer_mends_that(settings: Settings, provider: LocalKeyProvider) -> None:
    """Or the end of the credential itself; one that signs for any credential does not."""
    bound = [credential(provider, name) for name in "abc"]
    provider.signers.add("gone", public(), credentials=tuple(bound))
    provider.signers.revoke("gone")
    provider.signers.add("new", public(), credentials=(bound[0],))
    provider.credentials.revoke(bound[1])
    (finding,) = found(settings, "credential-signer")
    assert finding.subject == f"credential {bound[2]}"
    provider.signers.add("all", public(), any_credential=True)
    assert len(found(settings, "credential-signer")) == 1


def test_a_credential_that_is_bound_from_the_beginning_waits_for_a_signer(
    settings: Settings, provider: LocalKeyProvider
) -> None:
    """It is refused until one signs for it."""
    made = provider.credentials.create("waits", ("*",), bound=True)[0].credential_id
    (finding,) = found(settings, "credential-signer")
    assert finding.subject == f"credential {made}"
    provider.signers.add("one", public(), credentials=(made,))
    assert not found(settings, "credential-signer")


def test_a_credential_that_only_its_signer_binds_is_named(
    settings: Settings, provider: LocalKeyProvider
) -> None:
    """As 4.1.0 left it; what is advised mends it."""
    made = credential(provider)
    signer = Signer("old", public(), SIGNING, (made,), False, SignerState.ACTIVE, provider.clock())
    provider.signers.insert(lambda master: replace(signer, master_id=master), "signer.add")
    (finding,) = found(settings, "credential-unbound")
    assert (finding.severity, finding.subject) == (Severity.CRITICAL, f"credential {made}")
    initialise(settings=settings).close()
    assert not found(settings, "credential-unbound")


def test_a_signer_that_was_edited_signs_for_nobody(
    settings: Settings, provider: LocalKeyProvider
) -> None:
    """It is named as such, the sound ones are looked at, and it keeps no credential at work."""
    bound = credential(provider)
    provider.signers.add("edited", public(), any_credential=True)
    provider.signers.add("gone", public(), credentials=(bound,))
    provider.signers.revoke("gone")
    tamper(settings, "UPDATE mfn_signers SET algorithm = 'x' WHERE name = 'edited'")
    (finding,) = found(settings, "authentication")
    assert (finding.severity, finding.subject) == (Severity.CRITICAL, "signer edited")
    (finding,) = found(settings, "credential-signer")
    assert finding.subject == f"credential {bound}"


def test_a_low_iteration_count_is_advised_against(home: Path) -> None:
    """For the stored passphrase, or for the next one where there is none."""
    low = {"MFN_HOME": str(home), "MFN_CONFIG": "prod"}
    settings = load_settings(environ=low)
    initialise(settings=settings).close()
    (finding,) = found(settings, "iterations")
    assert finding.subject == "security.encryption.key_derivation_iterations"
    shutil.rmtree(home)
    initialise(settings=settings, passphrase=b"correct horse").close()
    (finding,) = found(settings, "iterations", passphrase=b"correct horse")
    assert finding.subject == str(home / "master.key")
    assert "600000" in finding.advice


def test_keys_past_their_policy_and_out_of_use_are_warned_of(
    settings: Settings, provider: LocalKeyProvider
) -> None:
    """A key that was to be rotated, one that protects nothing, one that is about to go."""
    old = LocalKeyProvider(
        provider.store,
        provider.custodian,
        provider.policy,
        clock=lambda: datetime.now(UTC) - timedelta(days=91),
    )
    old.keys.create("ancient")
    provider.keys.create("stopped")
    provider.states.apply(Verb.SUSPEND, "stopped")
    provider.rotate_key("orders")
    provider.states.apply(Verb.DESTROY, "orders:v1")
    (due,) = found(settings, "rotation-due")
    assert (due.subject, due.severity) == ("key ancient", Severity.WARNING)
    (stopped,) = found(settings, "no-active-version")
    assert (stopped.subject, stopped.severity) == ("key stopped", Severity.WARNING)
    (going,) = found(settings, "destruction")
    assert (going.subject, going.severity) == ("key orders:v1", Severity.NOTICE)
    assert "mfn key cancel-destruction orders:v1" in going.advice


def test_versions_past_the_retained_count_are_a_notice(
    settings: Settings, provider: LocalKeyProvider
) -> None:
    """By name, with the command that says what is known of their use."""
    for _ in range(4):
        provider.rotate_key("orders")
    (old,) = found(settings, "retention")
    assert (old.subject, old.severity) == ("key orders", Severity.NOTICE)
    assert "orders:v1, orders:v2;" in old.advice
    assert "mfn rotation cleanup orders" in old.advice


def test_a_window_that_is_about_to_pass_is_a_warning(
    settings: Settings, provider: LocalKeyProvider
) -> None:
    """A week before its end."""
    provider.rotate_key("orders")
    provider.states.apply(Verb.DESTROY, "orders:v1", window_days=8)
    assert [each.severity for each in found(settings, "destruction")] == [Severity.NOTICE]
    provider.states.apply(Verb.CANCEL_DESTRUCTION, "orders:v1")
    provider.states.apply(Verb.DESTROY, "orders:v1", window_days=7)
    (going,) = found(settings, "destruction")
    assert (going.subject, going.severity) == ("key orders:v1", Severity.WARNING)


def test_a_pending_version_that_is_needed_is_critical(
    settings: Settings, provider: LocalKeyProvider
) -> None:
    """It was used while it waits; uses of a window that was cancelled are forgiven."""
    handle = provider.keys.get("orders").latest.handle
    usage = UsageStore(provider.store.database)
    provider.rotate_key("orders")
    provider.states.apply(Verb.DESTROY, "orders:v1", window_days=7)
    yesterday = day_of(datetime.now(UTC)) - 1
    usage.add({(handle, yesterday, REFUSED): 3})
    (needed,) = found(settings, "pending-use")
    assert (needed.subject, needed.severity) == ("key orders:v1", Severity.CRITICAL)
    assert "3 uses since" in needed.advice
    assert "mfn key cancel-destruction orders:v1" in needed.advice
    assert found(settings, "destruction") == []
    provider.states.apply(Verb.CANCEL_DESTRUCTION, "orders:v1")
    provider.states.apply(Verb.DESTROY, "orders:v1")
    assert found(settings, "pending-use") == []
    assert len(found(settings, "destruction")) == 1


def test_a_raw_key_near_its_limit_is_warned_of(
    settings: Settings, provider: LocalKeyProvider
) -> None:
    """From 2^31 messages on."""
    handle = provider.keys.get("orders").latest.handle
    UsageStore(provider.store.database).reserve_raw(handle, RAW_MESSAGES_ROTATE - 1)
    assert not found(settings, "raw-limit")
    UsageStore(provider.store.database).reserve_raw(handle, 1)
    assert [each.subject for each in found(settings, "raw-limit")] == ["key orders:v1"]


def test_a_missing_default_key_is_noticed(settings: Settings) -> None:
    """A request that names no key would fail."""
    tamper(settings, "DELETE FROM mfn_key_versions WHERE key_id = 'default-mac'")
    tamper(settings, "DELETE FROM mfn_keys WHERE key_id = 'default-mac'")
    (finding,) = found(settings, "default-key")
    assert finding.subject == "key default-mac"


def test_a_half_done_move_to_another_master_key_is_warned_of(
    settings: Settings, provider: LocalKeyProvider
) -> None:
    """Until it is finished, and not after."""
    provider.custodian.add()
    assert [each.severity for each in found(settings, "master-move")] == [Severity.WARNING]
    provider.master_keys.rotate()
    assert not found(settings, "master-move")


# Audit records --------------------------------------------------------------------------------


def segments(settings: Settings) -> list[Path]:
    return sorted(settings.audit_folder.glob("*/*.jsonl"))


def edit(path: Path, old: bytes, new: bytes) -> None:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


def test_an_audit_record_that_was_changed_is_critical(settings: Settings) -> None:
    """With its chain and place, and that nothing there should be touched."""
    (path,) = segments(settings)
    edit(path, b"key.create", b"key.rotate")
    (finding,) = found(settings, "audit-tampering")
    assert (finding.severity, finding.subject) == (
        Severity.CRITICAL, f"audit chain {path.parent.name}",
    )  # fmt: skip
    assert finding.advice.startswith("record 2: edited")
    assert "mfn audit verify" in finding.advice


def test_audit_records_that_are_missing_are_critical(settings: Settings) -> None:
    """Whole chains too, and the key that they are chained with."""
    (chain,) = (path.parent for path in segments(settings))
    chain.rename(chain.with_name("elsewhere"))
    (finding,) = found(settings, "audit-tampering")
    assert finding.advice.startswith("the whole chain is missing")
    chain.with_name("elsewhere").rename(chain)
    assert not found(settings, "audit-tampering")
    tamper(settings, "DELETE FROM mfn_audit_keys")
    (finding,) = found(settings, "audit-tampering")
    assert (finding.severity, finding.subject) == (Severity.CRITICAL, "audit key")


def test_many_faults_are_not_told_one_by_one(settings: Settings) -> None:
    """The doctor's page stays a page; ``mfn audit verify`` has the rest."""
    (path,) = segments(settings)
    lines = path.read_bytes().splitlines(keepends=True)
    with initialise(settings=settings) as keyring:
        assert keyring.provider.audit is not None
        for _ in range(50):
            keyring.provider.audit.record(Event("encrypt", "ok"))
    path.write_bytes(path.read_bytes().replace(b'"encrypt"', b'"decrypt"'))
    assert len(found(settings, "audit-tampering")) == 20
    assert len(lines) < 50


def test_the_newest_audit_records_of_a_long_chain_are_verified(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is whole at least; what was before them may have been moved away."""
    monkeypatch.setattr(audit_records, "AUDIT_BYTES", 1)
    (home / "mfn.json").write_text('{"audit": {"segment_bytes": 65536}}')
    settings = load_settings(home / "mfn.json", home=home, environ={})
    with initialise(settings=settings) as keyring:
        assert keyring.provider.audit is not None
        for _ in range(10):
            for _ in range(199):
                keyring.provider.audit.append(Event("encrypt", "ok", actor="library"))
            keyring.provider.audit.record(Event("encrypt", "ok", actor="library"))
    first, *_, last = segments(settings)
    edit(first, b"key.create", b"key.rotate")
    assert not found(settings, "audit-tampering")
    first.unlink()
    assert not found(settings, "audit-tampering")
    edit(last, b'"encrypt"', b'"decrypt"')  # its first record, which hangs on the file before
    assert len(found(settings, "audit-tampering")) == 1


def test_an_audit_folder_that_takes_no_records_is_critical(settings: Settings) -> None:
    """Something else is in its place; every command would fail."""
    settings.audit_folder.rename(settings.home / "elsewhere")
    settings.audit_folder.write_text("in the way")
    settings.audit_folder.chmod(0o600)
    (finding,) = found(settings, "audit-folder")
    assert (finding.severity, finding.subject) == (Severity.CRITICAL, str(settings.audit_folder))
    assert "cannot be written" in finding.advice


def test_audit_records_that_cannot_be_read_are_critical(settings: Settings) -> None:
    """Named by the file."""
    (path,) = segments(settings)
    path.unlink()
    path.mkdir()
    (finding,) = found(settings, "audit-folder")
    assert (finding.severity, finding.subject) == (Severity.CRITICAL, str(path))
    assert "cannot be read" in finding.advice


def test_looking_at_the_audit_records_leaves_nothing_there(settings: Settings) -> None:
    """Not even for a moment has what is written beside them a name."""
    before = sorted(settings.audit_folder.rglob("*")), segments(settings)[0].read_bytes()
    diagnose(settings)
    assert (sorted(settings.audit_folder.rglob("*")), segments(settings)[0].read_bytes()) == before


# The store as a whole -------------------------------------------------------------------------


def test_a_store_that_does_not_open_is_critical(home: Path) -> None:
    """Nothing there, nothing to read it with, switched off: the one line of the error."""
    settings = load_settings(environ={"MFN_HOME": str(home)})
    (finding,) = diagnose(settings)
    assert (finding.severity, finding.check) == (Severity.CRITICAL, "open")
    assert "mfn init" in finding.advice
    initialise(settings=settings).close()
    os.unlink(home / "master.key")
    assert "put the file back" in found(settings, "open")[0].advice
    off = load_settings(environ={"MFN_HOME": str(home), "MFN_CRYPTO_ENABLED": "no"})
    assert "switched off" in found(off, "open")[0].advice


def test_a_store_on_postgresql_is_read_too(home: Path, postgres_url: str) -> None:
    """The same checks by the same code."""
    settings = load_settings(environ={"MFN_HOME": str(home), "MFN_STORE": postgres_url})
    initialise(settings=settings).close()
    assert [each.check for each in diagnose(settings)] == ["master-key"]


def test_the_most_severe_comes_first(settings: Settings, home: Path) -> None:
    """Critical before notice."""
    (home / "master.key").chmod(0o644)
    severities = [each.severity for each in diagnose(settings)]
    assert severities == sorted(severities, key=list(Severity).index, reverse=True)
    assert severities[0] is Severity.CRITICAL


# Rotation ---------------------------------------------------------------------------------------


def _days_ago(provider: LocalKeyProvider, days: float) -> LocalKeyProvider:
    then = datetime.now(UTC) - timedelta(days=days)
    return LocalKeyProvider(provider.store, provider.custodian, provider.policy, clock=lambda: then)


def test_a_key_is_overdue_a_day_after_it_was_due(
    settings: Settings, provider: LocalKeyProvider
) -> None:
    """A scheduler may be late; one that is rotated by hand is due at once."""
    _days_ago(provider, 90.9).keys.create("late")
    _days_ago(provider, 92).keys.create("overdue")
    by_hand = replace(DEFAULT_ROTATION[KeyType.ENCRYPTION], automatic=False)
    _days_ago(provider, 90.1).keys.create("manual", rotation=by_hand)
    _days_ago(provider, 92).keys.create("stopped")
    provider.states.apply(Verb.SUSPEND, "stopped")
    by_key = {each.subject: each.advice for each in found(settings, "rotation-due")}
    assert set(by_key) == {"key overdue", "key manual"}
    assert "no scheduler has ever run: mfn rotation run" in by_key["key overdue"]
    assert "by hand: mfn key rotate manual" in by_key["key manual"]


@pytest.mark.parametrize(
    ("days", "why"),
    [(3, "no scheduler has run since"), (0.01, "no scheduler did so: mfn rotation list says why")],
)
def test_what_is_overdue_says_whether_a_scheduler_runs(
    settings: Settings, provider: LocalKeyProvider, days: float, why: str
) -> None:
    """One that has stopped is another case than one that cannot do it."""
    _days_ago(provider, 92).keys.create("overdue")
    table = SchedulerTable(provider.store.database)
    table.note_look(datetime.now(UTC) - timedelta(days=days))
    (finding,) = found(settings, "rotation-due")
    assert why in finding.advice


def test_a_rotation_that_fails_is_warned_of(settings: Settings, provider: LocalKeyProvider) -> None:
    """With since when, how often and why."""
    now = datetime.now(UTC)
    failure = RotationFailure("orders", 3, now - timedelta(days=2), now, "no such algorithm")
    SchedulerTable(provider.store.database).record_failure(failure)
    (finding,) = found(settings, "rotation-failing")
    assert (finding.subject, finding.severity) == ("key orders", Severity.WARNING)
    assert "3 times" in finding.advice
    assert "no such algorithm" in finding.advice


def test_a_version_that_was_to_be_active_is_warned_of(
    settings: Settings, provider: LocalKeyProvider
) -> None:
    """An hour after its time; where a backup must hold it first, that is said elsewhere."""
    for name, hours in (("orders", -2), ("late", -0.5), ("early", 1)):
        if name != "orders":
            provider.keys.create(name)
        at = datetime.now(UTC) + timedelta(hours=hours)
        _days_ago(provider, 1).rotate_key(name, activate_at=at)
    (finding,) = found(settings, "activation-due")
    assert finding.subject == "key orders:v2"
    assert "mfn key activate orders:v2" in finding.advice
    careful = msgspec.structs.replace(
        settings, rotation=msgspec.structs.replace(settings.rotation, require_backup=True)
    )
    assert found(careful, "activation-due") == []


def test_a_version_that_was_rotated_in_time_is_not_near_its_limit(
    settings: Settings, provider: LocalKeyProvider
) -> None:
    """It has encrypted half of what it may, and encrypts no more."""
    handle = provider.keys.get("orders").latest.handle
    UsageStore(provider.store.database).reserve_raw(handle, RAW_MESSAGES_ROTATE)
    provider.rotate_key("orders")
    assert not found(settings, "raw-limit")


@pytest.mark.parametrize("stored", ["NULL", "due_at + 1"])
def test_a_due_time_that_is_not_the_records_is_warned_of(
    settings: Settings, provider: LocalKeyProvider, stored: str
) -> None:
    """Schedulers would come too late; an earlier one does no harm."""
    for early in ("0", "due_at - 1"):
        with provider.store.database.write() as connection:
            connection.execute(text(f"UPDATE mfn_keys SET due_at = {early}"))
        assert found(settings, "due-time") == []
    provider.keys.create("late")
    with provider.store.database.write() as connection:
        connection.execute(text(f"UPDATE mfn_keys SET due_at = {stored} WHERE key_id = 'late'"))
    (finding,) = found(settings, "due-time")
    assert (finding.severity, finding.subject) == ("warning", "key late")


# What it has unwrapped ------------------------------------------------------------------------


def test_the_newest_version_and_a_few_others_are_unwrapped_or_all_of_them(
    settings: Settings, provider: LocalKeyProvider
) -> None:
    """Each of them may be a call to another machine."""
    for _ in range(9):
        provider.rotate_key("orders")
    tamper(
        settings,
        "UPDATE mfn_key_versions SET wrapped = (SELECT wrapped FROM mfn_key_versions"
        " WHERE key_id = 'default-mac') WHERE key_id = 'orders'",
    )
    some = [each.subject for each in found(settings, "authentication")]
    assert len(some) == 4
    assert some[-1] == "key orders:v10"
    everything = found(settings, "authentication", all_versions=True)
    assert [each.subject for each in everything] == [f"key orders:v{n}" for n in range(1, 11)]


# The store and the service's files ----------------------------------------------------------------


def test_a_store_that_can_be_read_alone_is_critical(
    settings: Settings, provider: LocalKeyProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody holds it locked; a full disk and a replica refuse in the same place."""
    monkeypatch.setattr(sqlite, "_PRAGMAS", (*sqlite._PRAGMAS[:-1], "PRAGMA busy_timeout=50"))
    other = sqlite3.connect(str(settings.store), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    (finding,) = found(settings, "store-write")
    assert finding.severity is Severity.CRITICAL
    assert "cannot be written" in finding.advice
    other.execute("ROLLBACK")
    other.close()
    assert found(settings, "store-write") == []
    assert provider.store.status() is not None


def test_a_private_key_of_tls_that_everybody_may_read_is_critical(home: Path) -> None:
    """With the command that ends it; a group may read it."""
    key = home / "server.key"
    key.write_text("PEM")
    file = home / "config.json"
    file.write_text(f'{{"security": {{"tls": {{"private_key": "{key}", "certificate": "c"}}}}}}')
    found_in = load_settings(config=file, environ={"MFN_HOME": str(home)})
    for mode, count in ((0o644, 1), (0o640, 0), (0o600, 0)):
        key.chmod(mode)
        assert len(found(found_in, "tls-key")) == count
    key.chmod(0o644)
    command = found(found_in, "tls-key")[0].advice.rpartition("run: ")[2]
    assert os.system(command) == 0
    assert found(found_in, "tls-key") == []
    key.unlink()
    assert found(found_in, "tls-key") == []
