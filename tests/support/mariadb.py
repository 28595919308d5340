"""A real MariaDB server in a temporary folder, started and stopped by process id."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_START_SECONDS = 60
_PATH = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
_BOTH = ("--innodb-log-file-size=16M", "--innodb-use-native-aio=0")  # the kernel bounds the latter
# Durable is what nobody needs again after the tests.
_FLEETING = (
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-flush-method=nosync",
    "--skip-name-resolve",
    "--skip-log-bin",
)
_ACCOUNT = "CREATE USER mfn@'127.0.0.1';\nGRANT ALL ON *.* TO mfn@'127.0.0.1' WITH GRANT OPTION;\n"


def binaries() -> tuple[str, str] | None:
    """The server and what lays out its folder; None where MariaDB is not installed."""
    server, layout = (shutil.which(name, path=_PATH) for name in ("mariadbd", "mariadb-install-db"))
    return (server, layout) if server and layout else None


@contextlib.contextmanager
def running(buffer_pool: str = "32M") -> Iterator[str]:
    """The URL of a fresh server on loopback, up to the database's name: ``…/``."""
    found = binaries()
    assert found is not None
    server, layout = found
    with tempfile.TemporaryDirectory(prefix="mfn-maria-") as base:
        data, scratch = Path(base) / "data", Path(base) / "scratch"
        scratch.mkdir()  # one that starts deletes what others have in a folder that they share
        both = (*_BOTH, f"--tmpdir={scratch}")
        laid_out = subprocess.run(
            [
                layout, "--no-defaults", f"--datadir={data}", "--user=root", "--skip-test-db",
                "--auth-root-authentication-method=normal", *both,
            ],
            check=False,
            capture_output=True,
            text=True,
        )  # fmt: skip
        if laid_out.returncode:
            raise RuntimeError(f"mariadb-install-db: {laid_out.stdout}{laid_out.stderr}")
        account = Path(base) / "account.sql"
        account.write_text(_ACCOUNT)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        process = subprocess.Popen(
            [
                server, "--no-defaults", f"--datadir={data}", "--user=root", f"--port={port}",
                "--bind-address=127.0.0.1", f"--socket={base}/socket", f"--pid-file={base}/pid",
                f"--init-file={account}", f"--innodb-buffer-pool-size={buffer_pool}", *both,
                *_FLEETING,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            _wait(port, process)
            yield f"mariadb+pymysql://mfn@127.0.0.1:{port}/"
        finally:
            process.kill()  # nothing of it is needed any more
            process.wait(_START_SECONDS)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    import pymysql

    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            pymysql.connect(host="127.0.0.1", port=port, user="mfn").close()
        except pymysql.err.OperationalError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("MariaDB did not start")


def create_database(server_url: str, name: str) -> str:
    """A new database on that server; returns its URL."""
    import pymysql
    from sqlalchemy.engine import make_url

    url = make_url(server_url)
    connection = pymysql.connect(host=url.host, port=url.port, user=url.username)
    with connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    return f"{server_url}{name}"
