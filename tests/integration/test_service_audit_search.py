"""A search through many audit records: bounded, on a thread of its own, ended with its client."""

from __future__ import annotations

import concurrent.futures
import http.client
import time
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net import initialise, open_keyring
from mycelium_fractal_net.security.audit import Event
from tests.support.service import Running, b64, start
from tests.test_crypto_api import ok, problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.long

RECORDS = 400_000  # several seconds of reading on any machine


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service that has much on record."""
    home: Path = tmp_path_factory.mktemp("searched") / "home"
    initialise(home=home).close()
    with open_keyring(home=home) as keyring:
        log = keyring.provider.audit
        assert log is not None
        last = log.append(Event("encrypt", "ok", actor="needle"))
        for number in range(RECORDS):
            last = log.append(Event("encrypt", "ok", actor="hay"), wake=number % 1000 == 0)
        log.wake()
        log.wait(last, 120)
    running = start(home)
    yield running
    running.kill()


def test_searches_are_bounded_and_others_are_served(searched: Running) -> None:
    """Eight at once for nobody: some are told to come later, none takes the service along."""

    def search(_: int) -> int:
        with searched.client() as client:
            answer = client.get("/audit", params={"actor": "nobody"})
            if answer.status_code == 503:
                problem(answer, 503, "overloaded")
                assert answer.headers["retry-after"] == "1"
            else:
                assert ok(answer).keys() == {"records", "cursor"}
            return answer.status_code

    with concurrent.futures.ThreadPoolExecutor(8) as pool, searched.client() as client:
        pending = [pool.submit(search, each) for each in range(8)]
        waits = []
        while not all(each.done() for each in pending):
            began = time.monotonic()
            ok(client.post("/crypto/encrypt", json={"data": b64(b"x")}))
            assert client.get("/keys").status_code == 200  # which waits for the store
            waits.append(time.monotonic() - began)
        statuses = [each.result() for each in pending]
    assert set(statuses) == {200, 503}
    assert max(waits) < 1.0


def test_a_cursor_leads_to_what_lies_behind(searched: Running) -> None:
    """Page by page to the oldest record, which is found, and to an end."""
    with searched.client() as client:
        found, pages, query = [], 0, {"actor": "needle"}
        while True:
            answer = ok(client.get("/audit", params=query))
            found += answer["records"]
            pages += 1
            if "cursor" not in answer:
                break
            query["cursor"] = answer["cursor"]
        assert [each["actor"] for each in found] == ["needle"]
        assert pages > 1
        problem(client.get("/audit", params={"cursor": "nonsense"}), 422, "invalid")


def test_a_search_ends_with_its_client(searched: Running) -> None:
    """Ten that go away at once leave the thread to whoever stays."""
    for _ in range(3):
        connection = http.client.HTTPConnection(*searched.address(), timeout=5)
        headers = {"X-API-Key": searched.api_key}
        connection.request("GET", "/audit?actor=nobody", headers=headers)
        time.sleep(0.05)
        connection.close()
    time.sleep(0.2)
    began = time.monotonic()
    with searched.client() as client:
        assert ok(client.get("/audit", params={"limit": 1}))["records"]
    assert time.monotonic() - began < 1.0  # three whole ones would be three seconds
