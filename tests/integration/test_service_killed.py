"""``kill -9`` of the whole service under load: what was answered was recorded before."""

from __future__ import annotations

import http.client
import json
import random
import secrets
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net import initialise
from tests.support.records import records, verified
from tests.support.service import START_SECONDS, Running, b64, start

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.long

CLIENTS = 24
JSON = "application/json"
OCTETS = "application/octet-stream"


def request_of(number: int) -> tuple[str, str, bytes]:
    """A request of one of several kinds: its path, media type and body."""
    data = b64(secrets.token_bytes(200))
    kind = number % 16
    if kind == 0:
        body = {"key_id": f"k-{secrets.token_hex(8)}", "type": "encryption"}
        return "/keys", JSON, json.dumps(body).encode()
    if kind == 1:
        return "/crypto/encrypt/stream", OCTETS, secrets.token_bytes(100_000)
    if kind == 2:
        items = [{"data": data}, {"data": data, "key_id": "absent"}]
        return "/crypto/encrypt/batch", JSON, json.dumps({"items": items}).encode()
    if kind == 3:
        return "/crypto/encrypt", JSON, json.dumps({"data": data, "key_id": "absent"}).encode()
    path = "/crypto/sign" if kind % 2 else "/crypto/encrypt"
    return path, JSON, json.dumps({"data": data}).encode()


class Load:
    """Clients that ask until the service is gone, and what was answered in full."""

    def __init__(self, service: Running) -> None:
        self._service = service
        self.answered: dict[str, tuple[str, int]] = {}
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(self._service.url.removeprefix("http://"))
        number = random.randrange(16)
        try:
            while True:
                number += 1
                path, kind, body = request_of(number)
                headers = {"X-API-Key": self._service.api_key, "Content-Type": kind}
                connection.request("POST", path, body, headers)
                answer = connection.getresponse()
                answer.read()
                self.answered[answer.headers["X-Request-ID"]] = (path, answer.status)
        except (OSError, http.client.HTTPException):
            connection.close()

    def wait(self) -> None:
        """Wait until much of every kind was answered."""
        deadline = time.monotonic() + START_SECONDS
        while (
            len(self.answered) <= 100 or len({path for path, _ in list(self.answered.values())}) < 5
        ):
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def join(self) -> None:
        """Wait for the clients to notice that nobody answers."""
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()


@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.long)])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_every_answer_before_a_kill_has_its_record_after_it(
    home: Path, workers: str, kills: int
) -> None:
    """At a random moment; the chains verify, and only the end may be torn."""
    initialise(home=home).close()
    answered: dict[str, tuple[str, int]] = {}
    for _ in range(kills):
        running = start(home, "--workers", workers)
        try:
            load = Load(running)
            load.wait()
            time.sleep(random.uniform(0, 0.5))
        finally:
            running.kill()
        load.join()
        answered |= load.answered
    assert start(home, "--workers", workers).stop() == 0
    assert {status for _, status in answered.values()} == {200, 201, 404}
    report = verified(home)
    assert not report.faults
    assert not any(chain.past_anchor for chain in report.chains)
    outcomes: dict[str, set[str]] = {}
    for each in records(home / "audit"):
        if "request" in each:
            outcomes.setdefault(each["request"], set()).add(each["outcome"])
    wanted = {200: "ok", 201: "ok", 404: "not-found"}
    missing = Counter(
        path
        for request, (path, status) in answered.items()
        if wanted[status] not in outcomes.get(request, ())
    )
    assert not missing, f"of {len(answered)} answers"
