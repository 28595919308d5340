"""The plan's key provider: get, generate, rotate, and the life of a key on a real store."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from mycelium_fractal_net.security.byte_io.buffers import Octets
from mycelium_fractal_net.security.errors import (
    AlgorithmNotAllowedError,
    ConflictError,
    InvalidInputError,
    KeyExistsError,
    KeyNotExportableError,
    KeyNotFoundError,
    KeyStateError,
    KeyUsageError,
    MasterKeyError,
    StoreIntegrityError,
    StoreUnavailableError,
)
from mycelium_fractal_net.security.key_providers import (
    Binding,
    KeyProvider,
    LocalCustodian,
    LocalKeyProvider,
    authenticated_table,
)
from mycelium_fractal_net.security.key_store import Database, KeyStore, StoreStatus
from mycelium_fractal_net.security.key_store.key_table import KeyTable
from mycelium_fractal_net.security.key_store.record_table import Also
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.records.credentials import (
    Credential,
    CredentialState,
    check_scopes,
)
from mycelium_fractal_net.security.records.keys import Key, KeyState, RotationPolicy, Verb
from tests.support.custodians import CustodianHarness
from tests.support.custodians.place import Place
from tests.support.stores import ON_SQLITE, Clock, open_provider


def execute(provider: LocalKeyProvider, statement: str, **values: object) -> None:
    """Change the database behind the provider's back, as an intruder with SQL would."""
    engine = create_engine(provider.store.database.url)
    with engine.begin() as connection:
        connection.execute(text(statement), values)
    engine.dispose()


# The plan's interface ---------------------------------------------------------------------


def test_the_local_provider_is_the_plans_key_provider(provider: LocalKeyProvider) -> None:
    """It has the plan's base class, which cannot be instantiated itself."""
    assert isinstance(provider, KeyProvider)
    with pytest.raises(TypeError):
        KeyProvider()  # type: ignore[abstract]


@pytest.mark.parametrize("key_type", ["encryption", "mac"])
def test_a_generated_key_is_32_bytes_under_its_id(
    provider: LocalKeyProvider, key_type: str
) -> None:
    """generate_key returns an id, get_key its bytes, the same each time."""
    key_id = provider.generate_key(key_type)
    key = provider.get_key(key_id)
    assert len(key) == 32
    assert provider.get_key(key_id) == key
    assert provider.keys.get(key_id).key_type == key_type


@ON_SQLITE
def test_two_generated_keys_differ_in_name_and_bytes(provider: LocalKeyProvider) -> None:
    """Nothing about a generated key repeats."""
    first, second = (provider.generate_key("encryption") for _ in range(2))
    assert first != second
    assert provider.get_key(first) != provider.get_key(second)


def test_a_generated_signing_key_signs(provider: LocalKeyProvider) -> None:
    """get_key of a signing key is its private encoding, and its public key is stored."""
    key_id = provider.generate_key("signing")
    key = provider.keys.get(key_id)
    signing = provider.policy.signing_key(key.algorithm, provider.get_key(key_id))
    assert signing.public.der() == key.latest.public_key


def test_rotation_returns_the_new_version_and_keeps_the_old(provider: LocalKeyProvider) -> None:
    """After rotate_key both versions can be had, and the bare name gives the new one."""
    provider.keys.create("orders")
    old = provider.get_key("orders")
    assert provider.rotate_key("orders") == "orders:v2"
    assert provider.get_key("orders:v1") == old
    assert provider.get_key("orders") == provider.get_key("orders:v2") != old


@ON_SQLITE
@pytest.mark.parametrize("key_type", ["", "secret", "ENCRYPTION"])
def test_an_unknown_key_type_is_refused(provider: LocalKeyProvider, key_type: str) -> None:
    """A type that does not exist makes no key."""
    with pytest.raises(InvalidInputError, match="encryption, signing, mac, index or deterministic"):
        provider.generate_key(key_type)
    assert provider.store.keys.count() == 0


@ON_SQLITE
def test_a_credential_is_not_generated_as_a_named_key(provider: LocalKeyProvider) -> None:
    """The type api is known, and its secret cannot be returned by generate_key."""
    with pytest.raises(KeyUsageError, match="credential"):
        provider.generate_key("api")


@ON_SQLITE
@pytest.mark.parametrize("key_id", ["nothing", "nothing:v1", "orders:v2"])
def test_an_unknown_key_or_version_is_not_found(provider: LocalKeyProvider, key_id: str) -> None:
    """There is no fall-back to another key or version."""
    provider.keys.create("orders")
    with pytest.raises(KeyNotFoundError):
        provider.get_key(key_id)


# Making and changing ----------------------------------------------------------------------


def test_a_name_is_taken_once(provider: LocalKeyProvider) -> None:
    """Creating a key that is there is refused and leaves it as it was."""
    provider.keys.create("orders")
    before = provider.get_key("orders")
    with pytest.raises(KeyExistsError, match="orders"):
        provider.keys.create("orders", "mac")
    assert provider.get_key("orders") == before


@pytest.mark.parametrize(
    "arguments",
    [
        {"key_id": "orders:v1"},
        {"key_id": "Orders"},
        {"key_id": "a", "algorithm": "Ed25519"},
        {"key_id": "a", "key_type": "signing", "algorithm": "AES-256-GCM"},
        {"key_id": "a", "use": "request"},
        {"key_id": "a", "publish": True},
        {"key_id": "a", "key_type": "signing", "use": "both"},
    ],
)
def test_a_key_that_makes_no_sense_is_refused(
    local_provider: LocalKeyProvider, arguments: dict[str, object]
) -> None:
    """A name with a version, an algorithm of another type, a use that is none."""
    with pytest.raises(InvalidInputError):
        local_provider.keys.create(**arguments)  # type: ignore[arg-type]
    assert local_provider.store.keys.count() == 0


def test_an_algorithm_that_the_policy_forbids_makes_no_key(
    local_provider: LocalKeyProvider, clock: Clock
) -> None:
    """The policy is asked before anything is stored."""
    strict = LocalKeyProvider(
        local_provider.store,
        local_provider.custodian,
        Policy(disallowed=("ECDSA-P256",)),
        clock=clock,
    )
    with pytest.raises(AlgorithmNotAllowedError):
        strict.keys.create("release", "signing", algorithm="ECDSA-P256")
    assert strict.store.keys.count() == 0


@pytest.mark.parametrize("algorithm", ["Ed25519", "ECDSA-P256", "ECDSA-P384", "ML-DSA-65"])
def test_every_signing_algorithm_is_stored_and_comes_back(
    local_provider: LocalKeyProvider, algorithm: str
) -> None:
    """Private material unwraps to the key whose public part is stored."""
    local_provider.keys.create("release", "signing", algorithm=algorithm, publish=True)
    key = local_provider.keys.get("release")
    signing = local_provider.policy.signing_key(algorithm, local_provider.get_key("release"))
    assert (key.algorithm, key.publish) == (algorithm, True)
    assert signing.public.der() == key.latest.public_key


def test_a_key_is_stored_with_the_time_and_policy_it_was_given(
    provider: LocalKeyProvider, clock: Clock
) -> None:
    """What comes out of the store is what went in, to the microsecond."""
    clock.forward(microseconds=123_457)
    rotation = RotationPolicy(interval_days=7, retain_count=5, auto_destroy=True)
    made = provider.keys.create("orders", rotation=rotation)
    assert provider.keys.get("orders") == made
    assert made.created_at == clock.now
    assert made.rotation == rotation


def test_the_policy_of_a_key_can_be_changed(provider: LocalKeyProvider) -> None:
    """set_rotation swaps the policy and nothing else; publishing is for signing keys."""
    provider.keys.create("orders")
    provider.keys.create("release", "signing")
    rotation = RotationPolicy(interval_days=30, retain_count=9)
    assert provider.keys.set_rotation("orders", rotation).rotation == rotation
    assert provider.keys.get("orders").rotation == rotation
    assert provider.keys.set_publish("release", True).publish
    with pytest.raises(KeyUsageError):
        provider.keys.set_publish("orders", True)


def test_keys_are_listed_in_order_and_in_pages(provider: LocalKeyProvider) -> None:
    """A page begins after a name; all_keys walks every page."""
    for name in ("c", "a", "b"):
        provider.keys.create(name)
    assert [name for name, _ in provider.keys.page(limit=2)] == ["a", "b"]
    assert [name for name, _ in provider.keys.page("b")] == ["c"]
    assert [key.key_id for key in provider.keys.all()] == ["a", "b", "c"]
    assert provider.store.keys.count() == 3


def test_a_handle_leads_to_its_key(provider: LocalKeyProvider) -> None:
    """A key is found by the handle of any of its versions, and by no other."""
    provider.keys.create("orders")
    provider.rotate_key("orders")
    for version in provider.keys.get("orders").versions:
        assert provider.keys.by_handle(version.handle).key_id == "orders"
    with pytest.raises(KeyNotFoundError):
        provider.keys.by_handle(b"12345678")


# Rotation as compare-and-swap --------------------------------------------------------------


def test_a_rotation_by_version_adds_one_version_however_often_it_is_called(
    provider: LocalKeyProvider,
) -> None:
    """Whoever comes second sees the version that the first one made."""
    provider.keys.create("orders")
    assert provider.keys.rotate_from("orders:v1") == "orders:v2"
    assert provider.keys.rotate_from("orders:v1") == "orders:v2"
    assert len(provider.keys.get("orders").versions) == 2


@ON_SQLITE
def test_a_version_id_is_not_rotated(provider: LocalKeyProvider) -> None:
    """rotate_key takes a name."""
    provider.keys.create("orders")
    with pytest.raises(InvalidInputError):
        provider.rotate_key("orders:v1")


def test_rotations_at_once_each_add_a_version_and_lose_none(provider: LocalKeyProvider) -> None:
    """Four threads that rotate three times leave thirteen versions, numbered without a gap."""
    provider.keys.create("orders")
    made: list[str] = []

    def rotate() -> None:
        for _ in range(3):
            while True:
                try:
                    made.append(provider.rotate_key("orders"))
                except ConflictError:
                    continue
                break

    threads = [threading.Thread(target=rotate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == sorted(f"orders:v{number}" for number in range(2, 14))
    assert [version.version for version in provider.keys.get("orders").versions] == list(
        range(1, 14)
    )


def test_a_record_that_changed_meanwhile_is_not_overwritten(provider: LocalKeyProvider) -> None:
    """The store swaps a record only for the revision that was read."""
    provider.keys.create("orders")
    old = provider.keys.get("orders")
    provider.rotate_key("orders")
    with pytest.raises(ConflictError, match="orders"):
        provider.store.keys.replace(old, old, b"")


# States -------------------------------------------------------------------------------------


@ON_SQLITE
@pytest.mark.parametrize(
    ("verbs", "state"),
    [
        ([Verb.SUSPEND], KeyState.SUSPENDED),
        ([Verb.SUSPEND, Verb.ACTIVATE], KeyState.ACTIVE),
        ([Verb.DEACTIVATE], KeyState.DEACTIVATED),
        ([Verb.COMPROMISE], KeyState.COMPROMISED),
        ([Verb.DEACTIVATE, Verb.DESTROY], KeyState.PENDING_DESTRUCTION),
        ([Verb.DEACTIVATE, Verb.DESTROY, Verb.CANCEL_DESTRUCTION], KeyState.DEACTIVATED),
        ([Verb.COMPROMISE, Verb.DESTROY, Verb.CANCEL_DESTRUCTION], KeyState.COMPROMISED),
    ],
)
def test_verbs_change_the_state_of_a_version(
    provider: LocalKeyProvider, verbs: list[Verb], state: KeyState
) -> None:
    """What a verb leads to is what the store holds afterwards."""
    provider.keys.create("orders")
    for verb in verbs:
        provider.states.apply(verb, "orders")
    assert provider.keys.get("orders").latest.state is state


def test_a_verb_on_a_version_id_changes_that_version_alone(provider: LocalKeyProvider) -> None:
    """The other versions stay as they were."""
    provider.keys.create("orders")
    provider.rotate_key("orders")
    provider.states.apply(Verb.COMPROMISE, "orders:v1")
    old, new = provider.keys.get("orders").versions
    assert (old.state, old.compromised) == (KeyState.COMPROMISED, True)
    assert (new.state, new.compromised) == (KeyState.ACTIVE, False)


@ON_SQLITE
@pytest.mark.parametrize("verb", [Verb.SUSPEND, Verb.COMPROMISE])
def test_a_version_out_of_use_gives_no_key(provider: LocalKeyProvider, verb: Verb) -> None:
    """get_key goes by the state, for the name and for the version."""
    provider.keys.create("orders")
    provider.states.apply(verb, "orders")
    for key_id in ("orders", "orders:v1"):
        with pytest.raises(KeyStateError):
            provider.get_key(key_id)


def test_the_version_that_protects_is_not_destroyed(provider: LocalKeyProvider) -> None:
    """A slip of the hand does not begin the end of the key in use."""
    provider.keys.create("orders")
    with pytest.raises(KeyStateError, match="rotate"):
        provider.states.apply(Verb.DESTROY, "orders")


@pytest.mark.parametrize("days", [6, 366])
def test_a_recovery_window_has_bounds(local_provider: LocalKeyProvider, days: int) -> None:
    """Seven days at the least, a year at the most."""
    local_provider.keys.create("orders")
    with pytest.raises(InvalidInputError, match="window_days"):
        local_provider.states.apply(Verb.DESTROY, "orders:v1", window_days=days)


def test_material_is_erased_when_its_window_has_passed_and_not_before(
    provider: LocalKeyProvider, clock: Clock
) -> None:
    """A destroyed version keeps its number and its public key, and loses its material."""
    provider.keys.create("release", "signing")
    provider.rotate_key("release")
    pending = provider.states.apply(Verb.DESTROY, "release:v1", window_days=7)
    assert pending.version(1).destroy_at == clock.now + timedelta(days=7)
    clock.forward(days=6, hours=23)
    assert provider.states.erase_due("release").version(1).wrapped
    clock.forward(hours=1)
    erased = provider.states.erase_due("release").version(1)
    assert (erased.state, erased.wrapped) == (KeyState.DESTROYED, b"")
    assert erased.public_key is not None
    with pytest.raises(KeyStateError, match="no material is left"):
        provider.keys.unwrap(provider.keys.get("release"), provider.keys.get("release").version(1))
    with pytest.raises(KeyStateError):
        provider.states.apply(Verb.CANCEL_DESTRUCTION, "release:v1")


# What the store may not do ------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE mfn_key_versions SET state = 'active'",
        "UPDATE mfn_key_versions SET compromised = (1 = 0)",
        "UPDATE mfn_key_versions SET version = 7",
        "UPDATE mfn_key_versions SET destroy_at = 1",
        "UPDATE mfn_key_versions SET activate_at = 1",
        "UPDATE mfn_key_versions SET created_at = created_at + 1",
        "UPDATE mfn_keys SET interval_days = 1",
        "UPDATE mfn_keys SET auto_destroy = (1 = 1)",
        "UPDATE mfn_keys SET algorithm = 'Ed25519'",
        "UPDATE mfn_keys SET key_type = 'signing'",
        "UPDATE mfn_keys SET \"use\" = 'request'",
        "UPDATE mfn_keys SET revision = revision + 1",
        "UPDATE mfn_keys SET mac = wrapped FROM mfn_key_versions",
        "UPDATE mfn_key_versions SET state = 'nonsense'",
        "UPDATE mfn_keys SET interval_days = -1",
        "DELETE FROM mfn_key_versions",
    ],
)
def test_an_edited_row_is_refused_and_named(provider: LocalKeyProvider, change: str) -> None:
    """Whoever writes to the database gains no authority: the key is refused by its name."""
    provider.keys.create("orders")
    provider.states.apply(Verb.COMPROMISE, "orders")
    execute(provider, change)
    for read in (lambda: provider.keys.get("orders"), lambda: list(provider.keys.all())):
        with pytest.raises(StoreIntegrityError, match="orders"):
            read()


def test_one_version_put_back_as_it_was_is_refused(provider: LocalKeyProvider) -> None:
    """A row saved before the compromise and restored after it does not undo the compromise."""
    provider.keys.create("orders")
    provider.states.apply(Verb.COMPROMISE, "orders")
    execute(provider, "UPDATE mfn_key_versions SET state = 'active', compromised = (1 = 0)")
    with pytest.raises(StoreIntegrityError, match="orders"):
        provider.get_key("orders")


def test_a_wrapping_moved_to_another_key_or_version_is_refused(
    provider: LocalKeyProvider,
) -> None:
    """A wrapped key opens as the version it was wrapped for and as no other."""
    provider.keys.create("orders")
    provider.rotate_key("orders")
    execute(
        provider,
        "UPDATE mfn_key_versions SET wrapped ="
        " (SELECT wrapped FROM mfn_key_versions WHERE version = 2)",
    )
    assert provider.get_key("orders:v2")
    with pytest.raises(StoreIntegrityError, match="version 1 of key 'orders'"):
        provider.get_key("orders:v1")


def test_a_record_copied_from_another_store_is_refused(
    sqlite_url: str, home: Path, tmp_path: Path
) -> None:
    """The same name in another store, with its wrapping and MAC, is still not this store's."""
    other_home = tmp_path / "other"
    other_home.mkdir(mode=0o700)
    ours = open_provider(sqlite_url, home)
    theirs = open_provider(f"sqlite:///{other_home / 'keys.db'}", other_home)
    ours.keys.create("orders")
    theirs.keys.create("orders")
    stored = theirs.store.keys.load("orders")
    row = stored.record.latest
    execute(ours, "UPDATE mfn_keys SET mac = :mac", mac=stored.mac)
    execute(
        ours,
        "UPDATE mfn_key_versions SET wrapped = :wrapped, handle = :handle",
        wrapped=row.wrapped,
        handle=row.handle,
    )
    with pytest.raises(StoreIntegrityError, match="orders"):
        ours.get_key("orders")
    for each in (ours, theirs):
        each.store.database.close()


def test_a_key_written_in_by_sql_is_refused(provider: LocalKeyProvider) -> None:
    """A row that this software did not make opens nothing."""
    provider.keys.create("orders")
    execute(
        provider,
        'INSERT INTO mfn_keys (key_id, key_type, "use", algorithm, publish, interval_days,'
        " retain_count, auto_destroy, unused_for_days, created_at, revision, generation,"
        " master_id, mac) SELECT 'forged', key_type, \"use\", algorithm, publish, interval_days,"
        " retain_count, auto_destroy, unused_for_days, created_at, revision, generation,"
        " master_id, mac FROM mfn_keys",
    )
    with pytest.raises(StoreIntegrityError, match="forged"):
        provider.keys.get("forged")


def test_a_store_without_its_authority_key_is_refused(provider: LocalKeyProvider) -> None:
    """Rows whose MAC key is gone are not trusted."""
    provider.keys.create("orders")
    execute(provider, "DELETE FROM mfn_authority_keys")
    provider.record_macs.forget()
    with pytest.raises(StoreIntegrityError, match="authority"):
        provider.keys.get("orders")


def test_an_authority_key_that_was_changed_is_refused(provider: LocalKeyProvider) -> None:
    """A MAC key that the master key did not wrap is not used."""
    provider.keys.create("orders")
    execute(
        provider, "UPDATE mfn_authority_keys SET wrapped = (SELECT wrapped FROM mfn_key_versions)"
    )
    provider.record_macs.forget()
    with pytest.raises(StoreIntegrityError, match="authority key does not unwrap"):
        provider.keys.get("orders")


def test_a_store_is_begun_once(provider: LocalKeyProvider) -> None:
    """A second initialisation would orphan what the first one wrapped."""
    with pytest.raises(ConflictError):
        provider.master_keys.begin()


def test_a_store_that_was_never_begun_says_so(provider: LocalKeyProvider) -> None:
    """No key is made before there is a master key for it."""
    execute(provider, "DELETE FROM mfn_store_meta")
    with pytest.raises(StoreUnavailableError, match="mfn init"):
        provider.keys.create("orders")


# The master key -----------------------------------------------------------------------------


def test_a_store_moves_to_a_new_master_key_and_every_key_opens(
    provider: LocalKeyProvider, clock: Clock
) -> None:
    """After the move the old master key is gone from the file, and the bytes are the same."""
    for name in ("a", "b"):
        provider.keys.create(name)
    provider.rotate_key("a")
    provider.states.apply(Verb.DESTROY, "a:v1", window_days=7)
    clock.forward(days=8)
    provider.states.erase_due("a")
    before = {name: provider.get_key(name) for name in ("a", "b")}
    old = provider.custodian.newest_id()
    moved: list[int] = []
    new = provider.master_keys.rotate(moved.append)
    assert moved == [1, 1]
    assert new != old
    assert {name: provider.get_key(name) for name in ("a", "b")} == before
    assert {key.master_id for key in provider.keys.all()} == {new}
    with pytest.raises(MasterKeyError):
        provider.wrapping.wrap(old, b"x", provider.record_macs.binding)


@pytest.mark.parametrize("stop", range(8))
def test_a_move_that_was_cut_off_anywhere_goes_on_when_called_again(
    local_provider: LocalKeyProvider, home: Path, clock: Clock, stop: int
) -> None:
    """Whichever step the crash comes before, every key opens, and the next call finishes."""
    provider = local_provider
    for name in ("a", "b"):
        provider.keys.create(name)
    before = {name: provider.get_key(name) for name in ("a", "b")}
    first = provider.custodian.newest_id()
    steps = [0]

    def crash(call):  # type: ignore[no-untyped-def]
        def stepped(*arguments, **options):  # type: ignore[no-untyped-def]
            if steps[0] == stop:
                raise KeyboardInterrupt
            steps[0] += 1
            return call(*arguments, **options)

        return stepped

    class CrashingTable(KeyTable):
        replace = crash(KeyTable.replace)

    class CrashingStore(KeyStore):
        move_to = crash(KeyStore.move_to)
        forget_masters = crash(KeyStore.forget_masters)

        def __init__(self, database: Database) -> None:
            super().__init__(database)
            self.keys = CrashingTable(self)

    class CrashingCustodian(LocalCustodian):
        add = crash(LocalCustodian.add)
        forget_all_but = crash(LocalCustodian.forget_all_but)

    policy = provider.policy
    doomed = LocalKeyProvider(
        CrashingStore(provider.store.database),
        CrashingCustodian(home / "master.key", policy),
        policy,
        clock=clock,
    )
    total_steps = 6
    if stop < total_steps:
        with pytest.raises(KeyboardInterrupt):
            doomed.master_keys.rotate()
    else:
        doomed.master_keys.rotate()
    again = open_provider(str(provider.store.database.url), home, clock)
    assert {name: again.get_key(name) for name in ("a", "b")} == before
    second = again.master_keys.rotate()
    assert second != first
    assert {name: again.get_key(name) for name in ("a", "b")} == before
    assert {name: provider.get_key(name) for name in ("a", "b")} == before
    assert len(LocalCustodian(home / "master.key", policy).inspect().kek_ids) == 1
    again.store.database.close()


def test_two_moves_at_once_are_refused(local_provider: LocalKeyProvider, home: Path) -> None:
    """Each could forget the master key that the other one moved to."""
    provider = local_provider
    provider.keys.create("orders")
    before = provider.get_key("orders")
    other = LocalKeyProvider(
        provider.store, LocalCustodian(home / "master.key", provider.policy), provider.policy
    )
    with other.store.database.moving(), pytest.raises(ConflictError, match="let it end"):
        provider.master_keys.rotate()
    provider.master_keys.rotate()
    assert other.get_key("orders") == before


def test_a_process_that_has_the_store_open_follows_a_move(
    provider: LocalKeyProvider, home: Path, clock: Clock
) -> None:
    """Another provider reads, rotates and makes keys after the master key changed under it."""
    provider.keys.create("orders")
    other = LocalKeyProvider(
        provider.store, LocalCustodian(home / "master.key", provider.policy), provider.policy
    )
    before = other.get_key("orders")
    new = provider.master_keys.rotate()
    assert other.get_key("orders") == before
    assert other.rotate_key("orders") == "orders:v2"
    assert other.keys.create("invoices").master_id == new
    assert provider.get_key("orders:v1") == before


def test_a_key_changed_during_a_move_is_moved_by_the_change(
    local_provider: LocalKeyProvider,
) -> None:
    """Rotating a key that still is under the former master key takes it along."""
    provider = local_provider
    provider.keys.create("orders")
    before = provider.get_key("orders")
    old = provider.store.require_status().master_id
    new = provider.custodian.add()
    wrapped = provider.wrapping.wrap(new, bytes(32), provider.record_macs.binding)
    provider.store.move_to(old, new, wrapped)
    assert provider.rotate_key("orders") == "orders:v2"
    assert provider.keys.get("orders").master_id == new
    assert provider.get_key("orders:v1") == before


def test_a_writer_that_loses_every_race_says_so(
    local_provider: LocalKeyProvider, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was changed, and trying again is safe."""
    monkeypatch.setattr(authenticated_table, "PATIENCE_SECONDS", 0.2)

    class BusyTable(KeyTable):
        def replace(self, old: Key, new: Key, mac: bytes, also: Also | None = None) -> None:
            raise ConflictError("changed by somebody else")

    class BusyStore(KeyStore):
        def __init__(self, database: Database) -> None:
            super().__init__(database)
            self.keys = BusyTable(self)

    local_provider.keys.create("orders")
    busy = LocalKeyProvider(
        BusyStore(local_provider.store.database),
        local_provider.custodian,
        local_provider.policy,
        clock=clock,
    )
    with pytest.raises(ConflictError, match="by many at once"):
        busy.rotate_key("orders")
    assert len(local_provider.keys.get("orders").versions) == 1


def test_a_key_made_while_the_store_moves_is_made_under_the_new_master_key(
    local_provider: LocalKeyProvider, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who read the former master key's id a moment ago tries again; and gives up in the end."""
    provider = local_provider
    old = provider.store.require_status()

    class LateStore(KeyStore):
        late = 1

        def require_status(self) -> StoreStatus:
            if self.late:
                self.late -= 1
                return old
            return super().require_status()

    new = provider.master_keys.rotate()
    store = LateStore(provider.store.database)

    class KeepsOld(LocalCustodian):
        """A custodian that would still wrap under the master key that is gone."""

        def holds(self, master_id: str) -> bool:
            return True

        def wrap_many(self, _: str, items: Sequence[tuple[Octets, Binding]]) -> list[bytes]:
            return super().wrap_many(new, items)

    path = Path(provider.store.database.file or "").with_name("master.key")
    late = LocalKeyProvider(store, KeepsOld(path, provider.policy), provider.policy, clock=clock)
    late.record_macs._macs[old.master_id] = b"", late.record_macs.of(new)
    assert late.keys.create("orders").master_id == new
    monkeypatch.setattr(authenticated_table, "PATIENCE_SECONDS", 0.2)
    store.late = 100
    with pytest.raises(ConflictError, match="try again"):
        late.keys.create("invoices")


# Credentials --------------------------------------------------------------------------------


def credential(**changes: object) -> Credential:
    values: dict[str, object] = {
        "credential_id": "c1",
        "name": "billing",
        "digest": bytes(32),
        "scopes": ("encrypt:orders", "decrypt:*"),
        "state": CredentialState.ACTIVE,
        "created_at": Clock().now,
    }
    return Credential(**(values | changes))  # type: ignore[arg-type]


def insert(provider: LocalKeyProvider, made: Credential) -> Credential:
    """Store a record as it is, under the present master key."""
    return provider.credentials.insert(
        lambda master_id: replace(made, master_id=master_id), "credential.create"
    )


def test_a_credential_comes_back_as_it_was_stored(provider: LocalKeyProvider) -> None:
    """Every field, with and without the optional ones; an unknown id is not found."""
    full = credential(
        credential_id="c2",
        expires_at=Clock().now,
        previous_digest=b"p" * 32,
        previous_until=Clock().now,
    )
    stored = [insert(provider, each) for each in (credential(), full)]
    assert list(provider.credentials.all()) == stored
    assert provider.credentials.get("c2") == stored[1]
    with pytest.raises(KeyNotFoundError):
        provider.credentials.get("c3")
    with pytest.raises(KeyExistsError):
        insert(provider, full)


@pytest.mark.parametrize(
    "change",
    [
        "scopes = '*'",
        "state = 'revoked'",
        "digest = mac",
        "expires_at = 1",
        "name = 'other'",
        "scopes = 'everything'",
        "state = 'nonsense'",
    ],
)
def test_an_edited_credential_is_refused_and_named(provider: LocalKeyProvider, change: str) -> None:
    """Nobody widens a scope with SQL."""
    insert(provider, credential())
    execute(provider, f"UPDATE mfn_credentials SET {change}")
    with pytest.raises(StoreIntegrityError, match="credential 'c1'"):
        provider.credentials.get("c1")


def test_a_credential_written_in_by_sql_is_refused_and_named(provider: LocalKeyProvider) -> None:
    """A row with another's MAC opens nothing."""
    insert(provider, credential())
    execute(
        provider,
        "INSERT INTO mfn_credentials SELECT 'c0', name, digest, previous_digest, previous_until,"
        " scopes, state, created_at, expires_at, revision, generation, master_id, mac, rotated_at,"
        " bound FROM mfn_credentials",
    )
    with pytest.raises(StoreIntegrityError, match="credential 'c0'"):
        list(provider.credentials.all())


def test_a_credential_has_no_key_to_get(provider: LocalKeyProvider) -> None:
    """Only its digest is stored."""
    insert(provider, credential())
    with pytest.raises(KeyNotExportableError):
        provider.get_key("c1")


def test_credentials_move_to_a_new_master_key(provider: LocalKeyProvider) -> None:
    """Their authentication is made anew, and one that lost a race is not overwritten."""
    old = insert(provider, credential())
    new = provider.master_keys.rotate()
    assert provider.credentials.get("c1").master_id == new
    with pytest.raises(ConflictError):
        provider.store.credentials.replace(old, provider.credentials.get("c1"), b"")


@pytest.mark.parametrize(
    "scopes", [(), ("",), ("encrypt",), ("encrypt:",), ("keys:read:*",), ("encrypt:A",), ("**",)]
)
def test_a_scope_that_does_not_exist_is_refused(scopes: tuple[str, ...]) -> None:
    """The list is exact."""
    with pytest.raises(InvalidInputError, match="a scope is"):
        check_scopes(scopes)


@ON_SQLITE
def test_a_policy_that_is_the_same_writes_nothing(provider: LocalKeyProvider) -> None:
    """Nor does the record say that somebody changed it."""
    made = provider.keys.create("orders")
    assert provider.keys.set_rotation("orders", made.rotation) == made
    assert provider.keys.get("orders").revision == made.revision


def test_a_rewrap_is_recorded_for_a_key_as_a_whole(provider: LocalKeyProvider) -> None:
    """By its name: which versions are older the record says."""
    provider.keys.create("orders")
    with pytest.raises(InvalidInputError, match="by its name"):
        provider.retirement.record_rewrap("orders:v1", reason="all was moved")


# Every custodian ----------------------------------------------------------------------------


def test_the_plans_interface_is_the_same_on_every_custodian(
    tmp_path: Path, custodian: CustodianHarness
) -> None:
    """Get, generate, rotate; what was made is there after a restart."""
    place = Place.of(tmp_path / "home", custodian)
    with place.init() as keyring:
        made = keyring.provider
        assert isinstance(made, KeyProvider)
        key = made.generate_key("encryption")
        first = made.get_key(key)
        assert made.rotate_key(key) == f"{key}:v2"
        second = made.get_key(key)
    assert len({first, second}) == 2
    with place.open() as keyring:
        assert keyring.provider.get_key(key) == second
        assert keyring.provider.get_key(f"{key}:v1") == first
