"""Two workers on one socket: one service, whichever of them answers."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mycelium_fractal_net import initialise, open_keyring
from mycelium_fractal_net.security.aes_encryption import decrypt_aes_gcm
from tests.support.hardened import core_limit, is_private
from tests.support.records import records, verified
from tests.support.service import START_SECONDS, Running, b64, start, unb64

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.long

DATA = b"a message for two workers"
WITHIN_SECONDS = 20.0


def until(true: Callable[[], bool], within: float = WITHIN_SECONDS) -> None:
    """Wait for something to become true; fail where it does not in time."""
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    with contextlib.suppress(OSError):
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    return False


def asked(service: Running, count: int, path: str, body: Any = None) -> list[httpx.Response]:
    """That many requests, each on a connection of its own, several at a time."""

    def ask(_: int) -> httpx.Response:
        with service.client() as client:
            return client.post(path, json=body) if body is not None else client.get(path)

    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(ask, range(count)))


@pytest.fixture
def two(home: Path) -> Iterator[Running]:
    """A service with two workers on SQLite."""
    initialise(home=home).close()
    running = start(home, "--workers", "2", env={"TMPDIR": str(home.parent)})
    yield running
    running.kill()


def test_encrypted_by_two_workers_is_decrypted_locally(home: Path, store_url: str) -> None:
    """The plan's end-to-end test, on SQLite and PostgreSQL, over a real socket."""
    initialise(home=home, store=store_url).close()
    running = start(home, "--workers", "2", env={"MFN_STORE": store_url})
    try:
        with running.client() as client:
            made = client.post("/keys", json={"key_id": "orders", "type": "encryption"})
            assert made.status_code == 201
        body = {"data": b64(DATA), "key_id": "orders", "associated_data": b64(b"row 17")}
        sealed = asked(running, 24, "/crypto/encrypt", body)
        raw = asked(running, 24, "/crypto/encrypt", {**body, "format": "raw"})
        answers = [*sealed, *raw]
        assert {answer.status_code for answer in answers} == {200}
        ids = [answer.headers["x-request-id"] for answer in answers]
        assert len(set(ids)) == len(ids)
        assert running.stop() == 0
    finally:
        running.kill()
    with open_keyring(home=home, store=store_url) as keyring:
        material = keyring.provider.get_key("orders")
        for answer in sealed:
            message = unb64(answer.json()["ciphertext"])
            assert keyring.decrypt(message, associated_data=b"row 17") == DATA
        for answer in raw:
            message = unb64(answer.json()["ciphertext"])
            assert decrypt_aes_gcm(message, material, b"row 17") == DATA
    report = verified(home, store=store_url)
    assert not report.faults
    assert {each["request"] for each in records(home / "audit", event="encrypt")} == set(ids)


def test_both_workers_answer_and_no_two_requests_share_an_id(two: Running) -> None:
    """An id names one request of one process, so that its record can be found."""
    deadline = time.monotonic() + START_SECONDS
    ids: list[str] = []
    while len({each[:8] for each in ids}) < 2:  # who is idle takes a connection
        assert time.monotonic() < deadline
        answers = asked(two, 60, "/crypto/encrypt", {"data": b64(DATA)})
        ids += [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == len(ids)
    assert len({each[:8] for each in ids}) == 2
    found = {
        each["request"]: each["chain"] for each in records(two.home / "audit", event="encrypt")
    }
    assert set(found) == set(ids)
    assert len(set(found.values())) == 2


def test_no_process_of_the_service_leaves_a_core_dump(two: Running) -> None:
    """Neither a worker, nor the one that looks after them."""
    processes = [two.process.pid, *two.workers()]
    assert len(processes) == 3
    assert [core_limit(pid) for pid in processes] == [("0", "0")] * 3
    if os.geteuid():  # what is root's belongs to root either way
        assert all(map(is_private, processes))


def test_metrics_are_those_of_both_workers(two: Running) -> None:
    """Whichever of them is asked for them."""
    asked(two, 40, "/crypto/encrypt", {"data": b64(DATA)})
    name = 'mfn_requests_total{operation="encrypt",status="200"} '
    for answer in asked(two, 10, "/metrics"):
        lines = answer.text.splitlines()
        assert f"{name}40.0" in lines
        assert "mfn_audit_healthy 1.0" in lines


def test_a_worker_that_is_killed_is_replaced(two: Running) -> None:
    """At any age, and the others go on; what it had counted is still counted."""
    asked(two, 20, "/crypto/encrypt", {"data": b64(DATA)})
    counted = 'mfn_requests_total{operation="encrypt",status="200"}'
    until(lambda: f"{counted} 20.0" in asked(two, 1, "/metrics")[0].text)  # after the answer
    for _ in range(2):
        before = set(two.workers())
        os.kill(min(before), signal.SIGKILL)
        until(lambda before=before: len(set(two.workers()) - before) == 1)  # type: ignore[misc]
    answers = asked(two, 20, "/crypto/encrypt", {"data": b64(DATA)})
    assert {answer.status_code for answer in answers} == {200}
    until(lambda: f"{counted} 40.0" in asked(two, 1, "/metrics")[0].text)
    assert two.stop() == 0
    assert not verified(two.home).faults


def test_a_parent_that_is_killed_takes_its_workers_along(two: Running) -> None:
    """Nobody is left who serves without being looked after, and no folder either."""
    workers = two.workers()
    assert list(two.home.parent.glob("mfn-metrics-*"))
    two.process.send_signal(signal.SIGKILL)
    two.process.wait()
    until(lambda: not any(map(alive, workers)))
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{two.url}/health/live")
    assert not list(two.home.parent.glob("mfn-metrics-*"))
    assert not verified(two.home).faults


def test_a_worker_that_cannot_start_ends_the_service(home: Path) -> None:
    """With what is wrong, in one line and no traceback, and an exit code that says so."""
    initialise(home=home).close()
    with open_keyring(home=home) as keyring:
        keyring.provider.credentials.create("first", ("*",))
    (home / "audit").rename(home / "elsewhere")
    (home / "audit").write_text("no folder")
    with (home / "errors").open("wb") as errors:
        for workers in ("1", "2"):
            with pytest.raises(AssertionError, match="serve"):
                start(home, "--workers", workers, stderr=errors)
    said = (home / "errors").read_text()
    assert said.count("the service does not start: the audit folder") in (2, 3)
    assert 'File "' not in said, said
