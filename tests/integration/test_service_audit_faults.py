"""A disk that fills, and a sync that lies, under the audit log of a running service."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import sqlite3
import subprocess
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mycelium_fractal_net import initialise
from tests.support.presence import need
from tests.support.records import records, verified
from tests.support.service import Running, b64, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.long

ENCRYPT = {"data": b64(b"hello")}
HEALED_SECONDS = 5.0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder = tmp_path / "small"
    folder.mkdir(mode=0o700)
    command = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "none", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        need("the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def configuration(tmp_path: Path, small_disk: Path) -> Path:
    """A configuration that keeps the audit log on the small disk."""
    path = tmp_path / "small.json"
    settings = {
        "security": {"tls": {"required": False}},
        "server": {"request_signing": "off", "production": False},
        "audit": {"folder": str(small_disk / "audit")},
    }
    path.write_text(json.dumps(settings))
    return path


def fill(folder: Path) -> Path:
    """A file that takes all the room there is."""
    path = folder / "ballast"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1024))
    return path


def until_status(client: httpx.Client, status: int, within: float, path: str, **body: Any) -> float:
    """Ask until an answer has that status; returns how long it took."""
    began = time.monotonic()
    while client.request("POST" if body else "GET", path, **body).status_code != status:
        assert time.monotonic() < began + within, f"no {status} of {path} in time"
        time.sleep(0.02)
    return time.monotonic() - began


def refused(answer: httpx.Response) -> None:
    """The answer has no result, and says that one may try again."""
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["retry-after"]) >= 1
    body = answer.json()
    assert body.pop("request_id") == answer.headers["x-request-id"]
    assert body == {
        "type": "/problems/audit-unavailable",
        "title": "The operation cannot be recorded",
        "status": 503,
        "detail": "the audit record cannot be written, so there is no result",
    }


def slow_stream(service: Running) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    """A stream that has begun and not ended: the client has sent, and got, a part."""
    connection = http.client.HTTPConnection(service.url.removeprefix("http://"), timeout=20)
    connection.putrequest("POST", "/crypto/encrypt/stream")
    connection.putheader("X-API-Key", service.api_key)
    connection.putheader("Content-Type", "application/octet-stream")
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()
    connection.send(b"%x\r\n%b\r\n" % (40_000, bytes(40_000)))
    answer = connection.getresponse()
    assert answer.status == 200
    return connection, answer


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_full_disk_stops_every_answer_and_heals_by_itself(
    home: Path, small_disk: Path, configuration: Path, workers: str
) -> None:
    """The record that did not fit was cut in the middle; nothing that was answered is lost."""
    initialise(home=home, config=configuration).close()
    with (home / "errors").open("wb") as errors:
        env = {"MFN_CONFIG": str(configuration)}
        running = start(home, "--workers", workers, env=env, stderr=errors)
    answered: list[str] = []

    def worked() -> None:
        answer = client.post("/crypto/encrypt", json=ENCRYPT)
        assert answer.status_code == 200, answer.text
        answered.append(answer.headers["x-request-id"])

    try:
        with running.client() as client:  # one connection, and so one worker
            for _ in range(5):
                worked()
            stream, streamed = slow_stream(running)
            for _ in range(3):
                ballast = fill(small_disk)
                while (answer := client.post("/crypto/encrypt", json=ENCRYPT)).status_code == 200:
                    answered.append(answer.headers["x-request-id"])
                refused(answer)
                assert client.get("/health/live").status_code == 200
                ready = client.get("/health/ready")
                assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
                assert ready.json()["backends"] == {"audit": "unavailable", "key-store": "ok"}
                time.sleep(0.3)  # the writer tries again, and again there is no room
                refused(client.post("/crypto/encrypt", json=ENCRYPT))
                refused(client.post("/keys", json={"key_id": "orders", "type": "encryption"}))
                refused(client.post("/crypto/encrypt", json={**ENCRYPT, "key_id": "absent"}))
                batch = {"items": [ENCRYPT] * 3}
                refused(client.post("/crypto/encrypt/batch", json=batch))
                octets = {"Content-Type": "application/octet-stream"}
                refused(client.post("/crypto/encrypt/stream", content=b"x", headers=octets))
                with running.client("") as stranger:
                    assert stranger.post("/crypto/encrypt", json=ENCRYPT).status_code == 401
                if not streamed.closed:
                    if workers == "1":
                        stream.send(b"0\r\n\r\n")
                        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                            streamed.read()
                    streamed.close()
                    stream.close()
                ballast.unlink()
                until_status(client, 200, HEALED_SECONDS, "/health/ready")
                worked()
            assert client.get("/keys/orders").status_code == 404
            answer = client.post("/keys", json={"key_id": "orders", "type": "encryption"})
            assert answer.status_code == 201
        assert running.stop() == 0
    finally:
        running.kill()
    assert "Traceback" not in (home / "errors").read_text()
    report = verified(home, config=configuration)
    assert not report.faults
    assert not any(chain.torn_bytes or chain.past_anchor for chain in report.chains)
    segments = [path.read_bytes() for path in small_disk.rglob("*.jsonl")]
    assert any(segment and not segment.endswith(b"\n") for segment in segments)
    found = records(small_disk / "audit", event="encrypt")
    assert set(answered) <= {each["request"] for each in found if each["outcome"] == "ok"}


@pytest.mark.parametrize("when", ["5", "6+9"])
def test_a_sync_that_fails_once_refuses_what_waited_for_it(home: Path, when: str) -> None:
    """And what it had claimed is written again: that the next one succeeds says nothing."""
    if shutil.which("strace") is None:
        need("strace")
    initialise(home=home).close()
    fault = f"inject=fdatasync:error=EIO:when={when}"
    prefix = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", fault]
    running = start(home, prefix=prefix)
    answers: list[httpx.Response] = []
    try:
        with running.client() as client:
            for _ in range(40):
                answers.append(client.post("/crypto/encrypt", json=ENCRYPT))
                if answers[-1].status_code != 200:
                    refused(answers[-1])
                    until_status(client, 200, HEALED_SECONDS, "/health/ready")
            made = client.post("/keys", json={"key_id": "k", "type": "mac"})
            assert made.status_code in (201, 503)
        assert running.stop() == 0
    finally:
        running.kill()
    statuses = [answer.status_code for answer in answers]
    assert 1 <= statuses.count(503) <= 6
    assert statuses.count(200) >= 34
    report = verified(home)
    assert not report.faults
    found = records(home / "audit", event="encrypt")
    durable = {each["request"] for each in found if each["outcome"] == "ok"}
    assert durable >= {a.headers["x-request-id"] for a in answers if a.status_code == 200}
    assert len(list((home / "audit").rglob("*.jsonl"))) > 1


def figures(client: httpx.Client) -> dict[str, float]:
    """The metrics of the service that have no labels."""
    lines = client.get("/metrics").text.splitlines()
    pairs = (line.split() for line in lines if not line.startswith("#") and "{" not in line)
    return {name: float(value) for name, value in pairs}


def test_a_store_that_can_be_read_and_not_written_stops_answers_after_ten_seconds(
    home: Path,
) -> None:
    """What is recorded meanwhile could be cut off unseen after a kill: it must not become much."""
    initialise(home=home).close()
    running = start(home)
    shell = sqlite3.connect(home / "keys.db", isolation_level=None)
    try:
        with contextlib.closing(shell), running.client() as client:
            until_status(client, 200, 5.0, "/crypto/encrypt", json=ENCRYPT)
            shell.execute("BEGIN IMMEDIATE")
            ages = []
            while (answer := client.post("/crypto/encrypt", json=ENCRYPT)).status_code == 200:
                found = figures(client)
                ages.append(found.get("mfn_audit_anchor_age_seconds", 0.0))
                time.sleep(0.2)
            refused(answer)
            assert 8.0 < max(ages) < 13.0
            assert found["mfn_audit_unanchored_records"] > 10
            until_status(client, 503, 2.0, "/health/ready")
            shell.execute("ROLLBACK")
            until_status(client, 200, 15.0, "/crypto/encrypt", json=ENCRYPT)
            until_status(client, 200, 5.0, "/health/ready")
    finally:
        assert running.stop() == 0
    assert verified(home).faults == []


def test_a_segment_that_is_deleted_under_the_service_is_missed(home: Path) -> None:
    """No answer leaves whose record is nowhere; the loss is counted, and verification names it."""
    initialise(home=home).close()
    running = start(home)
    try:
        with running.client() as client:
            until_status(client, 200, 5.0, "/crypto/encrypt", json=ENCRYPT)
            (chain,) = {path.parent for path in (home / "audit").glob("*/*.jsonl")}
            for path in chain.glob("*.jsonl"):
                path.unlink()
            answer = client.post("/crypto/encrypt", json=ENCRYPT)
            assert answer.status_code == 200
            assert figures(client)["mfn_audit_abandoned_segments"] == 1
            kept = [path.read_text() for path in chain.glob("*.jsonl")]
            assert answer.headers["x-request-id"] in "".join(kept)
    finally:
        assert running.stop() == 0
    assert any("deleted" in fault.what for fault in verified(home).faults)
