"""A real PostgreSQL server in a temporary folder, started and stopped by process id."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_START_SECONDS = 30
# Each of hundreds of databases would be vacuumed once a minute.
_FLEETING = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
    "max_wal_size": "8GB",
}


def binaries() -> Path | None:
    """The folder with ``initdb`` and ``postgres``, None where PostgreSQL is not installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").exists():
            return folder
    return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _user() -> str | None:
    """PostgreSQL and PgBouncer refuse to run as root; the package's own user runs them then."""
    return "postgres" if os.geteuid() == 0 else None


@contextlib.contextmanager
def _base() -> Iterator[Path]:
    """A folder of the user that runs a server."""
    base = tempfile.mkdtemp(prefix="mfn-pg-")
    try:
        if user := _user():
            account = pwd.getpwnam(user)
            os.chown(base, account.pw_uid, account.pw_gid)
        yield Path(base)
    finally:
        # Hundreds of databases have a hundred thousand files: nobody waits for their end.
        os.posix_spawnp("rm", ["rm", "-rf", base], os.environ)


def _run(program: str, *arguments: str | Path, base: Path) -> None:
    folder = binaries()
    assert folder is not None
    subprocess.run(
        [folder / program, *arguments], check=True, capture_output=True, user=_user(), cwd=base
    )


class Server:
    """A server whose data lie in ``base``; started, stopped and started again on one port."""

    def __init__(self, base: Path, *, durable: bool) -> None:
        self.base = base
        self.port = _free_port()
        self.url = f"postgresql+psycopg://mfn@127.0.0.1:{self.port}/"
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it lets somebody in."""
        folder = binaries()
        assert folder is not None
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.base,
            "max_connections": 200,
            **({} if self._durable else _FLEETING),
        }
        self._process = subprocess.Popen(
            [
                str(folder / "postgres"),
                "-D",
                str(self.base / "data"),
                *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=_user(),
            cwd=self.base,
        )
        _wait(self.port, self._process)

    def stop(self) -> None:
        """Stop it; who is connected is thrown out."""
        if self._process is not None:
            # "fast" ends sessions and writes all that is unwritten; "immediate" writes nothing.
            self._process.send_signal(signal.SIGINT if self._durable else signal.SIGQUIT)
            self._process.wait(_START_SECONDS)
            self._process = None


@contextlib.contextmanager
def running(*, durable: bool = True, hba: str = "") -> Iterator[Server]:
    """A fresh server on loopback. ``hba`` goes before the rule that trusts everybody."""
    with _base() as base:
        _run(
            "initdb", "-D", base / "data", "-U", "mfn", "-A", "trust", "-E", "UTF8", "--no-sync",
            base=base,
        )  # fmt: skip
        rules = base / "data" / "pg_hba.conf"
        rules.write_text(hba + rules.read_text())
        started = Server(base, durable=durable)
        started.start()
        try:
            yield started
        finally:
            started.stop()


@contextlib.contextmanager
def server(*, fsync: bool = False) -> Iterator[str]:
    """The URL of a fresh server on loopback, up to the database's name: ``…/``.

    With ``fsync`` what it commits is on the disk. In tests it is not worth the time, and neither
    is what else serves a database that somebody needs again.
    """
    with running(durable=fsync) as started:
        yield started.url


@contextlib.contextmanager
def replica(of: Server) -> Iterator[str]:
    """The URL of a streaming replica of that server, up to the database's name."""
    with _base() as base:
        _run(
            "pg_basebackup", "-h", "127.0.0.1", "-p", str(of.port), "-U", "mfn",
            "-D", base / "data", "-R", "-X", "stream", "--checkpoint=fast", "--no-sync",
            base=base,
        )  # fmt: skip
        (base / "data").chmod(0o700)
        started = Server(base, durable=True)
        started.start()
        try:
            yield started.url
        finally:
            started.stop()


def pgbouncer_program() -> str | None:
    """PgBouncer, None where it is not installed."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextlib.contextmanager
def pgbouncer(of: Server) -> Iterator[str]:
    """The URL of a PgBouncer in front of that server, in transaction mode."""
    program = pgbouncer_program()
    assert program is not None
    with _base() as base:
        port = _free_port()
        (base / "pgbouncer.ini").write_text(
            f"[databases]\n* = host=127.0.0.1 port={of.port} user=mfn\n[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            "auth_type = any\npool_mode = transaction\ndefault_pool_size = 2\n"
            "server_login_retry = 1\n"
        )
        process = subprocess.Popen(
            [program, "-q", str(base / "pgbouncer.ini")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=_user(),
            cwd=base,
        )
        try:
            _wait(port, process)
            yield f"postgresql+psycopg://mfn@127.0.0.1:{port}/"
        finally:
            process.terminate()
            process.wait(_START_SECONDS)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    import psycopg

    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            psycopg.connect(f"postgresql://mfn@127.0.0.1:{port}/postgres").close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("PostgreSQL did not start")


def django_settings(url: str) -> dict[str, object]:
    """A database as an entry of Django's ``DATABASES``."""
    from sqlalchemy.engine import make_url

    at = make_url(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": at.database,
        "USER": at.username,
        "PASSWORD": at.password or "",
        "HOST": at.host or at.query.get("host", ""),
        "PORT": at.port or "",
        "OPTIONS": {},
    }


def create_database(server_url: str, name: str, template: str = "template0") -> str:
    """A new database on that server, a copy of ``template``; returns its URL."""
    import psycopg

    plain = server_url.replace("+psycopg", "")
    with psycopg.connect(f"{plain}postgres", autocommit=True) as connection:
        # By way of the log, as is usual since 15, it takes twice as long.
        copied = " STRATEGY file_copy" if connection.info.server_version >= 150_000 else ""
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"{copied}')
    return f"{server_url}{name}"
