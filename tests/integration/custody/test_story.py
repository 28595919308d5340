"""One story, the same for every custodian, each for real: what a store lives through.

A harness stands for the other side, see :mod:`tests.support.custodians`.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, text

from mycelium_fractal_net.inventory import cbom, take_inventory
from mycelium_fractal_net.security.errors import (
    CustodianDeniedError,
    CustodianUnavailableError,
    ExitCode,
    MasterKeyError,
    StoreIntegrityError,
    StorePermissionsError,
)
from mycelium_fractal_net.security.key_providers import StoredKeyProvider
from tests.support.custodians import IN_FULL, MOVES, harness, new_harness
from tests.support.custodians.place import Place

if TYPE_CHECKING:
    from pathlib import Path

    from cyclonedx.validation.json import JsonStrictValidator

    from tests.support.custodians import CustodianHarness

# What the other side says no with: its own files' modes are the local one's.
REFUSALS = (CustodianDeniedError, StorePermissionsError)
ABSENCES = (CustodianUnavailableError, MasterKeyError)


@pytest.fixture(params=IN_FULL)
def custodian(request: pytest.FixtureRequest) -> CustodianHarness:
    """Each of them in turn, with its master key there."""
    return harness(request.param)


@pytest.fixture
def place(tmp_path: Path, custodian: CustodianHarness) -> Place:
    """A store on that custodian, with the key ``orders``."""
    found = Place.of(tmp_path / "home", custodian)
    with found.init() as keyring:
        keyring.provider.keys.create("orders")
    return found


def execute(place: Place, statement: str, **values: object) -> None:
    """Change the database as an intruder with SQL would."""
    engine = create_engine(f"sqlite:///{place.home / 'keys.db'}")
    with engine.begin() as connection:
        connection.execute(text(statement), values)
    engine.dispose()


def sealed_in(place: Place, data: bytes = b"data") -> bytes:
    with place.open() as keyring:
        return keyring.encrypt(data, key_id="orders")


def opened_in(place: Place, message: bytes) -> bytes:
    with place.open() as keyring:
        return keyring.decrypt(message)


def test_a_store_is_used_rotated_and_opened_again(
    place: Place, custodian: CustodianHarness
) -> None:
    """By the plan's interface, on every custodian the same; another process opens it all."""
    with place.open() as keyring:
        provider = keyring.provider
        assert isinstance(provider, StoredKeyProvider)
        key = provider.generate_key("encryption")
        before = provider.get_key(key)
        assert provider.rotate_key(key) == f"{key}:v2"
        assert provider.get_key(f"{key}:v1") == before != provider.get_key(key)
        message = keyring.encrypt(b"data", key_id=key, associated_data=b"row 1")
        signature = keyring.sign(b"data")
        assert provider.store.require_status().master_id.startswith(f"{custodian.name}:")
    with place.open() as keyring:
        assert keyring.provider.get_key(f"{key}:v1") == before
        assert keyring.decrypt(message, associated_data=b"row 1") == b"data"
        keyring.verify(b"data", signature)
    assert place.mfn("key", "show", key).code == 0
    assert place.ok("init").code == 0  # which changes nothing
    assert opened_in(place, message := sealed_in(place)) == b"data", message


def test_doctor_has_nothing_critical_to_say(place: Place) -> None:
    """Of a store that was just made; each custodian looks at itself as well."""
    ran = place.mfn("doctor")
    assert ran.code in (0, 20, 21), ran
    assert "critical" not in ran.out


def test_the_inventory_says_who_holds_the_master_key(
    place: Place, custodian: CustodianHarness, cyclonedx: JsonStrictValidator
) -> None:
    """What wraps each key, and by what; nothing that opens the way to the other side."""
    document = cbom(take_inventory(place.settings))
    written = json.dumps(document)
    assert cyclonedx.validate_str(written) is None
    assert "pin-value" not in written
    assert place.variables.get("MFN_VAULT_TOKEN", "no token") not in written
    depends = {each["ref"]: each.get("dependsOn", ()) for each in document["dependencies"]}
    (master,) = depends["key:orders:v1"]
    assert master.startswith(f"master-key:{custodian.name}:")
    assert depends[master] == [f"custodian:{custodian.name}"]


def test_a_rotation_of_the_master_key_is_followed_and_rewrapped(
    place: Place, custodian: CustodianHarness
) -> None:
    """What is there opens as before; then all of it is moved to what is newest."""
    message = sealed_in(place)
    custodian.rotate()
    assert opened_in(place, message) == b"data"
    again = sealed_in(place)
    place.ok("master", "rewrap")
    assert place.ok("master", "status", "--json").json["left"] == 0
    assert opened_in(place, message) == opened_in(place, again) == b"data"


def test_the_application_rotates_the_master_key_where_it_may(place: Place) -> None:
    """Local key files and HSMs; elsewhere it is said who does, and how the rest goes on."""
    message = sealed_in(place)
    with place.open() as keyring:
        before = keyring.provider.store.require_status().master_id
        manages = keyring.provider.custodian.managing() is not None
    ran = place.mfn("master", "rotate", "--json")
    if manages:
        assert ran.json["master_key"] != before
    else:
        assert ran.code == ExitCode.CONFIGURATION
        assert "mfn master rewrap" in ran.err
    assert opened_in(place, message) == b"data"


def test_a_store_is_moved_away_and_back_with_all_its_data(
    tmp_path: Path, custodian: CustodianHarness
) -> None:
    """The other custodian is any of those that there are, and the id stays what it was."""
    other = harness(MOVES[custodian.name])
    here = Place.of(tmp_path / "home", custodian, other)
    with here.init() as keyring:
        keyring.provider.keys.create("orders")
        store_id = keyring.provider.store_id
        for _ in range(3):
            keyring.provider.rotate_key("orders")
    message = sealed_in(here)
    moved = here.ok("master", "migrate", "--to", other.name, "--json").json
    assert moved["store_id"] == store_id.hex()
    assert moved["master_key"].startswith(f"{other.name}:")
    there = here.under(other.name, MFN_STORE_ID=store_id.hex())
    assert opened_in(there, message) == b"data"
    with pytest.raises(MasterKeyError):  # and nobody here knows the new one
        opened_in(here, message)
    later = sealed_in(there)
    there.ok("key", "rotate", "orders")
    there.ok("master", "migrate", "--to", custodian.name)
    assert opened_in(here, message) == opened_in(here, later) == b"data"
    assert here.ok("master", "status", "--json").json["left"] == 0


def test_a_signing_key_that_never_leaves_stays_where_it_was_made(
    tmp_path: Path, custodian: CustodianHarness
) -> None:
    """A move passes it by: it signs while that custodian is named, and its next version is new."""
    other = harness("local")
    here = Place.of(tmp_path / "home", custodian, other)
    with here.init() as keyring:
        keeps: frozenset[str] = getattr(
            keyring.provider.custodian, "signing_algorithms", frozenset()
        )
        if "ECDSA-P256" not in keeps:
            return  # it keeps none, and says so: tests/security/key_providers
        keyring.provider.keys.create("release", "signing", algorithm="ECDSA-P256", external=True)
        before = keyring.sign(b"data", key_id="release")
    here.ok("master", "migrate", "--to", "local")
    with here.under("local", custodian.name).open() as keyring:
        keyring.verify(b"data", before, key_id="release")
        keyring.verify(b"data", keyring.sign(b"data", key_id="release"), key_id="release")
    with here.under("local").open() as keyring:
        keyring.verify(b"data", before, key_id="release")
        with pytest.raises(MasterKeyError, match="kept by another custodian"):
            keyring.sign(b"data", key_id="release")


def test_a_custodian_that_refuses_is_no_outage_and_no_damage(
    place: Place, custodian: CustodianHarness
) -> None:
    """Its key is disabled, or it may not be used; then all is well again."""
    message = sealed_in(place)
    custodian.disable()
    try:
        with pytest.raises(REFUSALS):
            opened_in(place, message)
    finally:
        custodian.enable()
    assert opened_in(place, message) == b"data"


def test_a_custodian_that_is_gone_is_an_outage_and_comes_back(
    place: Place, custodian: CustodianHarness
) -> None:
    """A process that has the keys goes on; one that begins says what is missing."""
    with place.open() as keyring:
        message = keyring.encrypt(b"data", key_id="orders")
        custodian.stop()
        try:
            assert keyring.decrypt(message) == b"data"
            with pytest.raises(ABSENCES):
                opened_in(place, message)
        finally:
            custodian.start()
    assert opened_in(place, message) == b"data"


def test_what_is_wrapped_opens_in_its_own_place_alone(place: Place) -> None:
    """The row of one version, put into another, or into another key, is refused by its name."""
    with place.open() as keyring:
        provider = keyring.provider
        provider.rotate_key("orders")
        key = provider.keys.get("orders")
        first, second = key.versions
        binding = provider.wrapping.binding_of_version(key, second)
        with pytest.raises(StoreIntegrityError, match="version 2 of key 'orders' does not unwrap"):
            provider.wrapping.unwrap(key.master_id, first.wrapped, binding)
    execute(
        place,
        "UPDATE mfn_key_versions SET wrapped = (SELECT wrapped FROM mfn_key_versions"
        " WHERE key_id = 'default-mac') WHERE key_id = 'orders'",
    )
    with place.open() as keyring, pytest.raises(StoreIntegrityError):
        keyring.encrypt(b"data", key_id="orders")


def test_another_master_key_opens_nothing(
    tmp_path: Path, place: Place, custodian: CustodianHarness
) -> None:
    """Another side of the same kind, with the same names on it and another key."""
    message = sealed_in(place)
    other = new_harness(custodian.name)
    try:
        other.make_key()
        copied = place.home.with_name("copied")
        shutil.copytree(place.home, copied)
        wrong = Place(copied, {**place.variables, **other.environment(copied)})
        with pytest.raises((MasterKeyError, StoreIntegrityError)):
            opened_in(wrong, message)
    finally:
        other.close()
    assert opened_in(place, message) == b"data"


def test_a_row_of_another_store_is_refused(
    tmp_path: Path, place: Place, custodian: CustodianHarness
) -> None:
    """Under the very same master key: the store's id is in what it is bound to."""
    other = Place.of(tmp_path / "other", custodian)
    with other.init() as keyring:
        keyring.provider.keys.create("orders")
    engine = create_engine(f"sqlite:///{place.home / 'keys.db'}")
    with engine.begin() as connection:
        connection.execute(
            text("ATTACH DATABASE :path AS o"), {"path": str(other.home / "keys.db")}
        )
        connection.execute(
            text(
                "UPDATE mfn_key_versions SET (wrapped, handle) = (SELECT wrapped, handle FROM"
                " o.mfn_key_versions WHERE key_id = 'orders') WHERE key_id = 'orders'"
            )
        )
    engine.dispose()
    with place.open() as keyring, pytest.raises(StoreIntegrityError):
        keyring.encrypt(b"data", key_id="orders")


def test_a_store_does_not_open_with_the_id_of_another(place: Place) -> None:
    """Which is said before anything is believed."""
    wrong = place.under(place.variables["MFN_KEY_PROVIDER"], MFN_STORE_ID="00" * 16)
    (place.home / "store-id").unlink(missing_ok=True)
    with pytest.raises((StoreIntegrityError, MasterKeyError)), wrong.open() as keyring:
        keyring.encrypt(b"data", key_id="orders")
    ran = wrong.mfn("init")
    assert ran.code == ExitCode.STORE, ran


def test_a_backup_is_restored_where_no_id_is_known(place: Place) -> None:
    """It brings the id; a store that has another one refuses it."""
    message = sealed_in(place)
    store_id = place.ok("master", "status", "--json").json["store_id"]
    backup = place.home.parent / "kept.backup"
    place.ok("backup", backup)
    for name in ("keys.db", "keys.db.lock", "keys.db.move", "store-id"):
        (place.home / name).unlink(missing_ok=True)
    wrong = place.under(place.variables["MFN_KEY_PROVIDER"], MFN_STORE_ID="00" * 16)
    refused = wrong.mfn("restore", backup)
    assert refused.code == ExitCode.STORE, refused
    place.ok("restore", backup)
    assert place.ok("master", "status", "--json").json["store_id"] == store_id
    assert opened_in(place, message) == b"data"


def test_two_processes_use_one_store(place: Place) -> None:
    """What the one makes the other uses at once."""
    with place.open() as keyring:
        place.ok("key", "rotate", "orders")
        message = keyring.encrypt(b"data", key_id="orders")
        assert keyring.describe(message).version in (1, 2)
        place.ok("key", "create", "of-the-other")
        assert keyring.decrypt(keyring.encrypt(b"x", key_id="of-the-other")) == b"x"


def test_a_forked_child_has_answers_of_its_own(place: Place) -> None:
    """Parent and children unwrap at once, each what it asked for."""
    names = [f"k{number}" for number in range(12)]
    with place.open() as keyring:
        for name in names:
            keyring.provider.keys.create(name)
        expected = {name: keyring.provider.get_key(name) for name in names}
        children = []
        for _ in range(3):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads
                pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    found = {name: keyring.provider.get_key(name) for name in names}
                    code = 0 if found == expected else 2
                finally:
                    os._exit(code)
            children.append(pid)
        assert {name: keyring.provider.get_key(name) for name in names} == expected
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    assert codes == [0, 0, 0]
