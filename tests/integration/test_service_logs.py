"""What the service says on its standard error: who reads it knows when, how bad, and for whom."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mycelium_fractal_net import initialise
from tests.support.cli import PROGRAM, environment
from tests.support.service import START_SECONDS, Running, start

pytestmark = pytest.mark.long

SECRET = "c2VjcmV0LXBsYWludGV4dA"  # what no line may ever hold


def lines(running: Running, file: Path) -> list[dict[str, Any]]:
    """All that it said, in JSON, once it has ended."""
    assert running.stop() == 0
    return [json.loads(line) for line in file.read_text().splitlines()]


def begun(home: Path, file: Path, settings: dict[str, Any], **env: str) -> Running:
    """A service whose standard error goes to a file."""
    initialise(home=home).close()
    configuration = home.parent / "config.json"
    document = {
        "security": {"tls": {"required": False}},
        "server": {"request_signing": "off", "production": False},
        **settings,
    }
    configuration.write_text(json.dumps(document))
    with file.open("wb") as stderr:
        return start(home, env={"MFN_CONFIG": str(configuration), **env}, stderr=stderr)


def test_a_line_of_json_says_who_was_served_what(home: Path, tmp_path: Path) -> None:
    """An access log where one is asked for: the route, never a path, a query or a body."""
    file = tmp_path / "stderr"
    running = begun(home, file, {"log": {"access": True}}, MFN_LOG_FORMAT="JSON")
    try:
        with running.client() as client:
            made = client.post("/crypto/encrypt", json={"data": SECRET + "=="})
            version = made.json()["key_id"]
            assert client.get(f"/nowhere/{SECRET}?token={SECRET}").status_code == 404
            assert (
                client.post(
                    "/crypto/encrypt/stream",
                    content=b"x",
                    headers={"Content-Type": "application/octet-stream"},
                ).status_code
                == 200
            )
        with running.client("") as stranger:
            assert stranger.get("/keys").status_code == 401
        said = lines(running, file)
    finally:
        running.kill()
    accessed = [each for each in said if each["logger"].endswith(".access")]
    served = [(each["access"]["operation"], each["access"]["status"]) for each in accessed]
    for wanted in (("encrypt", 200), ("-", 404), ("encrypt.stream", 200), ("key.list", 401)):
        assert wanted in served
    found = next(each for each in accessed if each["access"]["operation"] == "encrypt")
    assert found["request"] == made.headers["x-request-id"]
    assert found["access"]["key"] == version
    assert found["access"]["credential"] == running.api_key.split("_")[1]
    assert found["access"]["client"] == "127.0.0.1"
    assert found["level"] == "INFO"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found["time"])
    assert SECRET not in file.read_text()
    assert running.api_key.split("_", 2)[2] not in file.read_text()


def test_by_default_it_says_nothing_of_what_is_well(home: Path, tmp_path: Path) -> None:
    """And a line of text has the time, the level and the process."""
    file = tmp_path / "stderr"
    running = begun(home, file, {})
    try:
        with running.client() as client:
            assert client.get("/keys").status_code == 200
        assert running.stop() == 0
    finally:
        running.kill()
    assert file.read_text() == ""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_is_asked_to_end_before_it_serves_ends_well(home: Path, workers: str) -> None:
    """An address is told of only when it answers; to end when asked to is a success, as it is
    later. Before the command has begun, the signal ends it as any process."""
    initialise(home=home).close()
    command = [*PROGRAM, "--home", str(home), "serve", "--port", "0", "--workers", workers]
    for delay in (0.6, 1.0, 1.4, 1.8, 2.2):
        process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE)
        time.sleep(delay)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=START_SECONDS)
        ended = {0} if b"serving" in said else {0, 143, -signal.SIGTERM, -signal.SIGINT}
        assert process.returncode in ended


def test_it_serves_when_it_says_so(home: Path) -> None:
    """The very first request is answered."""
    initialise(home=home).close()
    program = (
        "import http.client, re, subprocess, sys\n"
        "line = sys.stdin.readline()\n"
        "while 'serving' not in line: line = sys.stdin.readline()\n"
        "host = re.search(r'//(\\S+?);', line)[1]\n"
        "connection = http.client.HTTPConnection(host, timeout=5)\n"
        "connection.request('GET', '/health/ready')\n"
        "print(connection.getresponse().status)\n"
    )
    command = [*PROGRAM, "--home", str(home), "serve", "--port", "0", "--workers", "2"]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE) as serving:
        try:
            asked = subprocess.run(
                [sys.executable, "-c", program],
                stdin=serving.stdout,
                capture_output=True,
                text=True,
                timeout=START_SECONDS,
                check=False,
            )
            assert asked.stdout == "200\n"
        finally:
            serving.send_signal(signal.SIGTERM)
            assert serving.wait(START_SECONDS) == 0
            assert serving.stdout is not None
            os.set_blocking(serving.stdout.fileno(), False)
