"""The service as a real process on a real socket, with a client that has every scope."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mycelium_fractal_net import initialise
from tests.support.cli import environment

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping, Sequence

START_SECONDS = 30.0


def workers_of(pid: int) -> list[int]:
    """The ids of the processes that the service with that id has forked."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(each) for each in children.read_text().split()]


def b64(data: bytes) -> str:
    """Canonical base64."""
    return base64.b64encode(data).decode()


def unb64(text: str) -> bytes:
    """What :func:`b64` was given."""
    return base64.b64decode(text, validate=True)


@dataclass
class Running:
    """A service that runs: its process, address, home folder and first API key."""

    process: subprocess.Popen[bytes]
    url: str
    home: Path
    api_key: str
    said: str
    verify: ssl.SSLContext | bool = True

    def client(self, api_key: str | None = None, **options: Any) -> httpx.Client:
        """A client of it; by default with the first API key, with "" without any."""
        key = self.api_key if api_key is None else api_key
        headers = {"X-API-Key": key} if key else {}
        options = {"timeout": 30.0, "verify": self.verify, **options}
        return httpx.Client(base_url=self.url, headers=headers, **options)

    def kill(self) -> None:
        """End all of its processes at once, by SIGKILL."""
        _kill(self.process)

    def address(self) -> tuple[str, int]:
        """Its host and port."""
        host, _, port = self.url.partition("://")[2].rpartition(":")
        return host, int(port)

    def until_taken(self, connections: int) -> None:
        """Wait until it has as many connections and has read all that was sent on them."""
        port = f":{self.address()[1]:04X}"
        deadline = time.monotonic() + START_SECONDS
        while True:
            rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
            theirs = [
                row for row in rows if row[1].endswith(port) and row[3] == "01"
            ]  # established
            taken = [row for row in theirs if row[9] != "0" and row[4].endswith(":00000000")]
            if len(theirs) == len(taken) == connections:
                return
            assert time.monotonic() < deadline, theirs
            time.sleep(0.05)

    def workers(self) -> list[int]:
        """The ids of its worker processes."""
        return workers_of(self.process.pid)

    def stop(self) -> int:
        """End it gracefully; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(3 * START_SECONDS)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(3 * START_SECONDS)
    if process.stdout is not None:
        process.stdout.close()


def start(
    home: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    port: int = 0,
    prefix: Sequence[str] = (),
    verify: ssl.SSLContext | bool = True,
    module: str = "mycelium_fractal_net",
    **popen: Any,
) -> Running:
    """Start ``mfn serve`` over an initialised home folder, and wait until it serves.

    ``prefix`` is a command to run it under, ``module`` what is run in its place, ``verify`` what
    its certificate is verified with. It leads a process group of its own.
    """
    process = subprocess.Popen(
        [
            *prefix, sys.executable, "-m", module, "--home", str(home),
            "serve", "--port", str(port), *arguments,
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=environment({"TMPDIR": str(home.parent), **(env or {})}),
        start_new_session=True,
        **popen,
    )  # fmt: skip
    try:
        url, said = _address(process)
        file = home / "first-api-key"
        running = Running(
            process, url, home, file.read_text().strip() if file.exists() else "", said, verify
        )
        _wait(running)
    except BaseException:
        _kill(process)
        raise
    return running


def _address(process: subprocess.Popen[bytes]) -> tuple[str, str]:
    """The URL in what the process says, and all that it said."""
    assert process.stdout is not None
    said = b""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        ready, _, _ = select.select([process.stdout], [], [], 0.5)
        part = os.read(process.stdout.fileno(), 65_536) if ready else b""
        said += part
        found = re.search(rb"serving (https?://\S+);", said)
        if found and said.count(b"curl") >= 4:
            return found[1].decode(), said.decode()
        if ready and not part:
            break
    raise AssertionError(f"mfn serve did not start: {said.decode()!r}")


def _wait(running: Running) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            live = httpx.get(f"{running.url}/health/live", timeout=5.0, verify=running.verify)
            if live.status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.05)
        assert running.process.poll() is None, "mfn serve ended"
    raise AssertionError("mfn serve did not answer")


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One service for all tests of a process; each test makes keys of its own."""
    home = tmp_path_factory.mktemp("service") / "home"
    initialise(home=home).close()
    running = start(home)
    yield running
    assert running.stop() == 0


@pytest.fixture
def client(service: Running) -> Iterator[httpx.Client]:
    """A client with the first API key, which may do all."""
    with service.client() as opened:
        yield opened


def credential(client: httpx.Client, *scopes: str, **more: Any) -> str:
    """The API key of a new credential with those scopes."""
    made = client.post("/credentials", json={"name": "test", "scopes": list(scopes), **more})
    assert made.status_code == 201, made.text
    return str(made.json()["api_key"])
