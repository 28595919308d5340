"""The servers, each a process of its own that is pinned to cores."""

from __future__ import annotations

import json
import os
import re
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.files import MFN, environment

START_SECONDS = 30.0
_STOP_SECONDS = 35.0  # above what the service gives requests to finish
_LAST_BYTES = 65_536  # of a segment: a record is shorter
_SCOPES = ("encrypt:*", "decrypt:*", "sign:*", "verify:*")


class StartFailedError(Exception):
    """A server did not start, or ended while it was measured."""


class NotRecordedError(Exception):
    """The service acknowledged more than its audit log holds."""


@dataclass
class Server:
    """One that runs. Its API key is in a file, since arguments can be read by everybody."""

    name: str
    pid: int
    host: str
    port: int
    key_file: Path
    log: Path
    works: bool = True
    """Whether it does what it is asked; the floor gives one answer to everything."""
    acknowledged: int = 0
    """Good answers that the load counted so far."""
    key_header: str = "X-API-Key"

    @property
    def api_key(self) -> str:
        return self.key_file.read_text()


@contextmanager
def service(
    cores: str, folder: Path, *, workers: int = 1, profile: Path | None = None
) -> Iterator[Server]:
    """``mfn serve`` on a fresh store, as anybody starts it, with a credential of four scopes.

    Raises :class:`NotRecordedError` in the end where an acknowledged request has no audit record.
    """
    home = folder / f"home-{secrets.token_hex(4)}"
    env = environment(home)
    subprocess.run([*MFN, "--quiet", "init"], env=env, check=True, stdin=subprocess.DEVNULL)
    scopes = [word for scope in _SCOPES for word in ("--scope", scope)]
    made = subprocess.run(
        [*MFN, "credential", "create", "bench", *scopes, "--json"],
        env=env,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    key = json.loads(made.stdout)["api_key"]
    arguments = ["serve", "--port", "0", "--workers", str(workers)]
    before = _records(home / "audit")
    with _running("service", MFN[-1], arguments, env, key, cores, folder, profile) as server:
        yield server
    recorded = _records(home / "audit") - before
    if recorded < server.acknowledged:
        raise NotRecordedError(f"{server.acknowledged} acknowledged, {recorded} recorded")


def _records(audit: Path) -> int:
    """How many records there are: each chain's last one has its number, counted from 1."""
    found = 0
    for chain in (each for each in audit.iterdir() if each.is_dir()):
        for segment in sorted(chain.glob("*.jsonl"), reverse=True):
            if size := segment.stat().st_size:
                with segment.open("rb") as file:
                    file.seek(max(0, size - _LAST_BYTES))
                    last = file.read().splitlines()[-1]
                found += int(json.loads(last)["sequence"])
                break
    return found


@contextmanager
def reference(
    cores: str, folder: Path, *, workers: int = 1, profile: Path | None = None
) -> Iterator[Server]:
    """Plain FastAPI."""
    key = secrets.token_urlsafe(32)
    env = environment(folder) | {"REFERENCE_API_KEY": key}
    module, arguments = "benchmarks.http.reference", ["--workers", str(workers)]
    with _running("FastAPI", module, arguments, env, key, cores, folder, profile) as server:
        yield server


@contextmanager
def bare(cores: str, folder: Path) -> Iterator[Server]:
    """The floor: an endpoint that does nothing."""
    env = environment(folder)
    with _running("bare ASGI", "benchmarks.http.bare", [], env, "-", cores, folder, None) as server:
        yield replace(server, works=False)


@contextmanager
def _running(
    name: str, module: str, arguments: list[str], env: dict[str, str], key: str, cores: str,
    folder: Path, profile: Path | None,
) -> Iterator[Server]:  # fmt: skip
    key_file = folder / f"key-{secrets.token_hex(4)}"
    key_file.touch(0o600)
    key_file.write_text(key)
    sampled = [] if profile is None else ["benchmarks.http.sampled", str(profile)]
    command = [sys.executable, "-m", *sampled, module, *arguments]
    with running(command, env, cores, folder) as (process, log):
        host, port = _address(process, log)
        yield Server(name, process.pid, host, port, key_file, log)
        if process.poll() is not None:
            raise StartFailedError(f"{name} ended while it was measured: {tail(log)}")


@contextmanager
def running(
    command: list[str], env: dict[str, str], cores: str, folder: Path
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A process on those cores and the file of its errors; ended at the end."""
    log = folder / f"log-{secrets.token_hex(4)}"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            ["taskset", "-c", cores, *command],
            env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
    try:
        yield process, log
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _address(process: subprocess.Popen[bytes], log: Path) -> tuple[str, int]:
    """The address that the process prints; its socket listens from then on."""
    assert process.stdout is not None
    said = b""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        ready, _, _ = select.select([process.stdout], [], [], 0.5)
        part = os.read(process.stdout.fileno(), 65_536) if ready else b""
        said += part
        # What follows the port must be there too, or half of its digits might be missing.
        if found := re.search(rb"serving http://([^:/\s]+):(\d+)[;\n]", said):
            return found[1].decode(), int(found[2])
        if ready and not part:
            break
    raise StartFailedError(f"{process.args!r} did not start: {tail(log)}")


def tail(log: Path) -> str:
    """The end of what a server said of its errors."""
    return log.read_text(errors="replace")[-500:]
