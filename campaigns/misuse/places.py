"""The service, alone and behind the proxies of docs/deployment.md, on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from campaigns.misuse.wire import Door
from mycelium_fractal_net import initialise
from tests.support.service import Running, start
from tests.support.tls import Authority

_PAGE: Final = Path(__file__).parents[2] / "docs" / "deployment.md"
_SECONDS: Final = 20.0
BINARIES: Final = {"nginx": "/usr/sbin/nginx", "haproxy": "/usr/sbin/haproxy"}


class Entry(NamedTuple):
    """A line of the service's access log."""

    request_id: str
    operation: str
    status: int | None
    client: str
    method: str


class Place:
    """A service with TLS whose log is read, and the doors to it, by name."""

    def __init__(self, running: Running, log: Path, doors: dict[str, Door]) -> None:
        self.running = running
        self.doors = doors
        self._log = log

    @property
    def api_key(self) -> bytes:
        """The first API key."""
        return self.running.api_key.encode()

    def entries(self) -> dict[str, Entry]:
        """What the service says that it served, by request id, without the proxies' own checks."""
        found = {}
        for line in self._log.read_text().splitlines():
            said = json.loads(line) if line.startswith("{") else {}
            if "access" in said and said.get("request"):
                one = said["access"]
                entry = Entry(
                    said["request"], one["operation"], one["status"], one["client"], one["method"]
                )
                if entry.operation != "health.ready":
                    found[entry.request_id] = entry
        return found

    def said(self) -> str:
        """All of its log."""
        return self._log.read_text()


@contextlib.contextmanager
def place(
    folder: Path, proxies: tuple[str, ...] = tuple(BINARIES), *, plain: bool = False
) -> Iterator[Place]:
    """The service in ``folder``, alone at the door "alone" and behind each of ``proxies``.

    ``plain`` leaves out TLS, where nothing is in front.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    authority = Authority()
    authority.issue("keys", hosts=("keys.internal", "keys.example")).write(folder)
    (folder / "ca.pem").write_bytes(authority.pem)
    front = authority.issue("proxy", hosts=("keys.example",))
    (folder / "proxy.pem").write_bytes(front.certificate)
    (folder / "proxy.key").write_bytes(front.private_key)
    (folder / "proxy.both").write_bytes(front.certificate + front.private_key)
    settings: dict[str, dict[str, object]] = {
        "security": {
            "tls": {"certificate": f"{folder}/server.pem", "private_key": f"{folder}/server.key"}
        },
        "server": {
            "request_signing": "off",
            "trusted_proxies": ["127.0.0.1"],
            "public_authority": "keys.example",
        },
        "log": {"access": True, "format": "json"},
    }
    if plain:
        settings["security"] = {"tls": {"required": False}}
    (folder / "mfn.json").write_text(json.dumps(settings))
    initialise(home=folder / "home").close()
    log = folder / "service.log"
    with contextlib.ExitStack() as open_here, log.open("wb") as file:
        running = start(
            folder / "home",
            "--config",
            str(folder / "mfn.json"),
            verify=authority.trusted(),
            stderr=file,
        )
        open_here.callback(running.stop)
        doors = {"alone": Door(running.address(), None if plain else authority.trusted())}
        for name in proxies:
            port = _free_port()
            open_here.enter_context(_proxy(name, folder, port, running.address()[1]))
            doors[name] = Door(("127.0.0.1", port), authority.trusted())
        yield Place(running, log, doors)


def documented(name: str) -> str:
    """The configuration of nginx or HAProxy as the page has it."""
    (found,) = re.findall(rf"```{name}\n(.*?)```", _PAGE.read_text(), re.DOTALL)
    return str(found)


def local(text: str, folder: Path, port: int, service: int) -> str:
    """A documented configuration with its addresses and files in other places, and no more."""
    for former, new, most in (
        ("192.0.2.21:8000", f"127.0.0.1:{service}", 1),
        ("192.0.2.22:8000", f"127.0.0.1:{service}", 1),
        ("listen 443 ", f"listen 127.0.0.1:{port} ", 2),
        ("bind :443 ", f"bind 127.0.0.1:{port} ", 1),
        ("/etc/mfn/", f"{folder}/", 8),
    ):
        if text.count(former) > most:
            raise ValueError(f"{former} stands in the page {text.count(former)} times")
        text = text.replace(former, new)
    return text


@contextlib.contextmanager
def _proxy(name: str, folder: Path, port: int, service: int) -> Iterator[None]:
    file = folder / f"{name}.conf"
    text = local(documented(name), folder, port, service)
    if name == "nginx":  # where it may write, which is Debian's to say on a machine of its own
        paths = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "".join(f"  {each}_temp_path {folder}/{each};\n" for each in paths)
        text = text.replace("http {\n", f"http {{\n  access_log off;\n{temporary}", 1)
        text = f"pid {folder}/nginx.pid;\nerror_log {folder}/nginx.log;\ndaemon off;\n" + text
        if os.geteuid() == 0:
            text = "user root;\n" + text
        command = [
            BINARIES[name],
            "-p",
            str(folder),
            "-c",
            str(file),
            "-e",
            str(folder / "nginx.log"),
        ]
    else:
        command = [BINARIES[name], "-db", "-q", "-f", str(file)]
    file.write_text(text)
    with (folder / f"{name}.said").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + _SECONDS
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name} did not start: {(folder / f'{name}.said').read_text()}")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(_SECONDS)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def work_folder() -> Path:
    """A folder that the caller removes, in memory where there is such a place."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="mfn-misuse-", dir=memory if memory.is_dir() else None))
