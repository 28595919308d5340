"""Backups of a live store, and stores that came from one, which start closed."""

from __future__ import annotations

import io
import shutil
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from sqlalchemy import update

from mycelium_fractal_net.security.audit import AuditLog, verify
from mycelium_fractal_net.security.backup import (
    activate_held,
    record_backup,
    restore_backup,
    verify_backup,
    write_backup,
)
from mycelium_fractal_net.security.backup import layout as backup_format
from mycelium_fractal_net.security.backup.layout import BackupHeader
from mycelium_fractal_net.security.directories.credentials import CredentialDirectory
from mycelium_fractal_net.security.errors import (
    AuditUnavailableError,
    AuthenticationError,
    ConflictError,
    DecryptionError,
    KeyStateError,
    MasterKeyError,
    StoreIntegrityError,
    StoreUnavailableError,
    StoreVersionError,
)
from mycelium_fractal_net.security.key_providers import LocalCustodian, LocalKeyProvider
from mycelium_fractal_net.security.key_providers.wrapping import Wrapping
from mycelium_fractal_net.security.key_store import Database, KeyStore, UsageStore
from mycelium_fractal_net.security.key_store.freshness import Freshness
from mycelium_fractal_net.security.key_store.schema import credentials, keys, metadata
from mycelium_fractal_net.security.key_store.snapshot import BACKED_UP, LEFT_OUT, filling
from mycelium_fractal_net.security.key_store.upgrading import schema_version
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.records.credentials import CredentialState
from mycelium_fractal_net.security.records.keys import KeyState, Verb
from tests.support.stores import Clock, keyring_over, open_provider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mycelium_fractal_net.security.backup import Backup, Restored


def taken(provider: LocalKeyProvider) -> tuple[bytes, Backup]:
    """A backup of the provider's store, as bytes."""
    writer = io.BytesIO()
    backup = write_backup(provider, writer)
    return writer.getvalue(), backup


@contextmanager
def elsewhere(tmp_path: Path, home: Path, clock: Clock, url: str | None = None) -> Iterator[Any]:
    """A provider over an empty store on another machine, with the same master key."""
    other = tmp_path / "elsewhere"
    if not other.exists():
        other.mkdir(mode=0o700)
        shutil.copy(home / "master.key", other / "master.key")
    policy = Policy()
    custodian = LocalCustodian(other / "master.key", policy)
    database = Database(url or other / "keys.db")
    provider = LocalKeyProvider(KeyStore(database), custodian, policy, clock=clock)
    yield provider
    database.close()


def restored(provider: LocalKeyProvider, content: bytes, **options: Any) -> Restored:
    """What restoring those bytes into the provider's store gives."""
    return restore_backup(provider, io.BytesIO(content), **options)


def resealed(provider: LocalKeyProvider, values: list[Any], **changes: Any) -> bytes:
    """A file that the store's own master key sealed, with those values as its frames."""
    store_id, policy = provider.store_id, provider.policy
    data_key = policy.generate_key_material("AES-256-GCM")
    binding = backup_format.binding_of(store_id, "0" * 32)
    master_id = provider.custodian.newest_id()
    header = BackupHeader(
        backup_id="0" * 32, store_id=store_id.hex(), made_at=1, generation=1, schema="0004",
        master_id=master_id, wrapped_key=provider.wrapping.wrap(master_id, data_key, binding),
    )  # fmt: skip
    start = backup_format.encode_start(msgspec.structs.replace(header, **changes))
    sealer = policy.bare_sealer(data_key, backup_format.context_of(start))
    frames = values if isinstance(values, bytes) else backup_format.encode_frames(values)
    return start + sealer.seal(frames)


def is_empty(provider: LocalKeyProvider) -> bool:
    """Whether the provider's store has not even tables."""
    file = provider.store.database.file
    if file is not None and not file.exists():
        return True
    with provider.store.database.read() as connection:
        return schema_version(connection) is None


# What is in it ------------------------------------------------------------------------------


def test_every_table_is_in_a_backup_or_left_out_on_purpose() -> None:
    """A table that a later schema adds is forgotten by neither."""
    assert {f"mfn_{name}" for name in (*BACKED_UP, *LEFT_OUT)} == set(metadata.tables)
    assert not set(BACKED_UP) & set(LEFT_OUT)


def test_what_was_sealed_before_a_backup_opens_from_it_elsewhere(
    provider: LocalKeyProvider, home: Path, tmp_path: Path, clock: Clock
) -> None:
    """Keys, versions, states, policies and counts are those of the moment of the backup."""
    provider.keys.create("orders")
    provider.keys.create("release", "signing", publish=True)
    with keyring_over(provider) as keyring:
        old = keyring.encrypt(b"first", key_id="orders")
        provider.rotate_key("orders")
        keyring.refresh()
        new = keyring.encrypt(b"second", key_id="orders")
    provider.states.apply(Verb.COMPROMISE, "orders:v1")
    before = list(provider.keys.all())
    content, backup = taken(provider)
    assert backup.versions == 3
    with elsewhere(tmp_path, home, clock) as other:
        assert restored(other, content).backup == backup
        assert list(other.keys.all()) == before
        with keyring_over(other) as keyring:
            assert keyring.decrypt(new) == b"second"
            assert keyring.decrypt(old, allow_compromised=True) == b"first"
        assert UsageStore(other.store.database).days([before[0].latest.handle])


@pytest.mark.parametrize("direction", ["sqlite to postgresql", "postgresql to sqlite"])
def test_a_backup_of_one_database_restores_into_the_other(
    direction: str, sqlite_url: str, postgres_url: str, home: Path, tmp_path: Path, clock: Clock
) -> None:
    """Rows are of neither database: what one gave the other takes, and gives back the same."""
    here, there = sqlite_url, postgres_url
    if direction.startswith("postgresql"):
        here, there = there, here.replace("keys.db", "other.db")
    source = open_provider(here, home, clock)
    source.keys.create("orders")
    source.credentials.create("robot", ("encrypt:*",))
    with keyring_over(source) as keyring:
        message = keyring.encrypt(b"data", key_id="orders")
    content, _ = taken(source)
    source.store.database.close()
    with elsewhere(tmp_path, home, clock, there) as other:
        restored(other, content)
        again, backup = taken(other)
        assert verify_backup(other.wrapping, other.policy, io.BytesIO(again)) == backup
        with keyring_over(other) as keyring:
            assert keyring.decrypt(message) == b"data"


def test_a_backup_sees_one_state_while_others_write(
    provider: LocalKeyProvider, home: Path, tmp_path: Path, clock: Clock
) -> None:
    """Writers do not wait for a backup, and what they write in its course is not in it."""
    provider.keys.create("orders")

    class Meddling(io.BytesIO):
        """Has somebody rotate at each write of the backup."""

        def write(self, data: Any) -> int:
            provider.rotate_key("orders")
            return super().write(data)

    writer = Meddling()
    backup = write_backup(provider, writer)
    assert len(provider.keys.get("orders").versions) > 2
    with elsewhere(tmp_path, home, clock) as other:
        restored(other, writer.getvalue())
        assert len(other.keys.get("orders").versions) == 1
    assert backup.versions == 1


def test_no_key_material_stands_in_a_backup(local_provider: LocalKeyProvider) -> None:
    """Neither a key, nor its wrapping, nor a name shows in the file."""
    local_provider.keys.create("orders")
    key = local_provider.keys.get("orders")
    content, _ = taken(local_provider)
    for secret in (local_provider.get_key("orders"), key.latest.wrapped[:32], b"orders"):
        assert secret not in content


def test_a_store_between_two_master_keys_gives_no_backup(
    local_provider: LocalKeyProvider,
) -> None:
    """The master key that is about to be forgotten would be needed to open it."""
    current = local_provider.custodian.newest_id()
    newer = local_provider.custodian.add()
    wrapped = local_provider.wrapping.wrap(newer, bytes(32), local_provider.record_macs.binding)
    local_provider.store.move_to(current, newer, wrapped)
    with pytest.raises(ConflictError, match="mfn master rotate"):
        taken(local_provider)


def test_a_store_that_was_never_begun_gives_no_backup(
    local_provider: LocalKeyProvider, tmp_path: Path, home: Path, clock: Clock
) -> None:
    """An empty file that looks like a backup would be the worst of all backups."""
    with elsewhere(tmp_path, home, clock) as other:
        other.store.database.create()
        with pytest.raises(StoreUnavailableError, match="mfn init"):
            taken(other)
    assert local_provider.store.keys.count() == 0


# What is refused ----------------------------------------------------------------------------


def test_whatever_is_changed_or_cut_is_one_error_and_restores_nothing(
    local_provider: LocalKeyProvider, home: Path, tmp_path: Path, clock: Clock
) -> None:
    """Each byte counts: of the magic, the header, the wrapped key and the body."""
    local_provider.keys.create("orders")
    content, _ = taken(local_provider)
    faults = [content[:size] for size in (0, 3, 8, 40, len(content) - 1, len(content) - 400)]
    faults.append(content + b"\0")
    for place in (0, 3, 7, len(content) // 2, len(content) - 1):
        changed = bytearray(content)
        changed[place] ^= 1
        faults.append(bytes(changed))
    at = content.index(b'"wrapped_key":"') + 40
    faults.append(
        content[:at] + (b"A" if content[at : at + 1] != b"A" else b"B") + content[at + 1 :]
    )
    faults.append(content.replace(b'"generation"', b'"generatiom"'))
    faults.append(content.replace(b'"generation"', b'"generatio\xff"'))
    with elsewhere(tmp_path, home, clock) as other:
        for fault in faults:
            with pytest.raises(DecryptionError):
                restored(other, fault)
            assert is_empty(other)
        restored(other, content)


def test_the_head_of_one_backup_before_the_body_of_another_is_refused(
    local_provider: LocalKeyProvider,
) -> None:
    """Two backups of one store under one master key do not mix."""
    parts = []
    for _ in range(2):
        content, _ = taken(local_provider)
        size = 8 + int.from_bytes(content[4:8], "big")
        parts.append((content[:size], content[size:]))
    with pytest.raises(DecryptionError):
        opened = io.BytesIO(parts[0][0] + parts[1][1])
        verify_backup(local_provider.wrapping, local_provider.policy, opened)


def test_another_master_key_is_named_as_what_is_missing(
    local_provider: LocalKeyProvider, tmp_path: Path
) -> None:
    """Whoever restores on a new machine must know that the file of the key goes beside it."""
    content, _ = taken(local_provider)
    policy = Policy()
    foreign = LocalCustodian.create(tmp_path / "master.key", policy)
    with pytest.raises(MasterKeyError, match=r"another store.*master\.key"):
        verify_backup(Wrapping(foreign, foreign.store_id), policy, io.BytesIO(content))
    local_provider.master_keys.rotate()
    with pytest.raises(MasterKeyError, match="does not hold"):
        verify_backup(local_provider.wrapping, policy, io.BytesIO(content))


def test_a_backup_of_a_newer_release_says_so(
    local_provider: LocalKeyProvider, tmp_path: Path, home: Path, clock: Clock
) -> None:
    """By its schema, and where that is known by a table or column that is not."""
    newer = resealed(local_provider, [], schema="9999")
    with pytest.raises(StoreVersionError, match="newer"):
        verify_backup(local_provider.wrapping, local_provider.policy, io.BytesIO(newer))
    tables = [
        [{"table": "comets", "columns": ["id"]}, [1], {"end": {"comets": 1}}],
        [{"table": "usage", "columns": ["tail"]}, [1], {"end": {"usage": 1}}],
    ]
    with elsewhere(tmp_path, home, clock) as other:
        for values in tables:
            with pytest.raises(StoreVersionError, match="newer"):
                restored(other, resealed(local_provider, values))


def test_frames_that_nobody_writes_are_refused(local_provider: LocalKeyProvider) -> None:
    """Whoever has the master key gains nothing by frames that do not add up."""
    table = {"table": "signers", "columns": ["name"]}
    broken: list[Any] = [
        [],
        [["row"]],
        [table, ["a"]],
        [table, ["a", "b"], {"end": {"signers": 1}}],
        [{"table": "key_versions", "columns": ["id"]}, ["a"], {"end": {"key_versions": 1}}],
        [table, ["a"], {"end": {"signers": 2}}],
        [table, table, {"end": {"signers": 0}}],
        [table, {"end": {"signers": 0}}, {"end": {"signers": 0}}],
        ["text"],
        b"\x00\x00\x00\x01\xc1",
        b"\xff\xff\xff\xff",
        b"\x00\x00",
    ]
    for values in broken:
        content = io.BytesIO(resealed(local_provider, values))
        with pytest.raises(DecryptionError):
            verify_backup(local_provider.wrapping, local_provider.policy, content)
    fine = resealed(local_provider, [table, ["a"], {"end": {"signers": 1}}])
    backup = verify_backup(local_provider.wrapping, local_provider.policy, io.BytesIO(fine))
    assert backup.rows == {"signers": 1}


def test_a_store_that_is_not_empty_is_left_as_it_is(provider: LocalKeyProvider) -> None:
    """A backup replaces nothing: whoever wants it back makes room first."""
    provider.keys.create("orders")
    content, _ = taken(provider)
    provider.keys.create("later")
    with pytest.raises(ConflictError, match="not empty"):
        restored(provider, content)
    assert provider.keys.get("later").latest.version == 1


def test_a_restore_that_fails_half_way_leaves_nothing(
    provider: LocalKeyProvider, home: Path, tmp_path: Path, clock: Clock
) -> None:
    """Where the file cannot be read on, the next attempt finds an empty store."""
    provider.keys.create("orders")
    content, _ = taken(provider)

    class Failing(io.BytesIO):
        """Ends with an error of the disk before the end."""

        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 1000:
                raise OSError(5, "Input/output error")
            return super().read(min(500, size or 500))

    with elsewhere(tmp_path, home, clock) as other:
        with pytest.raises(OSError, match="Input/output"):
            restore_backup(other, Failing(content))
        assert is_empty(other)
        restored(other, content)
        assert other.store.keys.count() == 1


def test_a_backup_of_many_rows_is_written_and_read_in_blocks(
    local_provider: LocalKeyProvider, home: Path, tmp_path: Path, clock: Clock
) -> None:
    """Rows run over the borders of blocks, and all of them arrive."""
    local_provider.keys.create("orders")
    handle = local_provider.keys.get("orders").latest.handle
    many = [{"handle": handle, "day": day, "kind": "open", "count": 1} for day in range(25_000)]
    with local_provider.store.database.write() as connection:
        connection.execute(metadata.tables["mfn_usage"].insert(), many)
    writer = io.BytesIO()
    backup = write_backup(local_provider, writer)
    assert len(writer.getvalue()) > 2 * backup_format.BLOCK_BYTES
    with elsewhere(tmp_path, home, clock) as other:
        again = restored(other, writer.getvalue())
        assert len(UsageStore(other.store.database).days([handle])) == 25_000
    assert again.backup == backup


def test_a_store_that_cannot_be_written_is_not_taken_for_a_file_that_cannot_be_read(
    local_provider: LocalKeyProvider, home: Path, tmp_path: Path, clock: Clock
) -> None:
    """Whoever reads the error looks at the right disk."""
    content, _ = taken(local_provider)
    with elsewhere(tmp_path, home, clock) as other:
        (tmp_path / "elsewhere" / "keys.db.lock").mkdir()
        with pytest.raises(StoreUnavailableError, match="cannot be written"):
            restored(other, content)


# It starts closed ---------------------------------------------------------------------------


def test_credentials_of_a_restored_store_wait_until_somebody_confirms_them(
    provider: LocalKeyProvider, home: Path, tmp_path: Path, clock: Clock
) -> None:
    """One was revoked after the backup, which the backup cannot know; one before, which it does."""
    kept, secret = provider.credentials.create("kept", ("encrypt:*",))
    late, late_secret = provider.credentials.create("revoked later", ("encrypt:*",))
    early, _ = provider.credentials.create("revoked before", ("encrypt:*",))
    provider.credentials.revoke(early.credential_id)
    content, _ = taken(provider)
    provider.credentials.revoke(late.credential_id)
    with elsewhere(tmp_path, home, clock) as other:
        assert restored(other, content).unconfirmed == 2
        directory = CredentialDirectory(other, freshness := Freshness(other.store))
        for text in (secret.text, late_secret.text):
            with pytest.raises(AuthenticationError):
                directory.authenticate(text.encode())
        with pytest.raises(KeyStateError, match="mfn credential confirm"):
            other.credentials.rotate(kept.credential_id, overlap=clock.now - clock.now)
        with pytest.raises(KeyStateError, match="revoked"):
            other.credentials.confirm(early.credential_id)
        waiting = {each.name for each in other.credentials.unconfirmed()}
        assert waiting == {"kept", "revoked later"}
        confirmed = other.credentials.confirm(kept.credential_id)
        assert other.credentials.confirm(kept.credential_id) == confirmed
        other.credentials.revoke(late.credential_id)
        freshness.refresh()
        assert directory.authenticate(secret.text.encode()).name == "kept"
        with pytest.raises(AuthenticationError):
            directory.authenticate(late_secret.text.encode())
        assert list(other.credentials.unconfirmed()) == []


def test_a_key_that_encrypted_raw_messages_is_rotated_by_the_restore(
    provider: LocalKeyProvider, home: Path, tmp_path: Path, clock: Clock
) -> None:
    """How many there were since the backup nobody counted; a key without any stays as it is."""
    for name in ("orders", "calm", "resting"):
        provider.keys.create(name)
    with keyring_over(provider) as keyring:
        message = keyring.encrypt(b"raw", key_id="orders", format="raw")
        keyring.encrypt(b"raw", key_id="resting", format="raw")
    provider.states.apply(Verb.SUSPEND, "resting")
    content, _ = taken(provider)
    with elsewhere(tmp_path, home, clock) as other:
        assert restored(other, content).rotated == ["orders:v2"]
        assert other.keys.get("orders").primary.version == 2
        assert other.keys.get("calm") == provider.keys.get("calm")
        assert other.keys.get("resting").latest.version == 1
        with keyring_over(other) as keyring:
            assert keyring.decrypt(message, key_id="orders:v1", format="raw") == b"raw"


def test_with_backups_required_a_raw_key_protects_nothing_before_one_holds_its_new_version(
    provider: LocalKeyProvider, home: Path, tmp_path: Path, clock: Clock
) -> None:
    """The old version must not go on, and the new one is in no backup yet."""
    provider.keys.create("orders")
    with keyring_over(provider) as keyring:
        message = keyring.encrypt(b"raw", key_id="orders", format="raw")
    content, _ = taken(provider)
    with elsewhere(tmp_path, home, clock) as other:
        other.keys.require_backup = True
        restored(other, content)
        with pytest.raises(KeyStateError, match="version 2 waits for a backup"):
            _ = other.keys.get("orders").primary
        with keyring_over(other) as keyring:
            assert keyring.decrypt(message, key_id="orders:v1", format="raw") == b"raw"
        _, backup = taken(other)
        assert record_backup(other, backup) == ["orders:v2"]
        assert other.keys.get("orders").primary.version == 2


def test_pending_destruction_begins_anew_in_a_restored_store(
    provider: LocalKeyProvider, home: Path, tmp_path: Path, clock: Clock
) -> None:
    """It may have been cancelled after the backup: there is time to do so once more."""
    provider.keys.create("orders")
    provider.rotate_key("orders")
    provider.states.apply(Verb.DESTROY, "orders:v1", window_days=7)
    content, _ = taken(provider)
    with elsewhere(tmp_path, home, clock) as other:
        now = restored(other, content).restored_at
        version = other.keys.get("orders").version(1)
        assert version.state is KeyState.PENDING_DESTRUCTION
        assert version.destroy_at is not None
        assert (version.destroy_at - now).days == 30


def test_records_that_fail_their_authentication_are_restored_as_they_are(
    provider: LocalKeyProvider, home: Path, tmp_path: Path, clock: Clock
) -> None:
    """Closing seals anew: what somebody edited must not become authentic by it."""
    provider.keys.create("orders")
    with keyring_over(provider) as keyring:
        keyring.encrypt(b"raw", key_id="orders", format="raw")
    edited, _ = provider.credentials.create("edited", ("encrypt:*",))
    damaged, _ = provider.credentials.create("damaged", ("encrypt:*",))
    with provider.store.database.write() as connection:
        table = credentials.c
        for one, change in ((edited, {"scopes": "*"}), (damaged, {"scopes": "everything"})):
            where = table.credential_id == one.credential_id
            connection.execute(update(credentials).where(where).values(**change))
        connection.execute(update(keys).values(publish=True))
    content, _ = taken(provider)
    with elsewhere(tmp_path, home, clock) as other:
        assert restored(other, content).rotated == []
        with pytest.raises(StoreIntegrityError):
            other.keys.get("orders")
        for one in (edited, damaged):
            with pytest.raises(StoreIntegrityError):
                other.credentials.get(one.credential_id)


def test_a_process_that_knew_the_former_store_forgets_all_of_it(
    provider: LocalKeyProvider, home: Path, tmp_path: Path, clock: Clock
) -> None:
    """A service that ran on while the store was replaced answers from the store that is there."""
    provider.keys.create("orders")
    content, _ = taken(provider)
    late, secret = provider.credentials.create("made after the backup", ("encrypt:*",))
    with elsewhere(tmp_path, home, clock) as other:
        restored(other, content)
        freshness = Freshness(provider.store)
        directory = CredentialDirectory(provider, freshness)
        assert directory.authenticate(secret.text.encode()).credential_id == late.credential_id
        provider.keys.create("later")
        provider.store.database.close()
        for table in reversed(list(metadata.tables.values())):
            with provider.store.database.write() as connection:
                connection.execute(table.delete())
        again = restored(provider, content)
        assert again.backup.made.generation < freshness.generation
        freshness.refresh()
        with pytest.raises(AuthenticationError):
            directory.authenticate(secret.text.encode())
        assert provider.store.require_status().restored_from == again.backup.made.backup_id


# Waiting for a backup -----------------------------------------------------------------------


def test_a_new_version_protects_data_once_a_backup_holds_it(provider: LocalKeyProvider) -> None:
    """Until then the former version goes on; a new key protects nothing, and says why."""
    provider.keys.create("orders")
    provider.keys.require_backup = True
    provider.keys.create("fresh")
    assert provider.rotate_key("orders") == "orders:v2"
    assert provider.keys.get("orders").primary.version == 1
    with pytest.raises(KeyStateError, match="mfn backup FILE"):
        _ = provider.keys.get("fresh").primary
    assert provider.states.activate_due("fresh").latest.state is KeyState.PRE_ACTIVATION
    with pytest.raises(KeyStateError, match="mfn backup FILE"):
        provider.states.apply(Verb.ACTIVATE, "fresh")
    _, backup = taken(provider)
    provider.rotate_key("orders")  # too late for this backup
    assert record_backup(provider, backup) == ["fresh:v1", "orders:v2"]
    assert provider.keys.get("orders").primary.version == 2
    assert provider.keys.get("orders").latest.state is KeyState.PRE_ACTIVATION
    _, backup = taken(provider)
    assert record_backup(provider, backup) == ["orders:v3"]


def test_a_version_with_a_day_waits_for_both(provider: LocalKeyProvider, clock: Clock) -> None:
    """It is in the backup and its day has not come; then its day comes."""
    provider.keys.create("orders")
    provider.keys.require_backup = True
    provider.rotate_key("orders", activate_at=clock.now.replace(day=20))
    _, backup = taken(provider)
    assert record_backup(provider, backup) == []
    provider.states.apply(Verb.SUSPEND, "orders:v1")
    with pytest.raises(KeyStateError, match="version 2 is activated on 2026-03-20"):
        _ = provider.keys.get("orders").primary
    clock.forward(days=30)
    assert provider.states.activate_due("orders").primary.version == 2


def test_versions_that_wait_are_activated_where_backups_are_no_longer_required(
    local_provider: LocalKeyProvider,
) -> None:
    """They are not stuck when the setting goes."""
    local_provider.keys.require_backup = True
    local_provider.keys.create("orders")
    local_provider.keys.require_backup = False
    assert activate_held(local_provider) == ["orders:v1"]


def test_one_key_that_is_refused_does_not_keep_the_others_waiting(
    local_provider: LocalKeyProvider,
) -> None:
    """The doctor names it; the rest protects data."""
    local_provider.keys.require_backup = True
    local_provider.keys.create("bad")
    local_provider.keys.create("good")
    with local_provider.store.database.write() as connection:
        connection.execute(update(keys).where(keys.c.key_id == "bad").values(publish=True))
    _, backup = taken(local_provider)
    assert record_backup(local_provider, backup) == ["good:v1"]


def test_a_backup_under_a_former_master_key_holds_nothing_any_more(
    provider: LocalKeyProvider,
) -> None:
    """The custodian forgets the key that opens it."""
    provider.keys.create("orders")
    _, backup = taken(provider)
    assert provider.store.not_held() == (1, [("orders", 1)])
    record_backup(provider, backup)
    record_backup(provider, backup)  # once more changes nothing
    assert provider.store.not_held() == (0, [])
    last = provider.store.last_backup()
    assert last is not None
    assert last.backup_id == backup.made.backup_id
    provider.master_keys.rotate()
    assert provider.store.not_held() == (1, [("orders", 1)])
    with pytest.raises(ConflictError, match="another master key"):
        record_backup(provider, backup)


def test_the_restored_store_knows_the_backup_that_it_came_from(
    provider: LocalKeyProvider, home: Path, tmp_path: Path, clock: Clock
) -> None:
    """It holds all that was restored; a version that waited for it protects data."""
    provider.keys.require_backup = True
    provider.keys.create("orders")
    content, backup = taken(provider)
    with elsewhere(tmp_path, home, clock) as other:
        other.keys.require_backup = True
        restored(other, content)
        assert other.store.not_held() == (0, [])
        assert other.keys.get("orders").primary.version == 1
        status = other.store.require_status()
        assert status.restored_from == backup.made.backup_id


def test_very_many_versions_are_recorded_in_parts(provider: LocalKeyProvider) -> None:
    """Writers get their turn in between, and none is left out."""
    _, backup = taken(provider)
    handles = b"".join(number.to_bytes(8, "big") for number in range(10_001))
    record_backup(provider, replace(backup, handles=handles))
    held = UsageStore(provider.store.database).backed_up(
        [
            (0).to_bytes(8, "big"),
            (5_000).to_bytes(8, "big"),
            (10_000).to_bytes(8, "big"),
            bytes([9] * 8),
        ]
    )
    assert len(held) == 3


# Audit --------------------------------------------------------------------------------------


def audited(provider: LocalKeyProvider, folder: Path) -> AuditLog:
    """The provider with an audit log in that folder."""
    log = AuditLog(
        folder, provider.store, provider.audit_keys.chain_key,
        resolve=provider.journal.resolve_intents,
    )  # fmt: skip
    provider.audit = log
    return log


def report_of(provider: LocalKeyProvider, folder: Path) -> Any:
    """What verifying the audit records in that folder gives."""
    return verify(
        folder, provider.store, provider.audit_keys.chain_key(), all_here=True,
    )  # fmt: skip


def first_records(folder: Path) -> dict[str, list[Any]]:
    """The first records of each chain in an audit folder."""
    found: dict[str, list[Any]] = {}
    for path in sorted(folder.glob("*/*.jsonl")):
        lines = path.read_bytes().splitlines()
        found.setdefault(path.parent.name, [msgspec.json.decode(line) for line in lines[:2]])
    return found


def test_a_restored_store_begins_a_chain_that_names_the_backup(
    provider: LocalKeyProvider, home: Path, tmp_path: Path, clock: Clock
) -> None:
    """On another machine the former chains are elsewhere, and that is no fault."""
    log = audited(provider, home / "audit")
    provider.keys.create("orders")
    content, backup = taken(provider)
    record_backup(provider, backup)
    log.close()
    (former,) = provider.store.chains()
    there = tmp_path / "elsewhere" / "audit"
    with elsewhere(tmp_path, home, clock) as other:
        log = audited(other, there)
        restored(other, content, audit_folder=there)
        log.close()
        report = report_of(other, there)
        assert report.faults == []
        assert [(each.chain_id, each.machine) for each in report.before] == [
            (former.chain_id, former.machine)
        ]
        ((chain, records),) = first_records(there).items()
        assert chain != former.chain_id
        assert (records[0]["event"], records[0]["subject"]) == (
            "store.restore",
            backup.made.backup_id,
        )
        assert records[1]["event"] == "audit.opened"
        forged = replace_chain(other, former.chain_id, sequence=5)
        assert forged.faults[0].what == "the whole chain is missing"


def replace_chain(provider: LocalKeyProvider, chain_id: str, **changes: Any) -> Any:
    """The report after somebody edited the row of a chain."""
    chain = provider.store.chain(chain_id)
    assert chain is not None
    provider.store.anchor_chain(chain._replace(**changes))
    return report_of(provider, provider.audit.folder)  # type: ignore[union-attr]


def test_on_the_same_machine_former_chains_end_where_they_are(
    local_provider: LocalKeyProvider, home: Path, clock: Clock
) -> None:
    """One goes past the backup, one was begun after it: both verify, neither is gone on with."""
    folder = home / "audit"
    log = audited(local_provider, folder)
    local_provider.keys.create("orders")
    content, _ = taken(local_provider)
    local_provider.keys.create("after the backup".replace(" ", "-"))
    second = audited(local_provider, folder)
    local_provider.keys.create("in-a-second-chain")
    second.close()
    log.close()
    local_provider.store.database.close()
    for path in home.glob("keys.db*"):
        path.unlink()
    restored_log = audited(local_provider, folder)
    restored(local_provider, content, audit_folder=folder)
    restored_log.close()
    report = report_of(local_provider, folder)
    assert report.faults == []
    assert len(report.chains) == 3
    begun = [records[0]["event"] for records in first_records(folder).values()]
    assert begun.count("store.restore") == 1
    rows = {each.chain_id: each for each in local_provider.store.chains()}
    assert sum(each.restored_from is not None for each in rows.values()) == 2
    cut = next(path for path in folder.glob("*/*.jsonl") if rows[path.parent.name].restored_from)
    cut.write_bytes(b"".join(cut.read_bytes().splitlines(keepends=True)[:-1]))
    assert "cut" in report_of(local_provider, folder).faults[0].what


def test_chains_that_were_tampered_with_before_a_restore_stay_faults(
    local_provider: LocalKeyProvider, home: Path
) -> None:
    """A restore makes no record true that is not; a folder that holds none is passed by."""
    folder = home / "audit"
    log = audited(local_provider, folder)
    local_provider.keys.create("orders")
    content, _ = taken(local_provider)
    local_provider.keys.create("later")
    log.close()
    (folder / ("0" * 32)).mkdir(mode=0o700)
    (segment,) = folder.glob("*/*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b"later", b"laser"))
    local_provider.store.database.close()
    for path in home.glob("keys.db*"):
        path.unlink()
    restored_log = audited(local_provider, folder)
    restored(local_provider, content, audit_folder=folder)
    restored_log.close()
    assert any("edited" in fault.what for fault in report_of(local_provider, folder).faults)


def test_nothing_is_restored_while_another_process_writes_the_audit_folder(
    local_provider: LocalKeyProvider, home: Path, tmp_path: Path, clock: Clock
) -> None:
    """A service that still runs on the former store would write into a chain that has ended."""
    folder = home / "audit"
    log = audited(local_provider, folder)
    local_provider.keys.create("orders")
    content, _ = taken(local_provider)
    with elsewhere(tmp_path, home, clock) as other:
        with pytest.raises(ConflictError, match="still writes"):
            restored(other, content, audit_folder=folder)
        assert is_empty(other)
    log.close()


def test_an_audit_folder_that_cannot_be_used_stops_a_restore(
    local_provider: LocalKeyProvider, home: Path, tmp_path: Path, clock: Clock
) -> None:
    """Otherwise the chains in it would be faults for ever."""
    log = audited(local_provider, home / "audit")
    local_provider.keys.create("orders")
    log.close()
    content, _ = taken(local_provider)
    log.close()
    (lock,) = (home / "audit").glob("*/lock")
    lock.unlink()
    lock.mkdir()
    with elsewhere(tmp_path, home, clock) as other:
        with pytest.raises(AuditUnavailableError, match="cannot be used"):
            restored(other, content, audit_folder=home / "audit")
        assert is_empty(other)


def test_a_store_without_audit_records_restores_beside_those_of_another(
    local_provider: LocalKeyProvider, home: Path, tmp_path: Path, clock: Clock
) -> None:
    """There is no audit key to judge them by: verifying names them."""
    content, _ = taken(local_provider)
    (tmp_path / "audit" / ("1" * 32)).mkdir(mode=0o700, parents=True)
    with elsewhere(tmp_path, home, clock) as other:
        restored(other, content, audit_folder=tmp_path / "audit")
        assert other.store.chains() == []


def test_a_chain_without_an_audit_key_is_restored_as_it_is(
    local_provider: LocalKeyProvider, home: Path, tmp_path: Path, clock: Clock
) -> None:
    """Somebody deleted the key from the store: the row stays, for whoever looks."""
    log = audited(local_provider, home / "audit")
    local_provider.keys.create("orders")
    log.close()
    with local_provider.store.database.write() as connection:
        connection.execute(metadata.tables["mfn_audit_keys"].delete())
    local_provider.audit = None
    content, _ = taken(local_provider)
    with elsewhere(tmp_path, home, clock) as other:
        restored(other, content)
        (chain,) = other.store.chains()
        assert chain.restored_from is None


def test_an_edited_row_of_a_chain_is_not_made_authentic_by_a_restore(
    local_provider: LocalKeyProvider, home: Path, tmp_path: Path, clock: Clock
) -> None:
    """The restore signs rows anew, but only those that were right."""
    log = audited(local_provider, home / "audit")
    local_provider.keys.create("orders")
    log.close()
    (chain,) = local_provider.store.chains()
    local_provider.store.anchor_chain(chain._replace(sequence=chain.sequence - 1))
    local_provider.audit = None
    content, _ = taken(local_provider)
    with elsewhere(tmp_path, home, clock) as other:
        log = audited(other, tmp_path / "elsewhere" / "audit")
        restored(other, content, audit_folder=tmp_path / "elsewhere" / "audit")
        log.close()
        report = report_of(other, tmp_path / "elsewhere" / "audit")
        assert [fault.what for fault in report.faults] == ["the whole chain is missing"]


def test_filling_an_empty_store_takes_no_rows_as_well(
    local_provider: LocalKeyProvider, tmp_path: Path
) -> None:
    """A table may be empty."""
    database = Database(tmp_path / "keys.db")
    tmp_path.chmod(0o700)
    with filling(database) as store:
        store.put("signers", [])
    assert KeyStore(database).status() is None
    database.close()
    assert local_provider.store.keys.count() == 0


def test_the_record_of_a_credential_says_that_it_is_unconfirmed(
    local_provider: LocalKeyProvider,
) -> None:
    """The state is authenticated: an edit of it back to active is refused."""
    made, _ = local_provider.credentials.create("robot", ("*",))
    local_provider.credentials.update(
        made.credential_id, lambda each: replace(each, state=CredentialState.UNCONFIRMED)
    )
    with local_provider.store.database.write() as connection:
        connection.execute(update(credentials).values(state="active"))
    with pytest.raises(StoreIntegrityError):
        local_provider.credentials.get(made.credential_id)
