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

    With ``fsync`` what it commits is on the disk, as it is not worth the time in tests.
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
            "fsync": "on" if fsync else "off",
            "max_connections": 200,
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
            process.send_signal(signal.SIGINT)  # "fast": ends sessions, then stops
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


def create_database(server_url: str, name: str) -> str:
    """A new database on that server; returns its URL."""
    import psycopg

    plain = server_url.replace("+psycopg", "")
    with psycopg.connect(f"{plain}postgres", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    return f"{server_url}{name}"
