"""A key store in a database with tables of others: neither takes the other's for its own."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.pool import NullPool

from mycelium_fractal_net import initialise
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    StoreUnavailableError,
    StoreVersionError,
)
from mycelium_fractal_net.security.key_providers import LocalCustodian, LocalKeyProvider
from mycelium_fractal_net.security.key_store import Database, KeyStore, key_table, rows
from mycelium_fractal_net.security.key_store.schema import HEAD, metadata
from mycelium_fractal_net.security.policy import Policy
from tests.support.cli import Mfn
from tests.support.stores import open_provider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import Engine

    from mycelium_fractal_net.security.records.keys import Key, KeyVersion

_ENV = """
from alembic import context
from sqlalchemy import create_engine, pool
engine = create_engine(context.config.get_main_option("sqlalchemy.url"), poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
_REVISION = """
from alembic import op
import sqlalchemy as sa
revision, down_revision = {revision!r}, {before!r}
def upgrade():
    op.create_table({table!r}, sa.Column("id", sa.Integer, primary_key=True))
"""


@pytest.fixture
def run(home: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Mfn:
    """The command line over that home folder."""
    return Mfn(home, tmp_path, capfdbinary)


class Application:
    """Somebody's own application, whose tables Alembic makes: ``keys`` is one of them."""

    def __init__(self, url: str, folder: Path) -> None:
        self.engine: Engine = create_engine(url, poolclass=NullPool)
        versions = folder / "migrations" / "versions"
        versions.mkdir(parents=True)
        (versions.parent / "env.py").write_text(_ENV)
        for revision, before, table in (("0001", None, "keys"), ("0002", "0001", "usage")):
            (versions / f"{revision}.py").write_text(
                _REVISION.format(revision=revision, before=before, table=table)
            )
        self._config = Config()
        self._config.set_main_option("script_location", str(versions.parent))
        self._config.set_main_option("sqlalchemy.url", url)

    def upgrade(self, to: str = "head") -> None:
        """What ``alembic upgrade`` does."""
        command.upgrade(self._config, to)

    def tables(self) -> set[str]:
        """The names of all tables in the database."""
        return set(inspect(self.engine).get_table_names())

    def version(self) -> str:
        """Where its own migrations stand."""
        with self.engine.connect() as connection:
            return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar())


@pytest.fixture
def application(store_url: str, tmp_path: Path) -> Application:
    """An application whose database is that of the store, with nothing in it yet."""
    path = store_url.removeprefix("sqlite:///")
    if path != store_url:
        Path(path).touch(mode=0o600)
    return Application(store_url, tmp_path / "application")


def test_a_database_of_others_is_not_written_to(store_url: str, application: Application) -> None:
    """One sentence says what is there and what makes a store all the same; not a byte changes."""
    application.upgrade("0001")
    before = application.tables()
    path = Path(store_url.removeprefix("sqlite:///"))
    content = path.read_bytes() if path.exists() else b""
    with closing(Database(store_url)) as database:
        with pytest.raises(StoreVersionError, match="no key store in this database"):
            database.check()
        with pytest.raises(ConfigurationError, match=r"'alembic_version', 'keys'.*--shared-da"):
            database.create()
    assert application.tables() == before
    assert application.version() == "0001"
    if content:
        assert path.read_bytes() == content
        assert path.stat().st_mode & 0o777 == 0o600


def test_the_store_and_an_application_upgrade_beside_each_other(
    store_url: str, home: Path, application: Application
) -> None:
    """In either order, and again: each leaves the other's tables and version alone."""
    application.upgrade("0001")
    with closing(Database(store_url)) as database:
        database.create(shared=True)
        database.check()
    provider = open_provider(store_url, home)
    provider.keys.create("orders")
    application.upgrade()
    assert application.version() == "0002"
    with closing(Database(store_url)) as database:
        database.create()  # the store is there: no word is needed any more
        database.check()
    assert application.version() == "0002"
    assert provider.keys.get("orders").latest.version == 1
    assert {"keys", "usage", "mfn_keys", "mfn_usage"} <= application.tables()
    provider.store.database.close()


def test_an_application_that_comes_later_finds_its_names_free(
    store_url: str, home: Path, application: Application
) -> None:
    """Its ``alembic upgrade head`` makes its own ``keys`` in the database of a store."""
    open_provider(store_url, home).store.database.close()
    application.upgrade()
    assert application.version() == "0002"
    with closing(Database(store_url)) as database:
        database.check()


def test_every_table_and_index_of_a_store_has_its_prefix(store_url: str, home: Path) -> None:
    """Also what belongs to a table and has a name in the whole database."""
    open_provider(store_url, home).store.database.close()
    assert [name for name in names(store_url) if "mfn_" not in name] == []


# Stores of before ---------------------------------------------------------------------------


def make_former(database: Database) -> None:
    """Give a store's tables the names that they had, with all that belongs to them."""
    there = names(database.url)
    with database.write() as connection:
        for table in metadata.sorted_tables:
            if table.name not in there:
                continue  # it came later
            old = table.name.removeprefix("mfn_")
            indexes = [index for index in table.indexes if index.name in there]
            for index in indexes:
                index.drop(connection)
            connection.execute(text(f'ALTER TABLE "{table.name}" RENAME TO "{old}"'))
            for index in indexes:
                named = str(index.name).replace("_mfn_", "_", 1)
                what = ", ".join(str(each) for each in index.expressions)
                what = what.replace(f"{table.name}.", "")
                connection.execute(text(f'CREATE INDEX "{named}" ON "{old}" ({what})'))
            if database.dialect == "postgresql":
                constraint = str(inspect(connection).get_pk_constraint(old)["name"])
                connection.execute(
                    text(
                        f'ALTER TABLE "{old}" RENAME CONSTRAINT "{constraint}"'
                        f' TO "{constraint.replace("mfn_", "")}"'
                    )
                )
        connection.execute(text("ALTER TABLE mfn_schema_version RENAME TO alembic_version"))


def write_as_before(provider: LocalKeyProvider, patched: pytest.MonkeyPatch) -> None:
    """Have keys written without the columns that came after schema 0005."""
    kind = provider.store.keys.kind

    def key_row(key: Key) -> dict[str, Any]:
        row = kind.to_row(key)
        del row["exportable"]
        return row

    def version_row(key_id: str, version: KeyVersion) -> dict[str, Any]:
        row = rows.version_row(key_id, version)
        for name in ("imported", "external", "external_gone_at"):
            del row[name]
        return row

    patched.setattr(provider.store.keys, "kind", replace(kind, to_row=key_row))
    patched.setattr(key_table, "version_row", version_row)


@pytest.fixture
def former(store_url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A store of schema 0005 with a key in it, whose tables have the names of before."""
    newest, database, policy = command.upgrade, Database(store_url), Policy()
    with monkeypatch.context() as first:
        first.setattr(command, "upgrade", lambda config, _: newest(config, "0005"))
        database.create()
    custodian = LocalCustodian.create(home / "master.key", policy)
    provider = LocalKeyProvider(KeyStore(database), custodian, policy)
    provider.master_keys.begin()
    with monkeypatch.context() as patched:
        write_as_before(provider, patched)
        provider.keys.create("orders")
    make_former(provider.store.database)
    yield provider.store.database
    provider.store.database.close()


def names(url: str) -> set[str]:
    """Every name that a schema has: of tables, indexes and primary keys."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            found = "SELECT name FROM sqlite_master"
        else:
            found = (
                "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
                " UNION SELECT conname FROM pg_constraint"
                " WHERE connamespace = current_schema()::regnamespace"
            )
        return set(connection.execute(text(found)).scalars())


def test_a_store_of_before_is_renamed_by_an_upgrade(
    former: Database, store_url: str, home: Path
) -> None:
    """It has then every name that a new one has, and what it held."""
    with pytest.raises(StoreVersionError, match=r"0005 of an older release.*mfn init"):
        former.check()
    former.create()
    assert former.upgraded_from == "0005"
    former.check()
    provider = open_provider(store_url, home)
    assert provider.get_key("orders")
    provider.store.database.close()
    assert not any(
        name.startswith(("keys", "usage", "ix_keys", "alembic")) for name in names(store_url)
    )


def test_a_rename_that_is_cut_off_changes_nothing(
    former: Database, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is one transaction: the store of before is as it was, and the upgrade is run again."""
    before = names(store_url)

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", fails)
        with pytest.raises(StoreUnavailableError):
            former.create()
    assert names(store_url) == before
    former.create()
    former.check()


def test_tables_that_only_look_alike_are_not_taken_for_a_store(
    store_url: str, application: Application
) -> None:
    """An application with ``keys``, ``usage`` and ``alembic_version`` at 0002 keeps all of it."""
    application.upgrade()
    with closing(Database(store_url)) as database:
        with pytest.raises(StoreVersionError, match="no key store"):
            database.check()
        database.create(shared=True)
        database.check()
    assert application.version() == "0002"
    assert {"keys", "usage"} <= application.tables()


def test_init_makes_a_shared_store_when_it_is_told_to(
    home: Path, application: Application, store_url: str, run: Mfn
) -> None:
    """The option that the sentence names, run as it stands."""
    application.upgrade()
    told = run("--store", store_url, "init")
    assert told.code == 3
    assert "--shared-database" in told.err
    told = run("--store", store_url, "init", "--shared-database")
    assert told.code == 0
    settings = load_settings(home=home, store=store_url)
    with initialise(settings=settings) as keyring:
        assert KeyStore(keyring.provider.store.database).status() is not None


def test_init_says_what_an_upgrade_did(former: Database, run: Mfn, store_url: str) -> None:
    """Once; the next time there is nothing to say."""
    former.close()
    told = run("--store", store_url, "init")
    assert f"upgraded from schema 0005 to {HEAD}; its keys" in told.out
    assert "upgraded" not in run("--store", store_url, "init").out


@pytest.mark.parametrize("version", ["9999", "0006_theirs"])
def test_a_newer_store_is_told_from_an_older_one(
    store_url: str, home: Path, version: str, run: Mfn
) -> None:
    """Whoever opens it, and whoever runs the upgrade: it is left as it is."""
    provider = open_provider(store_url, home)
    database = provider.store.database
    with database.write() as connection:
        connection.execute(text("UPDATE mfn_schema_version SET version_num = :to"), {"to": version})
    for act in (database.check, database.create):
        with pytest.raises(StoreVersionError, match=r"newer release.*nothing was changed"):
            act()
    told = run("--store", store_url, "init")
    assert told.code == 10
    assert "newer release" in told.err
    assert "run mfn init" not in told.err
    database.close()


def test_a_store_that_does_not_say_its_schema_is_not_made_anew(store_url: str, home: Path) -> None:
    """Its tables are there: nothing is known of them."""
    provider = open_provider(store_url, home)
    database = provider.store.database
    with database.write() as connection:
        connection.execute(text("DELETE FROM mfn_schema_version"))
    for act in (database.check, database.create):
        with pytest.raises(StoreVersionError, match="does not say which schema"):
            act()
    database.close()


def test_a_process_that_is_killed_in_an_upgrade_leaves_the_store_as_it_was(
    former: Database, store_url: str
) -> None:
    """With all tables renamed and half of the rest done; the next upgrade does the whole."""
    before = names(store_url)
    former.close()
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        newest = command.upgrade

        def killed(*arguments: Any) -> None:
            newest(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)

        command.upgrade = killed  # type: ignore[assignment]
        with closing(Database(store_url)) as database:
            database.create()
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    for _ in range(100):  # a server notices a moment later
        if names(store_url) == before:
            break
        time.sleep(0.05)
    assert names(store_url) == before
    with closing(Database(store_url)) as database:
        database.create()
        database.check()
        assert database.upgraded_from == "0005"
        assert KeyStore(database).keys.has("orders")


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM alembic_version",
        "INSERT INTO alembic_version VALUES ('0002')",
        "UPDATE alembic_version SET version_num = 'theirs'",
        "ALTER TABLE alembic_version ADD COLUMN note TEXT",
        "ALTER TABLE rotation_failures RENAME TO other",
    ],
)
def test_what_does_not_say_that_it_is_a_store_is_not_renamed(
    former: Database, store_url: str, statement: str
) -> None:
    """Of tables without a prefix all has to fit, or they are somebody's own."""
    with former.write() as connection:
        connection.execute(text(statement))
    before = names(store_url)
    with pytest.raises(ConfigurationError, match="tables of others"):
        former.create()
    assert names(store_url) == before
