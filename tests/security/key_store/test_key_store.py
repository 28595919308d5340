"""The database beneath the keys: private files, schemas, outages, counts."""

from __future__ import annotations

import fcntl
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine, inspect, text

from mycelium_fractal_net.security.byte_io.private import check_private
from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    ConflictError,
    MissingExtraError,
    StorePermissionsError,
    StoreUnavailableError,
    StoreVersionError,
    UsageLimitError,
)
from mycelium_fractal_net.security.key_store import Database, KeyStore, StoreStatus, UsageStore
from mycelium_fractal_net.security.key_store.database import _leave_to_parent
from mycelium_fractal_net.security.key_store.schema import HEAD, metadata
from mycelium_fractal_net.security.key_store.sqlite import let_go
from mycelium_fractal_net.security.key_store.usage import (
    OPEN,
    PROTECT,
    RAW_MESSAGES_LIMIT,
    UsageDay,
)

HANDLE = b"12345678"


@pytest.fixture
def opening() -> Iterator[Callable[[str], Database]]:
    """Opens databases, and closes them at the end."""
    with ExitStack() as cleanup:

        def opened(url: str) -> Database:
            database = Database(url)
            cleanup.callback(database.close)
            return database

        yield opened


Opening = Callable[[str], Database]


@pytest.fixture
def database(store_url: str, opening: Opening) -> Database:
    """A created database of each kind."""
    opened = opening(store_url)
    opened.create()
    return opened


def test_the_migrations_make_the_tables_that_the_code_uses(database: Database) -> None:
    """Every table and column of the schema is there, with its nullability and no other."""
    inspector = inspect(database._engine)
    assert set(inspector.get_table_names()) == {*metadata.tables, "mfn_schema_version"}
    for name, table in metadata.tables.items():
        found = {column["name"]: column["nullable"] for column in inspector.get_columns(name)}
        assert found == {column.name: column.nullable for column in table.columns}
    database.check()


def test_creating_twice_changes_nothing(database: Database) -> None:
    """Bringing a store to the schema it has is no change."""
    KeyStore(database).begin("local:1", b"w")
    database.create()
    assert KeyStore(database).require_status().master_id == "local:1"


def test_an_empty_database_is_told_from_an_older_schema(store_url: str, opening: Opening) -> None:
    """Each says what to do."""
    opened = opening(store_url)
    if opened.file is not None:
        with pytest.raises(StoreUnavailableError, match="mfn init"):
            opened.check()
        opened.file.touch(mode=0o600)
    with pytest.raises(StoreVersionError, match="no key store"):
        opened.check()
    opened.create()
    with opened.write() as connection:
        connection.execute(text("UPDATE mfn_schema_version SET version_num = '0000'"))
    with pytest.raises(StoreVersionError, match=f"0000 of an older.*with {HEAD}"):
        opened.check()
    with opened.write() as connection:
        connection.execute(text("DELETE FROM mfn_schema_version"))
    with pytest.raises(StoreVersionError, match="does not say"):
        opened.check()


def test_an_older_store_is_brought_up_to_date_with_what_is_in_it(
    store_url: str, opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first schema to the newest, rows kept; what came since is not set."""
    opened = opening(store_url)
    newest = command.upgrade
    with monkeypatch.context() as first:
        first.setattr(command, "upgrade", lambda config, _: newest(config, "0001"))
        opened.create()
    store = KeyStore(opened)
    store.begin("local:1", b"w")
    with store.change("local:1") as (connection, _):
        connection.execute(
            text(
                "INSERT INTO mfn_credentials VALUES ('c', 'n', :digest, NULL, NULL, '*', 'active',"
                " 1, NULL, 0, 1, 'local:1', :digest)"
            ),
            {"digest": bytes(32)},
        )
    with pytest.raises(StoreVersionError, match=f"0001 of an older.*with {HEAD}"):
        opened.check()
    opened.create()
    opened.check()
    assert store.require_status().master_id == "local:1"
    assert store.credentials.load("c").record.rotated_at is None


@pytest.mark.parametrize(
    "url",
    ["", "secret", "sqlite://", "sqlite:///:memory:", "mysql://u:secret@h/d", "://secret"],
)
def test_a_url_that_names_no_store_is_refused_and_not_repeated(url: str) -> None:
    """The value may hold a password, so it is not quoted."""
    with pytest.raises(ConfigurationError) as caught:
        Database(url)
    assert "secret" not in str(caught.value)


def test_sqlite_files_are_private_from_the_start(home: Path, opening: Opening) -> None:
    """Database, log, index and lock are 0600 in a 0700 folder, whatever the umask."""
    before = os.umask(0)
    try:
        opened = opening(f"sqlite:///{home / 'deep' / 'keys.db'}")
        opened.create()
        KeyStore(opened).begin("local:1", b"w")
    finally:
        os.umask(before)
    modes = {entry.name: entry.stat().st_mode & 0o777 for entry in (home / "deep").iterdir()}
    assert {"keys.db", "keys.db-wal", "keys.db-shm", "keys.db.lock"} <= set(modes)
    assert set(modes.values()) == {0o600}
    assert (home / "deep").stat().st_mode & 0o777 == 0o700
    opened.close()


def test_a_store_that_others_may_read_is_refused(
    sqlite_url: str, home: Path, opening: Opening
) -> None:
    """Modes that are too wide are named, file and folder."""
    opened = opening(sqlite_url)
    opened.create()
    (home / "keys.db").chmod(0o644)
    with pytest.raises(StorePermissionsError, match=r"keys\.db"):
        opened.check()
    (home / "keys.db").chmod(0o600)
    home.chmod(0o750)
    with pytest.raises(StorePermissionsError, match="chmod 0700"):
        opened.check()
    home.chmod(0o700)


def test_sqlite_commits_are_durable_and_destroyed_bytes_are_overwritten(
    sqlite_url: str, opening: Opening
) -> None:
    """WAL, full sync, secure delete, foreign keys; and what a connection keeps has its bound."""
    opened = opening(sqlite_url)
    opened.create()
    with opened.read() as connection:
        values = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in (
                "journal_mode",
                "synchronous",
                "secure_delete",
                "foreign_keys",
                "cache_size",
            )
        }
    assert values == {
        "journal_mode": "wal",
        "synchronous": 2,
        "secure_delete": 1,
        "foreign_keys": 1,
        "cache_size": -512,
    }


def test_a_file_that_is_no_database_is_an_outage_without_its_content(
    sqlite_url: str, home: Path, opening: Opening
) -> None:
    """The driver's text does not come through."""
    (home / "keys.db").write_bytes(b"secret " * 1000)
    (home / "keys.db").chmod(0o600)
    with pytest.raises(StoreUnavailableError) as caught:
        opening(sqlite_url).check()
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_server_that_is_not_there_is_an_outage_without_its_password(opening: Opening) -> None:
    """The error names the kind of failure and not the URL."""
    opened = opening("postgresql+psycopg://user:hunter2@127.0.0.1:1/x")
    with pytest.raises(StoreUnavailableError) as caught:
        KeyStore(opened).status()
    assert "hunter2" not in repr(caught.value)


def test_a_write_that_fails_is_rolled_back(database: Database) -> None:
    """An error inside a transaction leaves nothing of it."""
    with pytest.raises(RuntimeError), database.write() as connection:
        connection.execute(
            text("INSERT INTO mfn_store_meta (id, generation, master_id) VALUES (1, 1, 'x')")
        )
        raise RuntimeError
    assert KeyStore(database).status() is None


def test_a_store_whose_lock_cannot_be_made_is_an_outage(
    sqlite_url: str, home: Path, opening: Opening
) -> None:
    """A lock file that is something else does not let a writer through."""
    opened = opening(sqlite_url)
    opened.create()
    (home / "keys.db.lock").unlink()
    (home / "keys.db.lock").symlink_to("/dev/null")
    with pytest.raises(StoreUnavailableError, match="cannot be written"), opened.write():
        pass


def test_writers_take_turns_and_none_is_lost(store_url: str, opening: Opening) -> None:
    """Four writers, each with its own connections, add to one count."""
    opening(store_url).create()

    def write() -> None:
        usage = UsageStore(opening(store_url))
        for _ in range(5):
            usage.add({(HANDLE, 1, PROTECT): 1})

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert UsageStore(opening(store_url)).days([HANDLE]) == [UsageDay(HANDLE, 1, PROTECT, 20)]


def test_a_child_process_leaves_its_parents_connections_alone(database: Database) -> None:
    """After a fork both sides read; the child does not end the parent's connection."""
    store = KeyStore(database)
    store.begin("local:1", b"w")
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        os._exit(0 if store.status() == StoreStatus(1, "local:1") else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert store.status() == StoreStatus(1, "local:1")


# Counts -------------------------------------------------------------------------------------


def test_a_day_is_begun_once_and_counted_apart(database: Database) -> None:
    """The first use leaves a row before there is a count; days and kinds are apart."""
    usage = UsageStore(database)
    usage.begin_day(HANDLE, 7, PROTECT)
    assert usage.days([HANDLE]) == [UsageDay(HANDLE, 7, PROTECT, 0)]
    usage.add({(HANDLE, 7, PROTECT): 5, (HANDLE, 8, OPEN): 2})
    usage.begin_day(HANDLE, 7, PROTECT)
    usage.add({})
    assert usage.days([HANDLE]) == [UsageDay(HANDLE, 7, PROTECT, 5), UsageDay(HANDLE, 8, OPEN, 2)]
    assert usage.days([b"87654321"]) == []


def test_raw_messages_are_refused_past_their_limit_and_never_before(database: Database) -> None:
    """The last block that fits is granted, one message more is not."""
    usage = UsageStore(database)
    assert usage.raw_reserved(HANDLE) == 0
    assert usage.reserve_raw(HANDLE, 10) == 10
    rest = RAW_MESSAGES_LIMIT - 10
    assert usage.reserve_raw(HANDLE, rest - 1) == RAW_MESSAGES_LIMIT - 1
    with pytest.raises(UsageLimitError, match="all it may"):
        usage.reserve_raw(HANDLE, 2)
    assert usage.reserve_raw(HANDLE, 1) == RAW_MESSAGES_LIMIT
    with pytest.raises(UsageLimitError):
        usage.reserve_raw(HANDLE, 1)
    assert usage.raw_reserved(HANDLE) == RAW_MESSAGES_LIMIT
    assert usage.reserve_raw(b"87654321", 1) == 1


def test_an_intruders_engine_is_not_needed_to_read_the_url(database: Database) -> None:
    """The URL that a database gives connects to the same database."""
    engine = create_engine(database.url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM mfn_keys")).scalar() == 0
    engine.dispose()


# What goes wrong ----------------------------------------------------------------------------


def test_without_its_driver_postgresql_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store on PostgreSQL says what to install."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match="needs the extra 'postgresql'"):
        Database("postgresql+psycopg://user@host/database")


def test_a_statement_that_fails_is_an_outage_and_is_rolled_back(database: Database) -> None:
    """Whatever the database says comes out as ours."""
    with pytest.raises(StoreUnavailableError), database.write() as connection:
        connection.execute(
            text("INSERT INTO mfn_store_meta (id, generation, master_id) VALUES (1, 1, 'x')")
        )
        connection.execute(text("INSERT INTO nowhere VALUES (1)"))
    assert KeyStore(database).status() is None


def test_a_writer_under_another_master_key_changes_nothing(database: Database) -> None:
    """Nor are the former master keys forgotten while a row needs them."""
    store = KeyStore(database)
    store.begin("local:1", b"w")
    with pytest.raises(ConflictError, match="another master key"):
        store.move_to("local:0", "local:2", b"w")
    with store.change("local:1") as (connection, _):
        connection.execute(
            text(
                "INSERT INTO mfn_credentials VALUES ('c', 'n', :digest, NULL, NULL, '*', 'active',"
                " 1, NULL, 0, 1, 'local:1', :digest, NULL, false)"
            ),
            {"digest": bytes(32)},
        )
    store.move_to("local:1", "local:2", b"w")
    with pytest.raises(ConflictError, match="still under the former"):
        store.forget_masters("local:2", ["local:1"])
    assert store.record_mac_ids() == ["local:1", "local:2"]


def test_a_path_that_leads_through_a_file_is_an_outage(home: Path) -> None:
    """The system's reason is told."""
    (home / "file").touch()
    with pytest.raises(StoreUnavailableError, match="Not a directory"):
        check_private(home / "file" / "keys.db")


def test_a_child_leaves_the_connections_that_are_open_to_its_parent(
    sqlite_url: str, opening: Opening
) -> None:
    """Disposing without closing."""
    database = opening(sqlite_url)
    database.create()
    with database.read() as connection:
        _leave_to_parent(database._engine)
        assert connection.execute(text("SELECT 1")).scalar() == 1
        connection.invalidate()  # here there is no parent who would close it


def test_a_lock_that_is_not_freed_is_closed(home: Path) -> None:
    """Else this process would wait for itself with its next write, for ever."""
    descriptor = os.open(home, os.O_PATH)  # which flock refuses
    with pytest.raises(OSError, match="Bad file descriptor"):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    let_go(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
