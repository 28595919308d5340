"""A service that is asked to end finishes what it accepted."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net import initialise, open_keyring
from tests.support.records import records, verified
from tests.support.service import START_SECONDS, Running, b64, start

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.long

PARTS = 20
PART = bytes(range(256)) * 64


def slow_upload(
    service: Running, begun: threading.Event, shut: threading.Event, answers: list[bytes]
) -> None:
    """Seal a stream, the second half of which is sent when nobody else is let in any more."""
    connection = http.client.HTTPConnection(service.url.removeprefix("http://"), timeout=30)
    connection.putrequest("POST", "/crypto/encrypt/stream")
    for name, value in (
        ("X-API-Key", service.api_key),
        ("Content-Type", "application/octet-stream"),
        ("Content-Length", str(PARTS * len(PART))),
    ):
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(PART * (PARTS // 2))
    begun.set()
    shut.wait(START_SECONDS)
    connection.send(PART * (PARTS // 2))
    answer = connection.getresponse()
    assert answer.status == 200
    answers.append(answer.read())
    connection.close()


def large_batch(
    service: Running, begun: threading.Event, shut: threading.Event, answers: list[bytes]
) -> None:
    """Sign 200 messages, the second half of which are sent as late."""
    items = [{"data": b64(PART)}] * 200
    body = json.dumps({"items": items}).encode()
    connection = http.client.HTTPConnection(service.url.removeprefix("http://"), timeout=30)
    connection.putrequest("POST", "/crypto/sign/batch")
    for name, value in (
        ("X-API-Key", service.api_key),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
    ):
        connection.putheader(name, value)
    connection.endheaders()
    half = len(body) // 2
    connection.send(body[:half])
    begun.set()
    shut.wait(START_SECONDS)
    connection.send(body[half:])
    answer = connection.getresponse()
    assert answer.status == 200
    answers.append(answer.read())
    connection.close()


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_what_was_accepted_is_finished(home: Path, workers: str, number: signal.Signals) -> None:
    """A slow stream and a batch, while nobody new is let in; then it ends with 0."""
    initialise(home=home).close()
    running = start(home, "--workers", workers)
    streams: list[bytes] = []
    batches: list[bytes] = []
    threads = []
    shut = threading.Event()
    try:
        for work, answers in ((slow_upload, streams), (large_batch, batches)):
            begun = threading.Event()
            threads.append(threading.Thread(target=work, args=(running, begun, shut, answers)))
            threads[-1].start()
            assert begun.wait(10)
        idle = socket.create_connection(running.address())
        running.until_taken(3)
        running.process.send_signal(number)
        deadline = time.monotonic() + START_SECONDS
        with pytest.raises(ConnectionRefusedError):
            while time.monotonic() < deadline:
                socket.create_connection(running.address()).close()
                time.sleep(0.05)
        with idle:
            assert idle.recv(1) == b""
        assert all(thread.is_alive() for thread in threads)
        shut.set()
        assert running.process.wait(3 * START_SECONDS) == 0
    finally:
        shut.set()
        for thread in threads:
            thread.join(30)
        running.kill()
    with open_keyring(home=home) as keyring:
        assert keyring.decrypt(streams[0]) == PART * PARTS
    assert len(json.loads(batches[0])["items"]) == 200
    report = verified(home)
    assert not report.faults
    assert not any(chain.past_anchor or chain.torn_bytes for chain in report.chains)
    outcomes = [each["outcome"] for each in records(home / "audit", event="encrypt.stream")]
    assert outcomes == ["ok", "begun"]


def test_what_takes_too_long_is_cut(tmp_path: Path, home: Path) -> None:
    """The time is server.shutdown_seconds; what is cut is recorded as that."""
    configuration = tmp_path / "short.json"
    settings = {
        "security": {"tls": {"required": False}},
        "server": {"request_signing": "off", "production": False, "shutdown_seconds": 1},
    }
    configuration.write_text(json.dumps(settings))
    initialise(home=home).close()
    env = {"MFN_CONFIG": str(configuration)}
    with (home / "errors").open("wb") as errors:
        running = start(home, "--workers", "2", env=env, stderr=errors)
    try:
        with socket.create_connection(running.address()) as connection:
            head = (
                "POST /crypto/encrypt/stream HTTP/1.1\r\nHost: x\r\n"
                f"X-API-Key: {running.api_key}\r\nContent-Type: application/octet-stream\r\n"
                "Content-Length: 1000000\r\n\r\n"
            )
            connection.sendall(head.encode() + PART * 4)
            assert connection.recv(15) == b"HTTP/1.1 200 OK"
            began = time.monotonic()
            assert running.stop() == 0
            assert 0.9 < time.monotonic() - began < 5
            while connection.recv(65_536):
                pass
    finally:
        running.kill()
    assert "Traceback" not in (home / "errors").read_text()
    assert not verified(home).faults
    outcomes = [each["outcome"] for each in records(home / "audit", event="encrypt.stream")]
    assert outcomes == ["interrupted", "begun"]


def test_a_signal_that_is_ignored_stays_ignored(home: Path) -> None:
    """As SIGHUP is under nohup, with one process and with two."""
    initialise(home=home).close()
    for workers in ("1", "2"):
        running = start(home, "--workers", workers, prefix=["nohup"])
        try:
            for pid in (running.process.pid, *running.workers()):
                os.kill(pid, signal.SIGHUP)
            time.sleep(0.5)
            with running.client() as client:
                for _ in range(8):
                    assert client.get("/health/ready").status_code == 200
            assert running.stop() == 0
        finally:
            running.kill()
