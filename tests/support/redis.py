"""A real Redis on a free port, started and stopped by process id."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_START_SECONDS = 15.0


@contextlib.contextmanager
def redis_server(folder: Path, port: int = 0, *, tls: Sequence[str] | None = None) -> Iterator[int]:
    """The port of a Redis that keeps nothing on the disk.

    With ``tls``, which are more of its options, it speaks TLS with the pair in ``folder``.
    """
    program = shutil.which("redis-server")
    assert program is not None, "the tests need redis-server"
    if not port:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
    listening = ["--port", str(port)]
    if tls is not None:
        listening = [
            "--port", "0", "--tls-port", str(port), "--tls-auth-clients", "no", *tls,
            "--tls-cert-file", str(folder / "server.pem"),
            "--tls-key-file", str(folder / "server.key"),
            "--tls-ca-cert-file", str(folder / "ca.pem"),
        ]  # fmt: skip
    process = subprocess.Popen(
        [
            program, *listening, "--bind", "127.0.0.1", "--save", "",
            "--appendonly", "no", "--dir", str(folder),
        ],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            assert time.monotonic() < deadline, "redis-server did not start"
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(_START_SECONDS)
