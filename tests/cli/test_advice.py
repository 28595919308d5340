"""Every advice is run: each command that a message names ends the state that it is printed in.

A case brings the product into the state, takes the command out of what is printed there, runs it
as it stands (with a value for each word in capitals), and sees the state end. The last test walks
over the source: a command in a message without a case here fails it.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import secrets
import shlex
import shutil
import sqlite3
import subprocess
import unittest.mock
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
import sqlalchemy
from alembic import command as alembic_command
from cryptography.hazmat.primitives import serialization

import mycelium_fractal_net
from mycelium_fractal_net import open_keyring
from mycelium_fractal_net.cli.app import mfn as program
from mycelium_fractal_net.cli.exits import outcome_of
from mycelium_fractal_net.cli.parsing import ActingGroup
from mycelium_fractal_net.security.backup import record_backup, write_backup
from mycelium_fractal_net.security.errors import (
    AuthenticationError,
    ConflictError,
    ExitCode,
    KeyStateError,
    KeyUsageError,
    StoreError,
    UsageLimitError,
)
from mycelium_fractal_net.security.key_store import Database, UsageStore
from mycelium_fractal_net.security.key_store.rows import day_of
from mycelium_fractal_net.security.key_store.scheduler_table import RotationFailure, SchedulerTable
from mycelium_fractal_net.security.key_store.schema import keys, signers
from mycelium_fractal_net.security.key_store.usage import RAW_MESSAGES_LIMIT, RAW_MESSAGES_ROTATE
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.records.keys import DEFAULT_ROTATION, KeyType, Verb
from mycelium_fractal_net.security.records.signers import Signer, SignerState
from mycelium_fractal_net.security.rotation import KeyRotationScheduler
from mycelium_fractal_net.security.signatures.signing_key import SigningKey
from tests.support.algorithms import SIGNING, WRAPPING
from tests.support.cli import Ran
from tests.support.custodian import NAME, Elsewhere, registered
from tests.support.custodians import harness, new_harness
from tests.support.custodians.pkcs11 import PKCS11Harness
from tests.support.custodians.vault import VaultHarness
from tests.support.fips import FipsHome, fips_module, sha256_of
from tests.support.legacy_xor import OLD_KEY, write_xor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from tests.support.cli import Mfn
    from tests.support.custodians import CustodianHarness

    Case = Callable[[Any], None]

SOURCE = Path(mycelium_fractal_net.__file__).parent
COVERED: Counter[tuple[str, str]] = Counter()
CASES: list[Any] = []


def advises(file: str, *commands: str) -> Callable[[Case], Case]:
    """Say which commands of which file's messages a case runs."""

    def noted(case: Case) -> Case:
        COVERED.update((file, command) for command in commands)
        if case not in CASES:
            CASES.append(case)
        return case

    return noted


class World:
    """``mfn`` over a store with keys ``orders`` and ``release``, and what a case needs of it."""

    def __init__(self, mfn: Mfn, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
        self.mfn = mfn
        self.home = mfn.home
        self.setenv = monkeypatch.setenv
        self.caplog = caplog

    def follow(self, said: str, command: str, code: int = 0, **values: str | Path) -> Ran:
        """Find the command in what is said, run it, and expect it to end with ``code``."""
        assert command in said, said
        assert command.startswith("mfn ")
        words = shlex.split(command)[1:]
        ran = self.mfn(*(str(values.get(word, word)) for word in words))
        assert ran.code == code, (command, ran)
        return ran

    def refused(self, code: int, *arguments: str | Path) -> str:
        """What a command says that ends with ``code``."""
        ran = self.mfn(*arguments)
        assert ran.code == code, ran
        return ran.err

    def doctor(self, check: str, *options: str) -> list[str]:
        """The advice of doctor's findings of that check."""
        found = self.mfn("doctor", *options, "--json").json
        return [each["advice"] for each in found if each["check"] == check]

    def advised(self, check: str, *options: str) -> str:
        """The only advice of that check."""
        (advice,) = self.doctor(check, *options)
        return advice

    @contextlib.contextmanager
    def provider(self, days_ago: float = 0) -> Iterator[StoredKeyProvider]:
        """The provider of the store, whose clock is behind by so many days."""
        with open_keyring(home=self.home) as keyring:
            provider = keyring.provider
            provider.clock = lambda: datetime.now(UTC) - timedelta(days=days_ago)
            yield provider

    def configure(self, **settings: Any) -> None:
        """Have every command from now on take a configuration with those sections."""
        path = self.home.parent / "config.json"
        path.write_text(json.dumps(settings))
        self.setenv("MFN_CONFIG", str(path))

    def lose(self, *names: str) -> Path:
        """Move files of the home folder away, as if they were lost; says where to."""
        place = self.home.parent / "lost"
        place.mkdir(exist_ok=True)
        for name in names:
            for path in self.home.glob(name):
                shutil.move(path, place / path.name)
        return place

    def seal(self, name: str = "plain") -> Path:
        """A file that ``orders`` sealed."""
        Path(name).write_bytes(b"some bytes")
        self.mfn.ok("encrypt", name, "-k", "orders")
        return Path(f"{name}.mfn")

    def state(self, version: str) -> str:
        """The state of a version."""
        shown = self.mfn.ok("key", "show", version.partition(":")[0], "--json").json
        return next(str(v["state"]) for v in shown["versions"] if v["version_id"] == version)

    def credential(self, *options: str) -> str:
        """The id of a new credential."""
        made = self.mfn.ok("credential", "create", "app", "--scope", "encrypt:orders", "--json")
        return str(made.json["id"])

    def sql(self, statement: str) -> None:
        """Run a statement on the store, behind its back."""
        if keys.name == "keys":
            statement = statement.replace("mfn_", "")
        with contextlib.closing(sqlite3.connect(self.home / "keys.db")) as connection:
            connection.execute(statement)
            connection.commit()


@pytest.fixture
def world(mfn: Mfn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> World:
    """A world of its own for each case."""
    return World(mfn, monkeypatch, caplog)


# A store that is not there ---------------------------------------------------------------------


@advises("bootstrap/custodians/scheme.py", "init")
def a_store_that_was_never_made(world: World) -> None:
    """Neither store nor master key."""
    world.lose("*")
    world.follow(world.refused(ExitCode.STORE, "key", "list"), "mfn init")
    world.mfn.ok("key", "list")


@advises("bootstrap/custodians/scheme.py", "restore", "init")
def a_store_that_is_lost_and_a_master_key_that_is_not(world: World) -> None:
    """The backup brings it back; without one a new store can begin under the old master key."""
    world.mfn.ok("backup", "kept")
    sealed = world.seal()
    world.lose("keys.db*")
    said = world.refused(ExitCode.STORE, "key", "list")
    world.follow(said, "mfn restore BACKUP", BACKUP="kept")
    world.mfn.ok("decrypt", sealed, "-o", "opened")
    world.lose("keys.db*")
    assert "made an empty key store" in world.follow(world.advised("open"), "mfn init").out
    assert "orders" not in world.mfn.ok("key", "list").out


@advises("security/fips/installed.py", "fips install", "fips install")
def a_fips_module_that_is_not_there_or_was_moved(world: World) -> None:
    """FIPS mode is asked for; where one is given it is proven, in a process of its own."""
    fips = FipsHome(world.home)
    module = fips_module()
    for _ in range(2):
        said = fips.mfn("key", "list").err
        command = "mfn fips install FILE --sha256 HEX"
        assert command in said
        given = {"FILE": str(module), "HEX": sha256_of(module)}
        ran = fips.mfn(*(given.get(word, word) for word in command.split()[1:]))
        assert ran.code == 0, ran
        assert "orders" in fips.mfn("key", "list").out
        (world.home / "fips" / "openssl.cnf").write_text("")


@advises("security/key_providers/aws_kms/making.py", "init")
def a_key_that_is_not_in_aws_kms(world: World) -> None:
    """Under the alias of the settings; nothing is made there before it is asked for."""
    world.lose("*")
    for name, value in harness("aws-kms").environment(world.home).items():
        world.setenv(name, value)
    world.setenv("MFN_AWS_KMS_KEY_ID", f"alias/{secrets.token_hex(8)}")
    said = world.refused(ExitCode.STORE, "init")
    assert not (world.home / "store-id").exists()
    world.follow(said, "mfn init --create-key")
    world.mfn.ok("key", "list")


@advises("security/key_store/database.py", "init")
def a_database_that_is_empty(world: World) -> None:
    """As an administrator makes one for the store."""
    world.lose("*")
    world.home.chmod(0o700)
    with (
        contextlib.closing(Database(world.home / "keys.db")) as database,
        pytest.raises(StoreError) as caught,
    ):
        database.check()
    world.follow(str(caught.value), "mfn init")
    world.mfn.ok("key", "list")


@advises("security/key_store/upgrading.py", "init")
def a_store_of_an_older_schema(world: World, upgrade: Any = alembic_command.upgrade) -> None:
    """It is brought up to date."""
    world.lose("keys.db*")
    with (
        contextlib.closing(Database(world.home / "keys.db")) as database,
        unittest.mock.patch.object(
            alembic_command, "upgrade", lambda config, _: upgrade(config, "0001")
        ),
    ):
        database.create()
    world.follow(world.refused(ExitCode.STORE, "key", "list"), "mfn init")
    world.mfn.ok("key", "list")


@advises("security/key_store/meta.py", "init")
@advises("security/key_store/snapshot.py", "init")
def a_store_whose_making_was_cut_off(world: World) -> None:
    """Its tables are there, and nothing is in them."""
    world.lose("keys.db*")
    with contextlib.closing(Database(world.home / "keys.db")) as database:
        database.create()
    world.follow(world.refused(ExitCode.STORE, "backup", "kept"), "mfn init")
    world.mfn.ok("backup", "kept")
    world.lose("keys.db*")
    with contextlib.closing(Database(world.home / "keys.db")) as database:
        database.create()
    world.follow(world.refused(ExitCode.STORE, "key", "create", "orders"), "mfn init")
    world.mfn.ok("key", "create", "orders")


def test_a_backup_is_restored_where_the_refusal_says(world: World, tmp_path: Path) -> None:
    """Beside a store that is there: after it was moved away, and into another file."""
    world.mfn.ok("backup", "kept")
    said = world.refused(ExitCode.STORE, "restore", "kept")
    assert f"move keys.db and what begins with that name out of {world.home}" in said
    other = f"sqlite:///{tmp_path / 'other' / 'keys.db'}"
    (tmp_path / "other").mkdir(mode=0o700)
    assert "name another file with --store" in said
    world.mfn.ok("--store", other, "restore", "kept")
    world.lose("keys.db*")
    world.mfn.ok("restore", "kept")


def test_a_second_machine_without_the_master_key_is_told_to_bring_it(world: World) -> None:
    """And no command tells it to make another, which no key of the store would open."""
    away = world.lose("master.key")
    for arguments in (("key", "list"), ("init",), ("backup", "kept"), ("doctor",)):
        ran = world.mfn(*arguments)
        assert "its master key file" in ran.err + ran.out
        assert "mfn init" not in ran.err + ran.out
    shutil.copy(away / "master.key", world.home)
    world.mfn.ok("key", "list")


# Errors of every command -----------------------------------------------------------------------


@advises("security/errors.py", "key list")
def a_key_that_is_not_there(world: World) -> None:
    """The list has the name that was meant."""
    said = world.refused(ExitCode.KEY_UNKNOWN, "key", "show", "odrers")
    assert "orders" in world.follow(said, "mfn key list").out


@advises("security/errors.py", "key rotate")
def a_name_that_is_taken(world: World) -> None:
    """A new version, if that is what was wanted."""
    said = world.refused(ExitCode.EXISTS, "key", "create", "orders")
    world.follow(said, "mfn key rotate KEY", KEY="orders")
    assert world.state("orders:v2") == "active"


@advises("security/errors.py", "key show")
def a_key_for_something_else(world: World) -> None:
    """Its type."""
    said = world.refused(ExitCode.FORBIDDEN, "key", "public", "orders")
    assert "encryption" in world.follow(said, "mfn key show KEY", KEY="orders").out


@advises("security/errors.py", "key show")
def a_state_that_forbids_it(world: World) -> None:
    """The states."""
    world.mfn.ok("key", "compromise", "orders:v1")
    said = world.refused(ExitCode.FORBIDDEN, "key", "activate", "orders:v1")
    assert "compromised" in world.follow(said, "mfn key show KEY", KEY="orders").out


@advises("security/errors.py", "key rotate")
def a_key_that_has_protected_all_it_may(world: World) -> None:
    """A fresh version begins anew."""
    with open_keyring(home=world.home) as keyring:
        handle = keyring.provider.keys.get("orders").latest.handle
        keyring.usage.reserve_raw(handle, RAW_MESSAGES_LIMIT)
        with pytest.raises(UsageLimitError) as caught:
            keyring.encrypt(b"x", key_id="orders", format="raw")
    world.follow(outcome_of(caught.value).advice, "mfn key rotate KEY", KEY="orders")
    with open_keyring(home=world.home) as keyring:
        keyring.encrypt(b"x", key_id="orders", format="raw")


@advises("security/errors.py", "doctor")
def a_master_key_that_is_damaged(world: World) -> None:
    """Doctor names the file."""
    (world.home / "master.key").write_text("{}")
    said = world.refused(ExitCode.STORE, "key", "list")
    ran = world.follow(said, "mfn doctor", code=ExitCode.DOCTOR_CRITICAL)
    assert "master.key is damaged" in ran.out


@advises("security/errors.py", "doctor")
def an_audit_record_that_cannot_be_written(world: World) -> None:
    """Doctor names the folder."""
    shutil.rmtree(world.home / "audit")
    (world.home / "audit").write_text("in the way")
    Path("plain").write_bytes(b"x")
    said = world.refused(ExitCode.STORE, "encrypt", "plain")
    ran = world.follow(said, "mfn doctor", code=ExitCode.DOCTOR_CRITICAL)
    assert str(world.home / "audit") in ran.out


@advises("security/errors.py", "doctor", "doctor")
def a_store_that_cannot_be_read(world: World) -> None:
    """Doctor names the file; and of a record that fails its authentication the record."""
    world.sql("UPDATE mfn_keys SET interval_days = 1 WHERE key_id = 'orders'")
    said = world.refused(ExitCode.STORE, "key", "show", "orders")
    ran = world.follow(said, "mfn doctor", code=ExitCode.DOCTOR_CRITICAL)
    assert "key orders" in ran.out
    (world.home / "keys.db").write_bytes(b"this is no database, whatever its name says" * 100)
    said = world.refused(ExitCode.STORE, "key", "list")
    ran = world.follow(said, "mfn doctor", code=ExitCode.DOCTOR_CRITICAL)
    assert "key store" in ran.out


@advises("cli/invocation.py", "doctor")
@advises("cli/commands/inventory.py", "doctor")
def a_record_that_a_list_leaves_away(world: World) -> None:
    """The others are listed, or inventoried; doctor names it, and what to do."""
    world.sql("UPDATE mfn_keys SET mac = zeroblob(32) WHERE key_id = 'orders'")
    for asked in (["key", "list"], ["key", "list", "--json"], ["inventory"]):
        ran = world.mfn(*asked)
        assert ran.code == ExitCode.STORE
        assert "release" in ran.out
        assert "orders" not in ran.out
        assert "key 'orders'" in ran.err
    ran = world.follow(ran.err, "mfn doctor", code=ExitCode.DOCTOR_CRITICAL)
    assert "orders" in ran.out


@advises("security/key_store/causes.py", "doctor")
def tables_that_are_missing_in_sqlite(world: World) -> None:
    """Doctor names them."""
    with world.provider() as provider, pytest.raises(StoreError) as caught:
        world.sql(f"DROP TABLE {signers.name}")  # an open store does not look again
        list(provider.signers.all())
    said = str(caught.value)
    ran = world.follow(said, "mfn doctor", code=ExitCode.DOCTOR_CRITICAL)
    assert "signers" in ran.out


def test_tables_that_are_missing_in_postgresql_are_named(world: World, postgres_url: str) -> None:
    """By doctor, as is said."""
    world.setenv("MFN_STORE", postgres_url)
    world.mfn.ok("init")
    with world.provider() as provider, pytest.raises(StoreError) as caught:
        with provider.store.database.write() as connection:
            connection.execute(sqlalchemy.text(f"DROP TABLE {signers.name}"))
        list(provider.signers.all())
    ran = world.follow(str(caught.value), "mfn doctor", code=ExitCode.DOCTOR_CRITICAL)
    assert "signers" in ran.out


COVERED["security/key_store/causes.py", "doctor"] += 1


def test_an_api_key_that_is_not_accepted_is_looked_for(world: World) -> None:
    """Among those that there are; over HTTP nothing is said of it."""
    made = world.credential()
    said = outcome_of(AuthenticationError()).advice
    assert made in world.follow(said, "mfn credential list").out


COVERED["security/errors.py", "credential list"] += 1


@advises("security/key_store/kinds.py", "credential list")
def a_credential_that_is_not_there(world: World) -> None:
    """The list."""
    made = world.credential()
    said = world.refused(ExitCode.KEY_UNKNOWN, "credential", "show", "a" * 16)
    assert made in world.follow(said, "mfn credential list").out


@advises("security/key_store/kinds.py", "signer list")
def a_signer_that_is_not_there(world: World) -> None:
    """The list."""
    said = world.refused(ExitCode.KEY_UNKNOWN, "signer", "show", "nobody")
    world.follow(said, "mfn signer list")


# States of keys --------------------------------------------------------------------------------


@advises("security/records/keys.py", "key rotate")
def a_newest_version_that_is_compromised(world: World) -> None:
    """It is never activated again; another one protects."""
    world.mfn.ok("key", "compromise", "orders")
    Path("plain").write_bytes(b"x")
    said = world.refused(ExitCode.FORBIDDEN, "encrypt", "plain", "-k", "orders")
    assert "activate" not in said
    world.follow(said, "mfn key rotate orders")
    world.mfn.ok("encrypt", "plain", "-k", "orders")


@advises("security/records/keys.py", "key activate")
def a_newest_version_that_is_suspended(world: World) -> None:
    """Both ways that are named work."""
    Path("plain").write_bytes(b"x")
    for command in ("mfn key activate orders:v1", "mfn key rotate orders"):
        world.mfn.ok("key", "suspend", "orders")
        said = world.refused(ExitCode.FORBIDDEN, "encrypt", "plain", "-k", "orders", "--force")
        world.follow(said, command)
        world.mfn.ok("encrypt", "plain", "-k", "orders", "--force")


@advises("security/records/keys.py", "key activate")
def a_suspended_version_that_sealed(world: World) -> None:
    """It opens once it is active."""
    sealed = world.seal()
    world.mfn.ok("key", "suspend", "orders")
    said = world.refused(ExitCode.FORBIDDEN, "decrypt", sealed, "-o", "opened")
    world.follow(said, "mfn key activate orders:v1")
    world.mfn.ok("decrypt", sealed, "-o", "opened")


@advises("security/records/keys.py", "key activate")
def a_suspended_version_that_signed(world: World) -> None:
    """It verifies once it is active."""
    Path("plain").write_bytes(b"x")
    world.mfn.ok("sign", "plain", "-k", "release")
    world.mfn.ok("key", "suspend", "release")
    said = world.refused(ExitCode.FORBIDDEN, "verify", "plain", "plain.sig", "-k", "release:v1")
    world.follow(said, "mfn key activate release:v1")
    world.mfn.ok("verify", "plain", "plain.sig", "-k", "release")


@advises("security/records/keys.py", "key cancel-destruction")
def a_version_that_is_pending_destruction(world: World) -> None:
    """It is kept and opens."""
    sealed = world.seal()
    world.mfn.ok("key", "rotate", "orders")
    world.mfn.ok("key", "destroy", "orders:v1")
    said = world.refused(ExitCode.FORBIDDEN, "decrypt", sealed, "-o", "opened")
    world.follow(said, "mfn key cancel-destruction orders:v1")
    world.mfn.ok("decrypt", sealed, "-o", "opened")


@advises("security/key_providers/states.py", "key rotate", "key deactivate")
def a_version_that_protects_and_is_to_be_destroyed(world: World) -> None:
    """Once it protects no more it may go."""
    said = world.refused(ExitCode.FORBIDDEN, "key", "destroy", "orders:v1")
    world.follow(said, "mfn key rotate orders")
    world.mfn.ok("key", "destroy", "orders:v1")
    said = world.refused(ExitCode.FORBIDDEN, "key", "destroy", "orders:v2")
    world.follow(said, "mfn key deactivate orders:v2")
    world.mfn.ok("key", "destroy", "orders:v2")


@advises("security/records/keys.py", "backup")
@advises("security/key_providers/states.py", "backup")
@advises("cli/commands/key.py", "backup")
def a_version_that_waits_for_a_backup(world: World) -> None:
    """The backup activates it."""
    world.configure(rotation={"require_backup": True})
    made = world.mfn.ok("key", "create", "invoices").out
    Path("plain").write_bytes(b"x")
    said = world.refused(ExitCode.FORBIDDEN, "encrypt", "plain", "-k", "invoices")
    assert "mfn backup FILE" in world.refused(ExitCode.FORBIDDEN, "key", "activate", "invoices:v1")
    assert "mfn backup FILE" in made
    world.follow(said, "mfn backup FILE", FILE="kept")
    world.mfn.ok("encrypt", "plain", "-k", "invoices")


@advises("cli/commands/key_transport.py", "key import", "backup")
def a_key_that_is_imported(world: World) -> None:
    """It is finished with the command that is named, and protects once a backup holds it."""
    world.configure(rotation={"require_backup": True})
    said = world.mfn.ok("key", "import", "begin", "card", "--method", WRAPPING, "-o", "for.pem").out
    wrap_for("for.pem")
    command = re.findall(r"mfn key import finish [0-9a-f]{32} FILE", said)[0]
    said = world.follow(said, command, FILE="wrapped").out
    world.follow(said, "mfn backup FILE", FILE="kept")
    assert world.state("card:v1") == "active"


@advises("security/key_providers/imports.py", "key import")
@advises("security/key_store/kinds.py", "key import")
def an_import_that_was_used_up(world: World) -> None:
    """By what is no key; another one is begun."""
    world.mfn.ok("key", "import", "begin", "card", "--method", WRAPPING, "-o", "for.pem")
    (pending,) = world.doctor("import")
    assert "'card' is under way" in pending
    with world.provider() as provider:
        (name,) = provider.store.imports.ids()
    Path("wrapped").write_bytes(b"x")
    said = world.refused(ExitCode.USAGE, "key", "import", "finish", name, "wrapped")
    world.follow(said, "mfn key import begin card")
    said = world.refused(ExitCode.KEY_UNKNOWN, "key", "import", "finish", name, "wrapped")
    world.follow(said, "mfn key import begin KEY", KEY="other")


@advises("doctor/transport.py", "audit show", "rotation run")
def keys_that_may_leave_and_imports_that_expired(world: World) -> None:
    """Who exported one is shown; what is left of an import is deleted."""
    world.mfn.ok("key", "create", "card", "--exportable")
    said = world.advised("exportable")
    with world.provider() as provider:
        hour_ago = datetime.now(UTC) - timedelta(hours=1)
        provider.imports.clock = lambda: hour_ago
        pending = provider.imports.begin("late", method=WRAPPING)
    Path("for.pem").write_text(pending.pem())
    world.mfn.ok("key", "export", "card", "--to", "for.pem", "-o", "wrapped")
    shown = world.follow(said, "mfn audit show --event key.export").out
    assert shown.count("card:v1") == 2
    assert "mfn rotation run deletes it" in world.advised("import")
    world.mfn.ok("rotation", "run", "--once")
    assert world.doctor("import") == []


def wrap_for(public_key: str) -> None:
    """Wrap a key for the public key in a file, into the file ``wrapped``."""
    recipient = Policy().wrapping_key(Path(public_key).read_bytes())
    Path("wrapped").write_bytes(recipient.wrap(b"k" * 32))


@advises("cli/commands/init.py", "backup")
def a_new_store_whose_keys_wait_for_a_backup(world: World) -> None:
    """The backup activates them."""
    world.lose("*")
    world.configure(rotation={"require_backup": True})
    world.follow(world.mfn.ok("init").out, "mfn backup FILE", FILE="kept")
    Path("plain").write_bytes(b"x")
    world.mfn.ok("encrypt", "plain")


@advises("cli/commands/retention.py", "key cancel-destruction")
def a_version_that_was_cleaned_up(world: World) -> None:
    """It can be kept."""
    for _ in range(3):
        world.mfn.ok("key", "rotate", "orders")
    said = world.mfn.ok("rotation", "cleanup", "orders", "--reason", "all is rewrapped").out
    world.follow(said, "mfn key cancel-destruction orders:v1")
    assert world.state("orders:v1") == "deactivated"


@advises("security/key_providers/retirement.py", "key cancel-destruction")
def a_use_while_destruction_is_pending(world: World) -> None:
    """The log line names the version; it is kept."""
    with open_keyring(home=world.home) as keyring:
        sealed = keyring.encrypt(b"x", key_id="orders")
        keyring.provider.rotate_key("orders")
        keyring.provider.states.apply(Verb.DESTROY, "orders:v1")
    with open_keyring(home=world.home) as keyring, pytest.raises(KeyStateError):
        keyring.decrypt(sealed)
    world.follow(world.caplog.text, "mfn key cancel-destruction orders:v1")
    assert world.state("orders:v1") == "deactivated"


def test_data_under_a_compromised_version_is_opened_and_moved_with_the_option_that_is_named(
    world: World,
) -> None:
    """By decrypt and by rewrap, which must open it to move it."""
    sealed = world.seal()
    world.mfn.ok("key", "compromise", "orders")
    world.mfn.ok("key", "rotate", "orders")
    for command in (("decrypt", sealed, "-o", "opened"), ("rewrap", sealed)):
        said = world.refused(ExitCode.FORBIDDEN, *command)
        assert "--allow-compromised" in said
        world.mfn.ok(*command, "--allow-compromised")


@advises("cli/commands/key.py", "key activate")
def a_new_version_of_an_index_key(world: World) -> None:
    """It is searched, and stored once it is activated."""
    world.mfn.ok("key", "create", "names", "--type", "index")
    said = world.mfn.ok("key", "rotate", "names").out
    assert world.state("names:v2") == "pre-activation"
    world.follow(said, "mfn key activate names:v2")
    assert world.state("names:v2") == "active"


@advises("security/records/keys.py", "key activate", "key activate")
def an_index_key_that_waits_or_would_miss_what_is_stored(world: World) -> None:
    """While a version is suspended nothing is searched or stored; activating one ends either."""
    world.mfn.ok("key", "create", "names", "--type", "index")
    world.mfn.ok("key", "rotate", "names")
    Path("value").write_bytes(b"a@example.com")
    world.mfn.ok("key", "suspend", "names:v1")
    said = world.refused(ExitCode.FORBIDDEN, "index", "names", "value", "--context", "f")
    world.follow(said, "mfn key activate names:v1")
    world.mfn.ok("index", "names", "value", "--context", "f")
    world.mfn.ok("key", "suspend", "names:v1")
    with open_keyring(home=world.home) as keyring, pytest.raises(KeyStateError) as caught:
        keyring.index_tag(b"x", key_id="names", context=b"f")
    world.follow(str(caught.value), "mfn key activate names:v2")


# The master key and backups --------------------------------------------------------------------


@advises("cli/commands/init.py", "master passphrase")
def a_passphrase_for_a_master_key_that_is_there(world: World) -> None:
    """The command that it names puts it under one."""
    said = world.refused(ExitCode.EXISTS, "init", "--passphrase-fd", piped("secret"))
    assert "'mfn master passphrase'" in said
    world.mfn.ok("master", "passphrase", "--new-passphrase-fd", piped("secret"))
    world.mfn.ok("--passphrase-fd", piped("secret"), "key", "list")


@advises("doctor/diagnosis.py", "master passphrase", "master passphrase")
def a_master_key_without_a_good_passphrase(world: World) -> None:
    """Without any, and with one under few iterations."""
    world.configure(
        home=str(world.home), security={"encryption": {"key_derivation_iterations": 200_000}}
    )
    assert "mfn master passphrase" in world.advised("master-key")
    world.mfn.ok("master", "passphrase", "--new-passphrase-fd", piped("secret"))
    world.setenv("MFN_MASTER_PASSPHRASE_FILE", str(private("passphrase", b"secret\n")))
    assert world.doctor("master-key") == []
    (advice,) = (each for each in world.doctor("iterations") if "mfn" in each)
    assert "mfn master passphrase" in advice
    world.configure(home=str(world.home))
    world.mfn.ok("master", "passphrase", "--new-passphrase-fd", piped("secret"))
    assert world.doctor("iterations") == []


@advises("security/key_providers/master_move.py", "master rotate")
def a_move_between_master_keys_that_did_not_finish(world: World) -> None:
    """It is finished, and then a backup can be made."""
    with world.provider() as provider:
        provider.custodian.add()  # type: ignore[attr-defined]
        provider.keys.create("under-the-new")
    world.follow(world.advised("master-move"), "mfn master rotate")
    assert world.doctor("master-move") == []
    world.mfn.ok("backup", "kept")


@advises("security/key_store/backup_table.py", "backup")
def a_backup_from_before_a_move(world: World) -> None:
    """It cannot be recorded; one that is made now is."""
    with world.provider() as provider:
        made = write_backup(provider, io.BytesIO())
        provider.master_keys.rotate()
        with pytest.raises(ConflictError) as caught:
            record_backup(provider, made)
    world.follow(str(caught.value), "mfn backup FILE", FILE="newer")


# In test_master.py, on a machine that can be hurt: each is run in the state that it is told in.
COVERED["security/key_providers/master_move.py", "master rewrap"] += 2
COVERED["security/key_providers/master_move.py", "master migrate"] += 2
COVERED["cli/commands/master.py", "master rewrap"] += 1
COVERED["cli/commands/master.py", "master rotate"] += 1
COVERED["cli/commands/master.py", "master migrate"] += 1
COVERED["cli/commands/master.py", "backup"] += 1
COVERED["bootstrap/custodians/remote.py", "master status"] += 1
COVERED["security/key_providers/former_masters.py", "backup"] += 1
COVERED["security/key_providers/former_masters.py", "master status"] += 1
COVERED["security/errors.py", "master status"] += 1
COVERED["doctor/custody.py", "master forget"] += 2
# In tests/integrations/django/test_checks.py.
COVERED["integrations/django/checks.py", "key show"] += 1
COVERED["integrations/django/checks.py", "doctor"] += 1
# In test_external_keys.py.
COVERED["doctor/external_keys.py", "key abandon"] += 1
# In test_backup.py: test_a_backup_that_cannot_be_recorded_says_that_it_is_whole.
COVERED["cli/commands/backup.py", "backup"] += 1


@advises("cli/commands/backup.py", "backup")
def a_backup_to_standard_output(world: World) -> None:
    """It is recorded once it was read back."""
    ran = world.mfn("backup", "-")
    Path("kept").write_bytes(ran.raw)
    world.follow(ran.err, "mfn backup --verify --record FILE", FILE="kept")


@advises("doctor/backups.py", "backup", "backup")
def keys_that_no_backup_holds(world: World) -> None:
    """Never held, and held by one that is old."""
    world.configure(security={"key_management": {"rotation_enabled": True}})
    world.follow(world.advised("no-backup"), "mfn backup FILE", FILE="kept")
    assert world.doctor("no-backup") == []
    month = 31 * 24 * 3600 * 1_000_000
    world.sql(f"UPDATE mfn_backups SET made_at = made_at - {month}")
    world.follow(world.advised("old-backup"), "mfn backup FILE", FILE="newer")
    assert world.doctor("old-backup") == []


@advises("doctor/backups.py", "credential list", "credential confirm", "credential revoke")
@advises("cli/commands/backup.py", "credential confirm")
@advises("security/key_providers/credentials.py", "credential confirm")
def a_restored_store_whose_credentials_wait(world: World) -> None:
    """Each is confirmed or revoked; its rotation says the same."""
    first, second, third = (world.credential() for _ in range(3))
    world.mfn.ok("backup", "kept")
    world.lose("keys.db*")
    restored = world.mfn.ok("restore", "kept").out
    world.follow(restored, "mfn credential confirm ID", ID=first)
    said = world.refused(ExitCode.FORBIDDEN, "credential", "rotate", second)
    world.follow(said, f"mfn credential confirm {second}")
    advice = world.advised("unconfirmed")
    assert third in world.follow(advice, "mfn credential list").out
    world.follow(advice, "mfn credential revoke ID", ID=third)
    assert world.doctor("unconfirmed") == []
    assert "mfn credential confirm ID" in advice


# The posture of a service in production --------------------------------------------------------


@advises("doctor/posture/authorization.py", "credential revoke")
def a_credential_that_may_do_all(world: World) -> None:
    """It is revoked, once others are made."""
    with world.provider() as provider:
        made = provider.credentials.create("all", ("*",))[0].credential_id
    said = world.advised("all-scopes", "--profile", "prod")
    world.follow(said, f"mfn credential revoke {made}")
    assert world.doctor("all-scopes", "--profile", "prod") == []


@advises("doctor/posture/keys.py", "key rotate", "key policy", "rotation run")
def a_key_that_protects_for_longer_than_it_should(world: World) -> None:
    """By its age, by its policy, and in a store that no scheduler looks at."""
    options = ("--profile", "prod")
    with world.provider(days_ago=800) as provider:
        provider.keys.create("old")
    world.follow(world.advised("cryptoperiod", *options), "mfn key rotate old")
    assert world.doctor("cryptoperiod", *options) == []
    world.mfn.ok("key", "policy", "old", "--interval-days", "900")
    said = world.advised("cryptoperiod", *options)
    world.follow(said, "mfn key policy old --interval-days 730")
    assert world.doctor("cryptoperiod", *options) == []
    assert "mfn rotation run" in world.advised("no-scheduler", *options)
    world.mfn.ok("rotation", "run", "--once")
    assert world.doctor("no-scheduler", *options) == []


# Credentials and signers -----------------------------------------------------------------------


@advises("cli/commands/credential.py", "credential list")
def nothing_to_confirm_is_named(world: World) -> None:
    """The list has the ids."""
    made = world.credential()
    said = world.refused(ExitCode.USAGE, "credential", "confirm")
    assert made in world.follow(said, "mfn credential list").out


@advises("doctor/credentials.py", "credential revoke")
def a_credential_that_has_expired(world: World) -> None:
    """It is revoked, and no finding any more."""
    with world.provider(days_ago=10) as provider:
        end = provider.clock() + timedelta(days=1)
        made = provider.credentials.create("old", ("keys:read",), expires_at=end)[0].credential_id
    world.follow(world.advised("credential-expired"), f"mfn credential revoke {made}")
    assert world.doctor("credential-expired") == []


@advises("doctor/credentials.py", "credential rotate")
@advises("cli/commands/rotation.py", "credential list")
def a_credential_that_is_due(world: World) -> None:
    """It gets another secret; what a scheduler says leads to its id."""
    with world.provider(days_ago=200) as provider:
        made = provider.credentials.create("old", ("keys:read",))[0].credential_id
    said = world.mfn.ok("rotation", "run", "--once").out
    assert made in world.follow(said, "mfn credential list").out
    world.follow(world.advised("credential-due"), f"mfn credential rotate {made}")
    assert world.doctor("credential-due") == []


@advises("security/rotation.py", "credential rotate")
def a_credential_that_a_scheduler_is_asked_to_rotate(world: World) -> None:
    """Its secret is renewed by whoever holds it."""
    made = world.credential()
    with world.provider() as provider, pytest.raises(KeyUsageError) as caught:
        KeyRotationScheduler(provider).schedule_rotation(made, 30)
    world.follow(str(caught.value), f"mfn credential rotate {made}")


@advises("doctor/credentials.py", "signer add", "credential revoke")
def a_credential_whose_signers_are_all_revoked(world: World) -> None:
    """Another signer frees it; or it is revoked."""
    made = world.credential()

    def shut_out(signer: str) -> str:
        public = public_key(signer)
        world.mfn.ok("signer", "add", signer, "--public-key", public, "--credential", made)
        world.mfn.ok("signer", "revoke", signer)
        return world.advised("credential-signer")

    add = f"mfn signer add NAME --public-key FILE --credential {made}"
    world.follow(shut_out("first"), add, NAME="second", FILE=public_key("second"))
    assert world.doctor("credential-signer") == []
    world.mfn.ok("signer", "revoke", "second")
    world.follow(world.advised("credential-signer"), f"mfn credential revoke {made}")
    assert world.doctor("credential-signer") == []


@advises("doctor/credentials.py", "init")
def a_credential_that_only_its_signer_binds(world: World) -> None:
    """As an earlier release left it; its own record says it then."""
    made = world.credential()
    public = serialization.load_pem_public_key(public_key("old").read_bytes()).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    with world.provider() as provider:
        signer = Signer(
            "old", public, SIGNING, (made,), False, SignerState.ACTIVE, provider.clock()
        )
        provider.signers.insert(lambda master: replace(signer, master_id=master), "signer.add")
    world.follow(world.advised("credential-unbound"), "mfn init")
    assert world.doctor("credential-unbound") == []


# Rotation --------------------------------------------------------------------------------------


@advises("doctor/rotation.py", "rotation run", "key rotate")
def a_key_that_no_scheduler_ever_rotated(world: World) -> None:
    """A look rotates it; and so does the command for those in a hurry."""
    for name, command in (("one", "mfn rotation run"), ("two", "mfn key rotate two")):
        with world.provider(days_ago=92) as provider:
            provider.keys.create(name)
        world.sql("DELETE FROM mfn_scheduler_clock")
        advice = world.advised("rotation-due")
        assert command in advice
        world.follow(advice, command) if name == "two" else world.mfn.ok(
            "rotation", "run", "--once"
        )
        assert world.doctor("rotation-due") == []


@advises("doctor/rotation.py", "rotation run", "rotation list")
def a_scheduler_that_stopped_and_one_that_cannot(world: World) -> None:
    """The one is started again, of the other the list says why."""
    with world.provider(days_ago=92) as provider:
        provider.keys.create("old")
        table = SchedulerTable(provider.store.database)
        table.note_look(datetime.now(UTC) - timedelta(days=3))
        assert "mfn rotation run" in world.advised("rotation-due")
        table.note_look(datetime.now(UTC))
        assert "is due" in world.follow(world.advised("rotation-due"), "mfn rotation list").out
    world.mfn.ok("rotation", "run", "--once")
    assert world.doctor("rotation-due") == []


@advises("doctor/rotation.py", "key rotate")
def a_key_that_is_rotated_by_hand_and_is_due(world: World) -> None:
    """By hand."""
    with world.provider(days_ago=91) as provider:
        by_hand = replace(DEFAULT_ROTATION[KeyType.ENCRYPTION], automatic=False)
        provider.keys.create("manual", rotation=by_hand)
    world.follow(world.advised("rotation-due"), "mfn key rotate manual")
    assert world.doctor("rotation-due") == []


@advises("doctor/rotation.py", "key activate")
def a_version_that_was_to_be_active(world: World) -> None:
    """At once."""
    with world.provider(days_ago=1) as provider:
        provider.rotate_key("orders", activate_at=datetime.now(UTC) - timedelta(hours=2))
    world.follow(world.advised("activation-due"), "mfn key activate orders:v2")
    assert world.doctor("activation-due") == []


@advises("doctor/rotation.py", "rotation list")
@advises("cli/commands/rotation.py", "rotation list")
def a_rotation_that_fails(world: World) -> None:
    """The list says why, and when it is tried again."""
    with world.provider(days_ago=92) as provider:
        provider.keys.create("old")
        now = datetime.now(UTC)
        failure = RotationFailure("old", 3, now, now + timedelta(hours=1), "no such algorithm")
        SchedulerTable(provider.store.database).record_failure(failure)
    said = world.refused(ExitCode.PARTIAL, "rotation", "run", "--once")
    assert "no such algorithm" in world.follow(said, "mfn rotation list").out
    advice = world.advised("rotation-failing")
    assert "no such algorithm" in world.follow(advice, "mfn rotation list").out


@advises("doctor/rotation.py", "rotation run")
def a_due_time_that_is_too_late(world: World) -> None:
    """A pass over all keys mends it."""
    with world.provider(days_ago=80) as provider:
        provider.keys.create("late")
    world.sql("UPDATE mfn_keys SET due_at = due_at + 1000000000 WHERE key_id = 'late'")
    assert "mfn rotation run" in world.advised("due-time")
    world.mfn.ok("rotation", "run", "--once")
    assert world.doctor("due-time") == []


@advises("doctor/diagnosis.py", "key rotate")
def a_key_near_its_limit_of_raw_messages(world: World) -> None:
    """Another version begins anew."""
    with world.provider() as provider:
        handle = provider.keys.get("orders").latest.handle
        UsageStore(provider.store.database).reserve_raw(handle, RAW_MESSAGES_ROTATE)
    world.follow(world.advised("raw-limit"), "mfn key rotate orders")
    assert world.doctor("raw-limit") == []


@advises("doctor/diagnosis.py", "key rotate")
def a_key_that_protects_nothing(world: World) -> None:
    """Another version does."""
    world.mfn.ok("key", "compromise", "orders")
    world.follow(world.advised("no-active-version"), "mfn key rotate orders")
    assert world.doctor("no-active-version") == []


@advises("doctor/diagnosis.py", "init")
def a_default_key_that_is_missing(world: World) -> None:
    """It is made."""
    world.sql("DELETE FROM mfn_key_versions WHERE key_id = 'default-mac'")
    world.sql("DELETE FROM mfn_keys WHERE key_id = 'default-mac'")
    world.follow(world.advised("default-key"), "mfn init")
    assert world.doctor("default-key") == []


@advises("doctor/retention.py", "rotation cleanup")
def versions_past_those_that_are_kept(world: World) -> None:
    """What is known of their use; with a reason they go."""
    for _ in range(3):
        world.mfn.ok("key", "rotate", "orders")
    said = world.follow(world.advised("retention"), "mfn rotation cleanup orders").out
    assert "orders:v1" in said
    world.mfn.ok("rotation", "cleanup", "orders", "--reason", "all is rewrapped")
    assert world.doctor("retention") == []


@advises("doctor/retention.py", "key cancel-destruction")
def a_version_that_is_about_to_be_erased(world: World) -> None:
    """It is kept."""
    world.mfn.ok("key", "rotate", "orders")
    world.mfn.ok("key", "destroy", "orders:v1")
    world.follow(world.advised("destruction"), "mfn key cancel-destruction orders:v1")
    assert world.doctor("destruction") == []


@advises("doctor/retention.py", "key policy")
def a_mac_key_whose_older_versions_are_asked_for(world: World) -> None:
    """It rotates no more; what was asked for stays on record."""
    world.mfn.ok("key", "create", "tags", "--type", "mac")
    with open_keyring(home=world.mfn.home) as keyring:
        made = keyring.mac(b"value", key_id="tags")
        keyring.provider.rotate_key("tags")
        keyring.verify_mac(b"value", made, key_id="tags:v1")
    said = world.follow(world.advised("mac-versions"), "mfn key policy tags --interval-days 3650")
    assert "interval_days    3650" in said.out


@advises("doctor/retention.py", "rewrap")
def data_under_a_compromised_version(world: World) -> None:
    """It is moved, and that all of it is moved is put on record."""
    sealed = world.seal()
    world.mfn.ok("key", "compromise", "orders")
    world.mfn.ok("key", "rotate", "orders")
    advice = world.advised("compromised-data")
    world.follow(advice, "mfn rewrap PATH --allow-compromised", PATH=sealed)
    more = "--finished orders --reason TEXT"
    assert more in advice
    world.mfn.ok("rewrap", sealed, "--allow-compromised", *more.split())
    assert world.doctor("compromised-data") == []
    world.mfn.ok("decrypt", sealed, "-o", "opened")


# Audit records ---------------------------------------------------------------------------------


@advises("doctor/audit_records.py", "audit verify", "audit acknowledge")
@advises("doctor/acknowledged.py", "audit acknowledge")
@advises("security/audit/locked_chain.py", "audit verify")
@advises("cli/commands/audit.py", "audit head")
def audit_records_that_were_tampered_with(world: World) -> None:
    """The command says of each fault where it is; the state stays, as evidence."""
    kept = world.follow("mfn audit head", "mfn audit head").out
    Path("heads").write_text("no head")
    said = world.refused(ExitCode.USAGE, "audit", "verify", "--head", "heads")
    world.follow(said, "mfn audit head")
    Path("heads").write_text(kept)
    (segment,) = (world.home / "audit").glob("*/*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b'"key.create"', b'"key.cheate"', 1))
    said = world.advised("audit-tampering")
    ran = world.follow(said, "mfn audit verify", code=ExitCode.NOT_AUTHENTIC)
    assert "record" in ran.err
    world.mfn("key", "rotate", "orders")
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    words = ("audit-tampering", "--until", tomorrow, "--reason", "known")
    refused = world.refused(ExitCode.USAGE, "doctor", "acknowledge", *words)
    assert "mfn audit acknowledge --reason TEXT" in refused
    world.follow(world.advised("audit-tampering"), "mfn audit acknowledge --reason TEXT")
    assert not world.doctor("audit-tampering")


@advises("security/audit/verification.py", "init")
def audit_chains_that_nobody_counted(world: World) -> None:
    """As in a store of a former release."""
    with world.provider() as provider, provider.store.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM mfn_audit_count")
    said = world.refused(ExitCode.NOT_AUTHENTIC, "audit", "verify")
    world.follow(said, "mfn init")
    world.mfn.ok("audit", "verify")


# The XOR cipher --------------------------------------------------------------------------------


@advises("legacy/xor_format.py", "key import-xor")
@advises("security/key_providers/keys.py", "key import-xor")
@advises("doctor/old_cipher.py", "key import-xor")
def the_key_of_the_old_cipher_is_not_here(world: World) -> None:
    """It is imported, and what it wrote can be migrated."""
    old_key = private("old-key", OLD_KEY)
    Path("old").write_text(write_xor("some text"))
    said = world.refused(ExitCode.USAGE, "key", "create", "legacy-xor")
    assert "mfn key import-xor FILE" in said
    world.configure(legacy={"read_xor": True})
    assert "mfn key import-xor FILE" in world.advised("xor-key")
    said = world.refused(ExitCode.KEY_UNKNOWN, "migrate-xor", "old")
    world.follow(said, "mfn key import-xor FILE", FILE=old_key)
    world.mfn.ok("migrate-xor", "old")
    assert world.doctor("xor-key") == []


@advises("doctor/old_cipher.py", "migrate-xor", "key destroy")
def old_messages_that_are_kept_and_a_key_that_opens_nothing_more(world: World) -> None:
    """They are removed, and then the key goes."""
    world.mfn.ok("key", "import-xor", private("old-key", OLD_KEY))
    Path("old").write_text(write_xor("some text"))
    world.mfn.ok("migrate-xor", "old")
    place = shlex.quote(str(Path("old").absolute()))
    world.follow(world.advised("xor-kept"), f"mfn migrate-xor --commit {place}")
    assert world.doctor("xor-kept") == []
    now = day_of(datetime.now(UTC))
    world.sql(f"UPDATE mfn_usage SET day = {now - 40} WHERE kind = 'open'")
    world.follow(world.advised("xor-over"), "mfn key destroy legacy-xor:v1")
    assert world.doctor("xor-over") == []


# Files and folders -----------------------------------------------------------------------------


def test_a_mode_that_is_too_wide_is_mended_by_the_command_that_is_named(world: World) -> None:
    """The shell runs it as it stands."""
    (world.home / "keys.db").chmod(0o644)
    said = world.refused(ExitCode.STORE, "key", "list")
    subprocess.run(said.rpartition("run: ")[2], shell=True, check=True)
    world.mfn.ok("key", "list")


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (("encrypt", "plain", "-o", "taken"), {"--force", "-o"}),
        (("sign", "plain", "-k", "release", "-o", "taken"), {"--force", "-o"}),
        (("backup", "taken"), {"--force"}),
    ],
)
def test_an_output_that_exists_is_answered_with_options_that_the_command_has(
    world: World, arguments: tuple[str, ...], options: set[str]
) -> None:
    """``-o`` is not advised where there is none."""
    Path("plain").write_bytes(b"x")
    Path("taken").write_bytes(b"y")
    said = world.refused(ExitCode.EXISTS, *arguments)
    assert set(re.findall(r"(?<![\w-])--?[a-z]+", said.partition(";")[2])) == options
    world.mfn.ok(*arguments, "--force")


def private(name: str, content: bytes) -> Path:
    """A file of mode 0600."""
    path = Path(name).absolute()
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def piped(text: str) -> str:
    """The number of a descriptor that holds a passphrase."""
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    return str(reading)


@advises("bootstrap/custodians/pkcs11.py", "init")
def an_hsm_without_the_key(world: World) -> None:
    """It is made on the token only as that word says."""
    _on_a_token_without_a_key(world)


@advises("security/key_providers/pkcs11/inspection.py", "master rotate")
def an_hsm_with_several_keys_of_the_label(world: World) -> None:
    """The store goes under the newest, and the others are destroyed."""
    token = _on_a_token_without_a_key(world)
    token.rotate()
    said = world.mfn("doctor").out
    world.follow(said, "mfn master rotate")
    assert "keys of the master keys' label" not in world.mfn("doctor").out


@advises("security/key_providers/pkcs11/inspection.py", "master rotate")
def an_hsm_whose_key_wraps_other_keys(world: World) -> None:
    """As OpenSC's tool makes it: the store goes under one that is made as it should be."""
    token = new_harness("pkcs11")
    assert isinstance(token, PKCS11Harness)
    token.act("make-wrapping")
    for name, value in token.environment(world.home).items():
        world.setenv(name, value)
    world.lose("keys.db*", "store-id")
    world.mfn.ok("init")
    said = world.mfn("doctor").out
    assert "(CKA_WRAP)" in said
    world.follow(said, "mfn master rotate")
    assert "(CKA_WRAP)" not in world.mfn("doctor").out


def _on_a_token_without_a_key(world: World) -> CustodianHarness:
    token = new_harness("pkcs11")  # its folder goes when this process ends
    for name, value in token.environment(world.home).items():
        world.setenv(name, value)
    world.lose("keys.db*", "store-id")
    said = world.refused(ExitCode.STORE, "init")
    world.follow(said, "mfn init --create-key")
    return token


@advises("security/key_providers/vault/key_state.py", "init")
def a_vault_without_the_key(world: World) -> None:
    """The key is made there by a token that may, and only as that word says."""
    other = harness("vault")
    assert isinstance(other, VaultHarness)
    settings = other.environment(world.home.parent / "elsewhere")
    token_file = world.home.parent / "root"
    token_file.touch(mode=0o600)
    token_file.write_text(other.bao.root_token)
    chosen = {"MFN_VAULT_TOKEN_FILE": str(token_file), "MFN_VAULT_KEY_NAME": "advised"}
    for name, value in {**settings, **chosen}.items():
        world.setenv(name, value)
    world.lose("keys.db*", "store-id")
    said = world.refused(10, "init")
    world.follow(said, "mfn init --create-key")


def public_key(name: str) -> Path:
    """A new public key in a file."""
    path = Path(f"{name}.pem")
    path.write_bytes(SigningKey.generate(SIGNING).public.pem())
    return path


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_every_advice_is_run(world: World, case: Case) -> None:
    """The state that it is printed in ends, or is shown where it is told only."""
    case(world)


@advises("doctor/custody.py", "master status")
def rows_under_a_master_key_of_nobody(world: World) -> None:
    """It says which they are."""
    with contextlib.closing(sqlite3.connect(world.home / "keys.db")) as store, store:
        store.execute("UPDATE mfn_keys SET master_id = 'other:1' WHERE key_id = 'default-mac'")
    ran = world.follow(world.advised("unknown-master-key"), "mfn master status")
    assert "nobody here has other:1: keys 1" in ran.out


@advises("doctor/custody.py", "master status")
def a_former_custodian_that_does_not_answer(world: World) -> None:
    """It says so too, and what is under its master keys."""
    Elsewhere.create(world.home / "elsewhere")
    (world.home / "elsewhere" / "mode").write_text("down")
    world.setenv("MFN_FORMER_KEY_PROVIDERS", NAME)
    with registered():
        ran = world.follow(world.advised("custodian"), "mfn master status")
    assert f"{NAME} is not usable" in ran.out


# The walk over the source ----------------------------------------------------------------------

# What no command of a shell ends: words about the program, help, and names of what is running.
NOT_ADVICE = {
    ("api/application.py", "serve"),  # an application that another server runs
    ("cli/exits.py", "doctor"),  # the meaning of exit codes
    ("doctor/sarif.py", "doctor"),  # the name of what found it
    ("cli/commands/serve.py", "serve"),  # the feature that needs an extra; the file that is there
}
_FIRST_WORD = re.compile(r"\bmfn ([a-z]+(?:-[a-z]+)?)(?: ([a-z]+(?:-[a-z]+)?))?")


def strings(tree: ast.Module) -> Iterator[str]:
    """The texts of a module, but for docstrings and help."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            skipped.update(map(id, node.values))
        elif isinstance(node, ast.Expr):
            skipped.add(id(node.value))
        elif isinstance(node, ast.keyword) and node.arg == "help":
            skipped.update(map(id, ast.walk(node.value)))
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(
                str(each.value) if isinstance(each, ast.Constant) else "{}" for each in node.values
            )


def commands_in(text: str) -> Iterator[str]:
    """The commands that a text names."""
    context = click.Context(program)
    for first, second in _FIRST_WORD.findall(text):
        found = program.get_command(context, first)
        if isinstance(found, ActingGroup) and second not in found.commands:
            yield first
        elif isinstance(found, click.Group):
            assert second in found.commands, f"there is no command in: {text}"
            yield f"{first} {second}"
        elif found is not None:
            yield first


def test_every_command_in_a_message_has_a_case() -> None:
    """As many as there are in each file: a new advice is run, or it is not given."""
    found: Counter[tuple[str, str]] = Counter()
    for path in sorted(SOURCE.rglob("*.py")):
        file = str(path.relative_to(SOURCE))
        for text in strings(ast.parse(path.read_text())):
            found.update((file, command) for command in commands_in(text))
    for known in NOT_ADVICE:
        del found[known]
    assert found == COVERED


def test_a_conflict_is_tried_again(world: World) -> None:
    """Its advice is to run the same command once more, and nothing else was done."""
    assert "try again" in outcome_of(ConflictError("somebody was first")).advice
