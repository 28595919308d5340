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


@contextlib.contextmanager
def server(*, fsync: bool = False) -> Iterator[str]:
    """The URL of a fresh server on loopback, up to the database's name: ``…/``.

    With ``fsync`` what it commits is on the disk. In tests it is not worth the time, and neither
    is what else serves a database that somebody needs again.
    """
    folder = binaries()
    assert folder is not None
    # PostgreSQL refuses to run as root; the package's own user runs it then.
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="mfn-pg-", ignore_cleanup_errors=True) as base:
        data = Path(base) / "data"
        data.mkdir(mode=0o700)
        if user:
            account = pwd.getpwnam(user)
            os.chown(base, account.pw_uid, account.pw_gid)
            os.chown(data, account.pw_uid, account.pw_gid)
        subprocess.run(
            [folder / "initdb", "-D", data, "-U", "mfn", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True,
            capture_output=True,
            user=user,
            cwd=base,
        )
        port = _free_port()
        options = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": base,
            "max_connections": 200,
            **({} if fsync else _FLEETING),
        }
        process = subprocess.Popen(
            [
                str(folder / "postgres"),
                "-D",
                str(data),
                *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=user,
            cwd=base,
        )
        try:
            _wait(port, process)
            yield f"postgresql+psycopg://mfn@127.0.0.1:{port}/"
        finally:
            # "fast" ends sessions and writes all that is unwritten; "immediate" writes nothing.
            process.send_signal(signal.SIGINT if fsync else signal.SIGQUIT)
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


def create_database(server_url: str, name: str, template: str = "template0") -> str:
    """A new database on that server, a copy of ``template``; returns its URL."""
    import psycopg

    plain = server_url.replace("+psycopg", "")
    with psycopg.connect(f"{plain}postgres", autocommit=True) as connection:
        # By way of the log, as is usual since 15, it takes twice as long.
        copied = " STRATEGY file_copy" if connection.info.server_version >= 150_000 else ""
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"{copied}')
    return f"{server_url}{name}"
