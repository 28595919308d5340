"""Signed requests that are sent again and again: one of each is accepted, by whichever worker.

``MFN_TEST_REPLAYS`` says how many are sent; docs/reliability.md has the figures of a large run.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import threading
from collections import Counter
from typing import TYPE_CHECKING

import httpx
import pytest

from mycelium_fractal_net import initialise
from tests.support.service import b64, start
from tests.support.signing import Peer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.support.service import Running

pytestmark = pytest.mark.long

SENT = int(os.environ.get("MFN_TEST_REPLAYS", "6000"))
REQUESTS = 60
CONNECTIONS = 8
AUTHORITY = "api.example.com"
ENVIRONMENT = {"MFN_REQUEST_SIGNING": "required", "MFN_PUBLIC_AUTHORITY": AUTHORITY}


class Replays:
    """Connections that send requests in a random order until there were enough, or no answer."""

    def __init__(self, url: str, requests: Sequence[httpx.Request], count: int) -> None:
        self.accepted: Counter[int] = Counter()
        self.statuses: Counter[int] = Counter()
        self._host = url.partition("://")[2]
        self._requests = requests
        self._left = count
        self._lock = threading.Lock()
        self.threads = [threading.Thread(target=self._send) for _ in range(CONNECTIONS)]
        for thread in self.threads:
            thread.start()

    def _send(self) -> None:
        connection = http.client.HTTPConnection(self._host)
        try:
            while self._left > 0:
                with self._lock:
                    self._left -= 1
                number = random.randrange(len(self._requests))
                request = self._requests[number]
                headers = {name.decode(): value.decode() for name, value in request.headers.raw}
                connection.request("POST", "/crypto/encrypt", request.content, headers)
                answer = connection.getresponse()
                answer.read()
                with self._lock:
                    self.statuses[answer.status] += 1
                    self.accepted[number] += answer.status == 200
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()

    def join(self) -> None:
        for thread in self.threads:
            thread.join(600)
            assert not thread.is_alive()


def signed(peer: Peer, running: Running) -> list[httpx.Request]:
    """Requests that are signed once, in both profiles."""
    made = []
    for number in range(REQUESTS):
        request = httpx.Request(
            "POST", running.url + "/crypto/encrypt",
            content=json.dumps({"data": b64(str(number).encode())}).encode(),
            headers={"Content-Type": "application/json", "X-API-Key": running.api_key},
        )  # fmt: skip
        made.append(peer.sign(request) if number % 2 else peer.sign_plan(request))
    return made


@pytest.fixture
def home(tmp_path: Path) -> tuple[Path, Peer]:
    """A home folder with a signer."""
    peer = Peer("peer", authority=AUTHORITY)
    with initialise(home=tmp_path / "home") as keyring:
        keyring.provider.signers.add("peer", peer.public_key, any_credential=True)
    return tmp_path / "home", peer


def test_of_many_replays_to_two_workers_one_is_accepted(home: tuple[Path, Peer]) -> None:
    """Also while both have the same request at once."""
    folder, peer = home
    running = start(folder, "--workers", "2", env=ENVIRONMENT)
    try:
        replays = Replays(running.url, signed(peer, running), SENT)
        replays.join()
        assert set(replays.statuses) == {200, 401}
        assert replays.accepted == dict.fromkeys(range(REQUESTS), 1)
    finally:
        running.stop()


def test_what_was_accepted_before_a_kill_is_refused_after_it(home: tuple[Path, Peer]) -> None:
    """The nonce was stored before the handler ran, so nothing is accepted twice."""
    folder, peer = home
    running = start(folder, "--workers", "2", env=ENVIRONMENT)
    requests = signed(peer, running)
    before = Replays(running.url, requests, SENT)
    for thread in before.threads:
        thread.join(0.15)
    running.kill()
    before.join()
    again = start(folder, "--workers", "2", env=ENVIRONMENT)
    try:
        after = Replays(again.url, requests, SENT // 2)
        after.join()
        total = before.accepted + after.accepted
        assert set(after.statuses) <= {200, 401}
        assert max(total.values()) == 1
        # One whose answer the kill took was accepted, and is lost to its sender.
        assert len(total) >= REQUESTS - CONNECTIONS
    finally:
        again.stop()
