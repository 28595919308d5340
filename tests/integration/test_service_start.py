"""From nothing to a service that answers: the first key, and what it refuses to start with."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mycelium_fractal_net import initialise, open_keyring
from tests.support.cli import PROGRAM, environment
from tests.support.records import verified
from tests.support.service import START_SECONDS, b64, start, workers_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.long

API_KEY = re.compile(r"mfn_[a-z0-9]{16}_[A-Za-z0-9_-]{43}")


def curl_lines(said: str) -> list[str]:
    """The three lines that are to be pasted."""
    lines = [line.strip() for line in said.splitlines() if "curl" in line]
    assert len(lines) == 3
    return lines


def pasted(lines: list[str], folder: Path, **env: str) -> list[Any]:
    """What a shell prints for each of the lines, as JSON."""
    folder.mkdir()
    answers = []
    for line in lines:
        ran = subprocess.run(
            ["sh", "-c", line], cwd=folder, env=environment(env), capture_output=True, check=True
        )
        assert ran.stderr == b""
        answers.append(json.loads(ran.stdout))
    return answers


def check_answers(answers: list[Any]) -> None:
    """The data of the first line, encrypted and twice decrypted."""
    assert set(answers[0]) == {"ciphertext", "algorithm", "key_id"}
    assert [each["data"] for each in answers[1:]] == [b64(b"hello")] * 2


def refusal(home: Path, *arguments: str, env: Mapping[str, str] | None = None, **more: Any) -> Any:
    """How `mfn serve` ends that must not serve: its code, and its one line of error."""
    ran = subprocess.run(
        [*PROGRAM, "--home", str(home), *arguments],
        env=environment(dict(env or {})), capture_output=True, timeout=START_SECONDS, check=False,
        **more,
    )  # fmt: skip
    said = ran.stderr.decode()
    assert b"serving" not in ran.stdout
    assert said.startswith("mfn: ")
    assert said.count("\n") == 1
    return ran.returncode, said.removeprefix("mfn: ").rstrip()


# The first key --------------------------------------------------------------------------------


def test_without_a_terminal_the_first_key_goes_into_a_private_file(home: Path) -> None:
    """Its path is printed and the lines read it; the second start shows a variable."""
    home = home.rename(home.parent / 'it\'s a "home"')
    initialise(home=home).close()
    running = start(home)
    path = home / "first-api-key"
    try:
        assert path.stat().st_mode & 0o777 == 0o600
        assert API_KEY.fullmatch(path.read_text().rstrip("\n"))
        assert str(path) in running.said.splitlines()[0]
        assert not API_KEY.search(running.said)
        check_answers(pasted(curl_lines(running.said), home.parent / "first"))
    finally:
        assert running.stop() == 0
    running = start(home)
    try:
        assert "first-api-key" not in running.said
        lines = curl_lines(running.said)
        assert all('"X-API-Key: $API_KEY"' in line for line in lines)
        check_answers(pasted(lines, home.parent / "second", API_KEY=running.api_key))
    finally:
        assert running.stop() == 0


def test_on_a_terminal_the_first_key_is_shown_once_and_written_nowhere(home: Path) -> None:
    """The lines have it in them, and work when pasted; Ctrl-C ends it well."""
    initialise(home=home).close()
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, "--home", str(home), "serve", "--port", "0", "--workers", "2"],
        env=environment({"TERM": "xterm"}), stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )  # fmt: skip
    os.close(theirs)
    said = b""
    try:
        deadline = time.monotonic() + START_SECONDS
        while said.count(b"curl") < 4:
            assert time.monotonic() < deadline
            if select.select([ours], [], [], 0.5)[0]:
                said += os.read(ours, 65_536)
        shown = said.decode().replace("\r\n", "\n")
        (api_key,) = set(API_KEY.findall(shown))
        check_answers(pasted(curl_lines(shown), home.parent / "terminal"))
        os.write(ours, b"\x03")
        assert process.wait(START_SECONDS) == 0
    finally:
        os.close(ours)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    held = [path for path in home.rglob("*") if path.is_file()]
    assert not [path for path in held if api_key.split("_", 2)[2].encode() in path.read_bytes()]
    assert not verified(home).faults


def test_a_file_of_a_first_key_that_is_there_is_kept(home: Path) -> None:
    """It may be of another store; then no key is made either."""
    initialise(home=home).close()
    path = home / "first-api-key"
    path.write_text("a key\n")
    code, said = refusal(home, "serve", "--port", "0")
    assert code == 6
    assert f"cannot be kept in the file {path}" in said
    assert path.read_text() == "a key\n"
    with open_keyring(home=home) as keyring:
        assert list(keyring.provider.credentials.all()) == []
    path.unlink()
    running = start(home)
    assert API_KEY.fullmatch(running.api_key)
    assert running.stop() == 0
    assert not list(home.glob(".first*"))


def test_quiet_says_where_the_key_is_and_no_more(home: Path) -> None:
    """And says it at once, also into a pipe."""
    initialise(home=home).close()
    port = free_port()
    process = subprocess.Popen(
        [*PROGRAM, "--home", str(home), "--quiet", "serve", "--port", str(port)],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        assert line == f"the first API key, which may do all, is in the file {home}/first-api-key\n"
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                assert httpx.get(f"http://127.0.0.1:{port}/health/ready").status_code == 200
                break
            except httpx.ConnectError:
                assert time.monotonic() < deadline
    finally:
        process.terminate()
        out, err = process.communicate(timeout=START_SECONDS)
    assert (process.returncode, out, err) == (0, b"", b"")


# A passphrase ---------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_master_key_under_a_passphrase_serves_every_worker(home: Path, workers: str) -> None:
    """It is read once, from a file descriptor; a worker that replaces another has it too."""
    initialise(home=home, passphrase=b"correct horse").close()
    reading, writing = os.pipe()
    os.write(writing, b"correct horse\n")
    os.close(writing)
    port = free_port()
    process = subprocess.Popen(
        [
            *PROGRAM, "--home", str(home), "--passphrase-fd", str(reading),
            "serve", "--workers", workers, "--port", str(port),
        ],
        env=environment(), stdout=subprocess.DEVNULL, pass_fds=[reading], start_new_session=True,
    )  # fmt: skip
    os.close(reading)
    try:
        url = f"http://127.0.0.1:{port}"
        key_file = home / "first-api-key"
        for _ in range(2):
            deadline = time.monotonic() + START_SECONDS
            while workers == "2" and len(workers_of(process.pid)) < 2:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            answered = 0
            while answered < 20:
                assert time.monotonic() < deadline
                try:
                    headers = {"X-API-Key": key_file.read_text().strip()}
                    body = {"data": b64(b"hello")}
                    made = httpx.post(f"{url}/crypto/encrypt", json=body, headers=headers)
                    assert made.status_code == 200
                    answered += 1
                except (httpx.TransportError, FileNotFoundError):
                    time.sleep(0.05)
            for worker in workers_of(process.pid)[:1]:
                os.kill(worker, signal.SIGKILL)
        process.terminate()
        assert process.wait(START_SECONDS) == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_a_wrong_passphrase_or_none_is_told_before_anything_is_served(home: Path) -> None:
    """In one line."""
    initialise(home=home, passphrase=b"correct horse").close()
    code, said = refusal(
        home, "serve", "--port", "0", stdin=subprocess.DEVNULL, start_new_session=True
    )
    assert code == 10
    assert "passphrase" in said
    code, said = refusal(home, "--passphrase-fd", "0", "serve", "--port", "0", input=b"wrong\n")
    assert code == 10
    assert "correct" not in said


# What is refused ------------------------------------------------------------------------------


def test_only_a_named_configuration_serves_other_machines(home: Path) -> None:
    """With that of dev, which nobody named, it stays on this machine."""
    initialise(home=home).close()
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.invalid"):
        code, said = refusal(home, "serve", "--host", host, "--port", "0")
        assert code == 3
        assert said.startswith("no configuration is named")
    assert not (home / "first-api-key").exists()


def test_tls_that_is_required_needs_a_proxy_that_sees_to_it(home: Path) -> None:
    """The settings of prod require it."""
    initialise(home=home).close()
    code, said = refusal(home, "--config", "prod", "serve", "--port", "0")
    assert code == 3
    assert said.startswith("security.tls.required is true")
    assert "security.tls.certificate" in said
    assert "server.trusted_proxies" in said
    configuration = home.parent / "proxied.json"
    configuration.write_text(
        json.dumps({"server": {"request_signing": "off", "trusted_proxies": ["192.0.2.7"]}})
    )
    running = start(home, "--host", "0.0.0.0", env={"MFN_CONFIG": str(configuration)})
    assert running.stop() == 0


def test_a_port_that_is_taken_and_a_store_that_is_not_there_are_told_in_one_line(
    home: Path,
) -> None:
    """Before a key is made."""
    code, said = refusal(home, "serve", "--port", "0")
    assert code == 10
    assert "mfn init" in said
    initialise(home=home).close()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, said = refusal(home, "serve", "--port", port)
    assert code == 3
    assert "cannot listen there" in said
    assert not (home / "first-api-key").exists()


@pytest.mark.parametrize("missing", ["fastapi", "uvicorn", "httptools", "uvloop", "pybase64"])
def test_without_the_extra_it_says_what_to_install(home: Path, missing: str) -> None:
    """And the rest of the command line works."""
    initialise(home=home).close()
    program = (
        "import sys\n"
        "class Nowhere:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == {missing!r}:\n"
        "            raise ModuleNotFoundError(name=name)\n"
        "sys.meta_path.insert(0, Nowhere())\n"
        "from mycelium_fractal_net.cli import main\n"
        "sys.exit(main())\n"
    )
    command = [sys.executable, "-c", program, "--home", str(home)]
    ran = subprocess.run(
        [*command, "serve", "--port", "0"], env=environment(), capture_output=True, check=False
    )
    assert ran.returncode == 3
    assert ran.stderr.decode().startswith("mfn: mfn serve needs")
    assert b"'.[server]'" in ran.stderr
    assert b"Traceback" not in ran.stderr
    ran = subprocess.run(
        [*command, "key", "list"], env=environment(), capture_output=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, b"")
    if missing not in ("fastapi", "pybase64"):
        return
    ran = subprocess.run(
        [sys.executable, "-c", program.replace("from mycelium_fractal_net.cli import main\n"
         "sys.exit(main())", "from mycelium_fractal_net.api import app")],
        env=environment({"MFN_HOME": str(home)}), capture_output=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 1
    assert b"'.[server]'" in ran.stderr


def test_with_cryptography_switched_off_nothing_passes_through(home: Path) -> None:
    """Every route that would need a key is 503, with and without a credential; no key is made."""
    running = start(home, "--workers", "2", env={"MFN_CRYPTO_ENABLED": "false"})
    try:
        with running.client("mfn_nobody") as client:
            paths = client.get("/openapi.json").json()["paths"]
            for path, operations in paths.items():
                for method in operations:
                    body = {} if method == "get" else {"json": {"data": b64(b"hello")}}
                    answer = client.request(method, path, **body)  # type: ignore[arg-type]
                    if path == "/health/live":
                        assert answer.status_code == 200
                    else:
                        assert answer.status_code == 503, (method, path, answer.text)
                        assert b64(b"hello") not in answer.text
            assert client.get("/nowhere").status_code == 404
    finally:
        assert running.stop() == 0
    assert list(home.iterdir()) == []


# Plain uvicorn --------------------------------------------------------------------------------


def plain_uvicorn(home: Path, port: int, **env: str) -> subprocess.Popen[bytes]:
    """``uvicorn mycelium_fractal_net.api:app``."""
    return subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "mycelium_fractal_net.api:app", "--port", str(port)],
        env=environment({"MFN_HOME": str(home), **env}),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def test_under_plain_uvicorn_the_absent_guards_are_logged(home: Path) -> None:
    """It serves, and says at start what a proxy must see to."""
    with initialise(home=home) as keyring:
        _, api_key = keyring.provider.credentials.create("test", ("encrypt:*",))
    port = free_port()
    process = plain_uvicorn(home, port)
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                answer = httpx.post(
                    f"http://127.0.0.1:{port}/crypto/encrypt",
                    json={"data": b64(b"hello")},
                    headers={"X-API-Key": api_key.text},
                )
                break
            except httpx.ConnectError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        assert answer.status_code == 200
    finally:
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=START_SECONDS)[0].decode()
    for guard in ("slow clients", "bound on connections", "bound on headers", "TLS"):
        assert guard in said
    assert not verified(home).faults


def test_under_plain_uvicorn_production_is_refused_without_a_proxy(home: Path) -> None:
    """Unless one is named in the settings."""
    initialise(home=home).close()
    process = plain_uvicorn(home, free_port(), MFN_CONFIG="prod")
    said = process.communicate(timeout=START_SECONDS)[0].decode()
    assert process.returncode == 3
    assert "server.trusted_proxies" in said


def free_port() -> int:
    """A port that nobody has at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
