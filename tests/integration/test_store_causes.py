"""Every cause is told: whatever keeps a key store from serving is named on the command line, over
HTTP, by doctor and in the log, each cause by words of its own.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import subprocess
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from mycelium_fractal_net import initialise, open_keyring
from mycelium_fractal_net.api.http.problems import body_of
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.doctor import diagnose
from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    ConflictError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
)
from mycelium_fractal_net.security.key_store import Database, KeyStore, UsageStore, sqlite
from mycelium_fractal_net.security.key_store import postgresql as postgresql_module
from mycelium_fractal_net.security.keyring.keyring import Keyring
from mycelium_fractal_net.security.rotation import KeyRotationScheduler
from tests.support import postgres, service
from tests.support.cli import Mfn
from tests.support.presence import need

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "right"  # pragma: allowlist secret
HBA = (
    "host all barred all reject\nhost all guarded all scram-sha-256\n"
    "host replication mfn all trust\n"
)


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    """A server with a store in its database ``keys``, and users who are not let in."""
    if postgres.binaries() is None:
        need("PostgreSQL's server (Debian: postgresql)")
    with postgres.running(hba=HBA) as started:
        postgres.create_database(started.url, "keys")
        run_sql(
            f"{started.url}keys",
            f"CREATE ROLE guarded LOGIN PASSWORD '{PASSWORD}'; CREATE ROLE barred LOGIN;"
            " CREATE ROLE poor LOGIN",
        )
        yield started


@pytest.fixture(scope="module")
def made(server: postgres.Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with the master key of the store on that server."""
    home = tmp_path_factory.mktemp("causes") / "home"
    initialise(home=home, store=f"{server.url}keys").close()
    return home


@pytest.fixture
def run(made: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Mfn:
    """The command line over that home folder."""
    return Mfn(made, tmp_path, capfdbinary)


def run_sql(url: str, statements: str) -> None:
    """Run statements past what is tested."""
    import psycopg

    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(statements)


def told(url: str, run: Mfn, words: str, detail: str, code: int = 10) -> None:
    """See that each place tells of the cause in these words, and none more than it may."""
    ran = run("--store", url, "key", "list")
    assert ran.code == code, ran.err
    assert ran.err.count("\n") == 1
    assert words in ran.err
    assert PASSWORD not in ran.err
    found = diagnose(load_settings(home=run.home, store=url))
    assert any(words in each.advice for each in found), found
    with closing(Database(url)) as database, pytest.raises(StoreError) as caught:
        database.check()
    problem = body_of(caught.value)
    assert problem["status"] == 503
    assert detail in problem["detail"]
    for secret in (PASSWORD, "127.0.0.1", "guarded", "keys"):
        assert secret not in problem["detail"].replace("the key store", "")


def url_of(server: postgres.Server, user: str = "mfn", rest: str = "keys") -> str:
    """A URL of that server."""
    return f"postgresql+psycopg://{user}@127.0.0.1:{server.port}/{rest}"


POSTGRESQL = {
    "a wrong password": ("guarded:wrong", "keys", "refuses the user or the password in the URL"),
    "no password": ("guarded", "keys", "refuses the user or the password in the URL"),
    "a user who is let in from nowhere": ("barred", "keys", "lets nobody in as that user"),
    "no such user": ("nobody", "keys", "refuses the user or the password in the URL"),
    "no such database": ("mfn", "nosuch", "no database of the name in the URL"),
    "no TLS": ("mfn", "keys?sslmode=require", "offers no TLS, which the URL asks for"),
    "no rights": ("poor", "keys", "the user in the URL may not do that"),
    "options that it does not know": (
        "mfn",
        "keys?options=-c%20nosuch%3D1",
        "refuses the URL's options",
    ),
    "a schema without a store": (
        "mfn",
        "keys?options=-c%20search_path%3Dpg_temp",
        "there is no key store in this database",
    ),
}


@pytest.mark.parametrize("case", POSTGRESQL)
def test_why_a_server_does_not_serve_is_told(server: postgres.Server, run: Mfn, case: str) -> None:
    """On the command line with the place, over HTTP without it."""
    user, rest, words = POSTGRESQL[case]
    detail = "key store" if "no key store" in words else words
    told(url_of(server, user, rest), run, words, "try again" if "no key" in words else detail)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql+psycopg://mfn@127.0.0.1:1/keys", "nobody listens at the address in its URL"),
        ("postgresql://mfn@no-such-host.invalid/keys", "the host in its URL is not known"),
        ("postgres://mfn@/keys?host=/nowhere", "nobody listens on the socket in its URL"),
    ],
)
def test_why_no_server_is_reached_is_told(url: str, words: str, run: Mfn) -> None:
    """Nobody there, a name that nobody knows, a socket that is not there."""
    told(url, run, words, words)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql+psycopg2://u@h/d", "postgresql+psycopg2'; write sqlite:///FILE or postgresql"),
        ("postgresql+asyncpg://u@h/d", "postgresql+asyncpg'; write sqlite:///FILE or postgresql"),
        ("mysql://u@h/d", "mysql'; write"),
        ("sqlite+aiosqlite:///x.db", "aiosqlite'; write"),
        ("postgresql://u@h/d?sslmode=bogus", "sslmode in the URL of the key store is one of"),
        ("postgresql://u@h/d?nosuch=1", "an option that libpq does not take: 'nosuch'"),
        ("postgresql://u@h/d?client_encoding=latin1", "client_encoding in the URL"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused_with_what_to_write(
    url: str, words: str, run: Mfn
) -> None:
    """Before anything is connected to."""
    with pytest.raises(ConfigurationError) as caught:
        Database(url)
    assert words in str(caught.value)
    ran = run("--store", url, "key", "list")
    assert (ran.code, words in ran.err) == (3, True)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_each_name_of_the_scheme_is_taken(server: postgres.Server, made: Path, scheme: str) -> None:
    """``postgres://`` is what many hosts hand out."""
    url = url_of(server).replace("postgresql+psycopg", scheme)
    with open_keyring(home=made, store=url) as keyring:
        assert keyring.encrypt(b"x")


@pytest.mark.long
def test_a_replica_is_read_and_says_that_it_cannot_be_written(
    server: postgres.Server, made: Path, run: Mfn
) -> None:
    """A real one, that streams: what is there is listed; a change names the primary."""
    with postgres.replica(server) as url:
        listed = run("--store", f"{url}keys", "key", "list")
        assert (listed.code, "default-encryption" in listed.out) == (0, True)
        ran = run("--store", f"{url}keys", "key", "rotate", "default-encryption")
        assert ran.code == 10
        assert "read-only: a replica, or set so; name the primary" in ran.err
        with closing(Database(f"{url}keys")) as database, pytest.raises(StoreError) as caught:
            UsageStore(database).add({(b"12345678", 1, "open"): 1})
        assert "its database is read-only" in body_of(caught.value)["detail"]


def test_somebody_who_holds_a_lock_is_told_of(
    server: postgres.Server, made: Path, run: Mfn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement takes ten seconds at most."""
    monkeypatch.setattr(postgresql_module, "STATEMENT_MILLISECONDS", 200)
    with closing(Database(url_of(server))) as holder, holder.write() as connection:
        connection.execute(text("LOCK TABLE mfn_store_meta, mfn_keys IN ACCESS EXCLUSIVE MODE"))
        for command in (("key", "list"), ("key", "rotate", "default-mac")):
            ran = run("--store", url_of(server), *command)
            assert (ran.code, "somebody holds a lock" in ran.err) == (10, True)
        found = diagnose(load_settings(home=run.home, store=url_of(server)))
        assert any("somebody holds a lock" in each.advice for each in found)


@pytest.mark.long
def test_a_server_that_starts_again_is_told_of_and_then_serves(made: Path) -> None:
    """A process that had connections of before goes on by itself."""
    with postgres.running() as own:
        url = postgres.create_database(own.url, "keys")
        with closing(Database(url)) as database:
            database.create()
            own.stop()
            with pytest.raises(StoreUnavailableError, match=r"nobody listens|broke off"):
                database.check()
            own.start()
            database.check()


def test_a_session_that_the_server_ends_in_the_middle_is_told_of(
    server: postgres.Server, made: Path
) -> None:
    """What was begun is undone."""
    with closing(Database(url_of(server))) as database:
        with pytest.raises(StoreUnavailableError, match=r"starting, stopping|broke off") as caught:
            with database.write() as connection:
                pid = connection.execute(text("SELECT pg_backend_pid()")).scalar()
                run_sql(url_of(server), f"SELECT pg_terminate_backend({pid})")
                connection.execute(text("SELECT 1"))
        assert "key store" in body_of(caught.value)["detail"]


def test_all_connections_taken_is_told_of(server: postgres.Server, made: Path) -> None:
    """Of this process, which has nine at most."""
    with closing(Database(url_of(server))) as database:
        held = [database._engine.connect() for _ in range(14)]
        with pytest.raises(StoreUnavailableError, match="connections of this process are in use"):
            database.check()
        for each in held:
            each.close()


# Behind a pooler that gives each transaction another connection ------------------------------


@pytest.fixture(scope="module")
def pooled(server: postgres.Server) -> Iterator[str]:
    """A PgBouncer of Debian's package in transaction mode, with two connections to the server."""
    if postgres.pgbouncer_program() is None:
        need("PgBouncer (Debian: pgbouncer)")
    with postgres.pgbouncer(server) as url:
        yield url


def test_a_store_behind_pgbouncer_in_transaction_mode_works(
    server: postgres.Server, pooled: str, tmp_path: Path
) -> None:
    """Made, used, rotated, looked at, moved to a new master key, and used by many threads."""
    home = tmp_path / "home"
    postgres.create_database(server.url, "pooled")
    url = f"{pooled}pooled"
    with initialise(home=home, store=url) as keyring:
        sealed = keyring.encrypt(b"letter")
        for _ in range(20):  # of a statement that is repeated a driver likes to prepare
            keyring.provider.keys.get("default-encryption")
        threads = [
            threading.Thread(target=keyring.provider.rotate_key, args=("default-mac",))
            for _ in range(6)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert keyring.provider.keys.get("default-mac").latest.version == 7
        KeyRotationScheduler(keyring.provider).run_once()
        before = keyring.provider.store.require_status().master_id
        assert keyring.provider.master_keys.rotate() != before
        with keyring.provider.store.database.moving() as held:
            held()
            with closing(Database(url)) as other, pytest.raises(ConflictError), other.moving():
                pass  # pragma: no cover - it does not come here
            held()
    with open_keyring(home=home, store=url) as keyring:
        assert keyring.decrypt(sealed) == b"letter"


def test_a_statement_behind_a_pooler_has_its_bound(
    pooled: str, server: postgres.Server, made: Path
) -> None:
    """In each transaction, and of the next client of the same connection nothing is left."""
    with closing(Database(f"{pooled}keys")) as database:
        with database.read() as connection:
            assert connection.execute(text("SHOW statement_timeout")).scalar() == "10s"
        with database.write() as connection:
            assert connection.execute(text("SHOW statement_timeout")).scalar() == "10s"
        with database._engine.connect() as connection:
            assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "0"


@pytest.mark.long
def test_a_pooler_without_its_server_is_told_of(run: Mfn) -> None:
    """It lets us in and reaches nobody."""
    if postgres.pgbouncer_program() is None:
        need("PgBouncer (Debian: pgbouncer)")
    with postgres.running() as own:
        postgres.create_database(own.url, "keys")
        with postgres.pgbouncer(own) as url:
            own.stop()
            with (
                closing(Database(f"{url}keys")) as database,
                pytest.raises(StoreUnavailableError, match=r"pooler reaches no|answer in time"),
            ):
                database.check()


# What the URL says beside the place ---------------------------------------------------------


def test_options_of_the_url_and_of_the_environment_are_kept(
    server: postgres.Server, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours come beside them; a bound of theirs takes the place of ours."""
    url = url_of(server, rest="keys?options=-c%20work_mem%3D5MB&connect_timeout=7")
    with closing(Database(url)) as database, database.read() as connection:
        assert connection.execute(text("SHOW work_mem")).scalar() == "5MB"
        assert connection.execute(text("SHOW statement_timeout")).scalar() == "10s"
        raw: Any = connection.connection.driver_connection
        assert raw.info.get_parameters()["connect_timeout"] == "7"
    monkeypatch.setenv("PGOPTIONS", "-c statement_timeout=3s")
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "8")
    with closing(Database(url_of(server))) as database, database.read() as connection:
        assert connection.execute(text("SHOW statement_timeout")).scalar() == "3s"


def test_a_database_without_an_encoding_holds_a_store(
    server: postgres.Server, tmp_path: Path
) -> None:
    """SQL_ASCII: text is text all the same, and a row that is no text refuses itself alone."""
    run_sql(
        f"{server.url}keys",
        "CREATE DATABASE plain TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'",
    )
    home = tmp_path / "home"
    with initialise(home=home, store=f"{server.url}plain") as keyring:
        provider = keyring.provider
        provider.keys.create("orders")
        provider.keys.create("torn")
        run_sql(
            f"{server.url}plain?client_encoding=sql_ascii",
            "UPDATE mfn_keys SET algorithm = E'\\xff' WHERE key_id = 'torn'",
        )
        found = dict(provider.keys.each())
        assert found["orders"].key_id == "orders"  # type: ignore[union-attr]
        assert "torn" in str(found["torn"])
        assert KeyStore(provider.store.database).keys.load("orders")


# A file ---------------------------------------------------------------------------------------


@contextmanager
def disk(folder: Path, *options: str) -> Iterator[Path]:
    """A small disk of its own at that folder."""
    folder.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", ",".join(("mode=0700", *options)), "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        need("the right to mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def files(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Iterator[Mfn]:
    """The command line over a store whose file lies on a small disk of its own."""
    home = tmp_path / "home"
    with disk(home, "size=1m"):
        initialise(home=home).close()
        yield Mfn(home, tmp_path, capfdbinary)


def fill(folder: Path) -> None:
    """Use up the disk of that folder."""
    with (folder / "ballast").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def test_a_full_disk_has_words_and_an_exit_code_of_its_own(files: Mfn) -> None:
    """6, cannot be written: what to do is to make room, and then it works."""
    with open_keyring(home=files.home, record_uses=False) as keyring:
        fill(files.home)
        with pytest.raises(StoreFullError, match="disk of the key store is full") as caught:
            for number in range(200):
                keyring.usage.add({(bytes(8), number, "open"): 1})
        problem = body_of(caught.value)
        assert (problem["status"], problem["detail"]) == (503, "the disk of the key store is full")
        (files.home / "ballast").unlink()
        keyring.usage.add({(bytes(8), 1, "open"): 1})


def test_a_file_that_is_read_only_is_told_of(files: Mfn) -> None:
    """By its mount, which stops the superuser too."""
    url = f"sqlite:///{files.home / 'keys.db'}"
    subprocess.run(["mount", "-o", "remount,ro", str(files.home)], check=True)
    try:
        ran = files("key", "rotate", "default-encryption")
        assert ran.code in (6, 10)
        assert "read-only" in ran.err.lower()
        with closing(Database(url)) as database, pytest.raises(StoreUnavailableError) as caught:
            UsageStore(database).add({(bytes(8), 1, "open"): 1})
        assert "read-only" in str(body_of(caught.value)["detail"]).lower()
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(files.home)], check=True)


@pytest.fixture
def plain(tmp_path: Path, made_home: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Mfn:
    """The command line over a store in a file."""
    shutil.copytree(made_home, tmp_path / "home")
    return Mfn(tmp_path / "home", tmp_path, capfdbinary)


def spoil(plain: Mfn, how: str) -> None:
    """Write into the store's file as no software of ours does."""
    file = plain.home / "keys.db"
    for beside in ("-wal", "-shm"):
        file.with_name(file.name + beside).unlink(missing_ok=True)
    if how == "no database":
        file.write_bytes(b"dear diary, " * 1000)
    else:
        content = bytearray(file.read_bytes())
        content[4096:] = bytes(len(content) - 4096)
        file.write_bytes(content)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("no database", "its file is no SQLite database"),
        ("damaged", "its file is damaged; restore a backup"),
    ],
)
def test_a_file_that_is_no_store_any_more_is_told_of(plain: Mfn, how: str, words: str) -> None:
    """What it is, and what helps."""
    spoil(plain, how)
    told(f"sqlite:///{plain.home / 'keys.db'}", plain, words, words.partition(";")[0])


def test_a_file_that_another_process_holds_is_told_of(
    plain: Mfn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for, for ten seconds."""
    monkeypatch.setattr(sqlite, "_PRAGMAS", (*sqlite._PRAGMAS[:-1], "PRAGMA busy_timeout=50"))
    file = plain.home / "keys.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode=EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        words = "another process holds its file locked"
        with closing(Database(file)) as database, pytest.raises(StoreUnavailableError) as caught:
            UsageStore(database).add({(bytes(8), 1, "open"): 1})
        assert words in str(caught.value)
        assert words in body_of(caught.value)["detail"]


REPLACED, DELETED = "its file was replaced under this process", "its file was deleted under"


@pytest.mark.parametrize(("how", "words"), [("replace", REPLACED), ("delete", DELETED)])
def test_a_file_that_goes_from_under_a_process_is_noticed(
    plain: Mfn, tmp_path: Path, how: str, words: str
) -> None:
    """At the next reading and before each write; what was written would be nowhere."""
    file = plain.home / "keys.db"
    with open_keyring(home=plain.home, record_uses=False) as keyring:
        sealed = keyring.encrypt(b"data")
        shutil.copy2(file, tmp_path / "copy")
        file.rename(tmp_path / "aside")
        if how == "replace":
            (tmp_path / "copy").rename(file)
        for use in (keyring.refresh, lambda: keyring.usage.add({(bytes(8), 1, "open"): 1})):
            with pytest.raises(StoreUnavailableError) as caught:
                use()
            assert words in str(caught.value)
            assert "start this again" in str(caught.value)
            assert words in body_of(caught.value)["detail"]
        with keyring.provider.store.database.read(), pytest.raises(StoreUnavailableError):
            with keyring.provider.store.database.read():  # a connection of its own
                pass
        (tmp_path / "aside").rename(file)
        keyring.refresh()
        assert keyring.decrypt(sealed) == b"data"


# Over HTTP, and in the log --------------------------------------------------------------------


@pytest.mark.long
def test_a_service_tells_why_its_store_is_away(made: Path, tmp_path: Path) -> None:
    """A real one over a real server that is stopped: in its answers, and in its log."""
    home, log = tmp_path / "home", tmp_path / "log"
    with postgres.running() as own, log.open("wb") as written:
        url = postgres.create_database(own.url, "keys")
        initialise(home=home, store=url).close()
        running = service.start(
            home, env={"MFN_STORE": url, "MFN_REQUEST_SIGNING": "off"}, stderr=written
        )
        try:
            with running.client() as client:
                assert client.post("/crypto/encrypt", json={"data": "aGk="}).status_code == 200
                own.stop()
                deadline = time.monotonic() + 30
                answer = client.post("/crypto/encrypt", json={"data": "aGk="})
                while answer.status_code != 503 and time.monotonic() < deadline:
                    time.sleep(0.2)
                    answer = client.post("/crypto/encrypt", json={"data": "aGk="})
                assert answer.status_code == 503
                assert "nobody listens at the address" in answer.json()["detail"]
                assert "127.0.0.1" not in answer.text
        finally:
            running.stop()
    assert "nobody listens at the address" in log.read_text()


@pytest.mark.long
def test_a_service_whose_store_is_replaced_stops_and_says_so(
    made_home: Path, tmp_path: Path
) -> None:
    """A revocation in the new file would never reach it: within five seconds it is 503."""
    home = tmp_path / "home"
    shutil.copytree(made_home, home)
    running = service.start(home, env={"MFN_REQUEST_SIGNING": "off"})
    try:
        with running.client() as client:
            assert client.post("/crypto/encrypt", json={"data": "aGk="}).status_code == 200
            shutil.copy2(home / "keys.db", tmp_path / "copy")
            (tmp_path / "copy").replace(home / "keys.db")
            deadline = time.monotonic() + 8
            while True:
                answer = client.post("/crypto/encrypt", json={"data": "aGk="})
                if answer.status_code == 503:
                    break
                assert time.monotonic() < deadline
                time.sleep(0.2)
            assert "replaced under this process" in answer.json()["detail"]
    finally:
        running.stop()


@pytest.mark.long
def test_a_scheduler_logs_why_its_store_is_away(
    made: Path, caplog: pytest.LogCaptureFixture, server: postgres.Server
) -> None:
    """The line that says that keys cannot be rotated says the cause."""
    stop = threading.Event()
    keyring: Keyring
    with open_keyring(home=made, store=url_of(server)) as keyring:
        scheduler = KeyRotationScheduler(keyring.provider)

        def refuses() -> None:
            stop.set()
            with closing(Database("postgresql://mfn@127.0.0.1:1/x")) as gone:
                gone.now()

        keyring.provider.store.require_status = refuses  # type: ignore[method-assign, assignment]
        with caplog.at_level(logging.ERROR):
            scheduler.run(stop, 0.01)
    assert "nobody listens at the address in its URL" in caplog.text


def test_a_command_on_a_full_disk_exits_with_what_a_full_disk_is(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """6 as for any output; once there is room, the same command works."""
    home = tmp_path / "home"
    with disk(tmp_path / "small", "size=1m") as small:
        url = f"sqlite:///{small / 'keys.db'}"
        initialise(home=home, store=url).close()
        run = Mfn(home, tmp_path, capfdbinary)
        fill(small)
        ran = run("--store", url, "key", "create", "k0")
        for number in range(1, 40):  # what the log had room for is used up first
            if ran.code:
                break
            ran = run("--store", url, "key", "create", f"k{number}")
        assert ran.code == 6, ran.err
        assert "the disk of the key store is full" in ran.err
        assert "make room" in ran.err
        (small / "ballast").unlink()
        assert run("--store", url, "key", "create", "after").code == 0
