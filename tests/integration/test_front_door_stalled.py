"""Many connections that stall, in every way, and honest clients beside them."""

from __future__ import annotations

import json
import os
import socket
import statistics
import time
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net import initialise
from tests.support.service import Running, start
from tests.support.stalled import KINDS, honest, stalled
from tests.support.tls import Authority, configured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.long

MANY = int(os.environ.get("MFN_TEST_STALLED", "300"))  # docs have the figures of a thousand
SECONDS = {
    "header_seconds": 3, "gap_seconds": 3, "handshake_seconds": 3, "max_connections": MANY,
}  # fmt: skip
RATE_SECONDS = 10.0
SETTLED_SECONDS = 60.0  # a busy machine sends slow readers a gigabyte before it comes to anybody
SLACK_SECONDS = 20.0  # for a look, for those to read their answer who can, and a busy machine


@pytest.fixture(scope="module")
def authority() -> Authority:
    """An authority that the clients trust."""
    return Authority()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with shorter deadlines."""
    folder = tmp_path_factory.mktemp("stalled")
    running = begun(folder, SECONDS)
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Running]:
    """A service with TLS and shorter deadlines."""
    folder = tmp_path_factory.mktemp("stalled-tls")
    initialise(home=folder / "home").close()
    authority.issue().write(folder)
    path = configured(folder, server={"production": False, **SECONDS})
    running = start(folder / "home", env={"MFN_CONFIG": str(path)}, verify=authority.trusted())
    yield running
    assert running.stop() == 0


def begun(folder: Path, server: dict[str, Any]) -> Running:
    """A service without TLS, with those settings."""
    initialise(home=folder / "home").close()
    settings = {
        "security": {"tls": {"required": False}},
        "server": {
            "request_signing": "off",
            "production": False,
            "max_queue_milliseconds": None,  # who is told to come later reads nothing slowly
            **server,
        },
    }
    (folder / "config.json").write_text(json.dumps(settings))
    return start(folder / "home", env={"MFN_CONFIG": str(folder / "config.json")})


def check(service: Running, kind: str, tls: Any = None) -> None:
    """Honest clients are served at their usual time, and nobody stalls for longer than he may."""
    alone = [seconds for seconds, status in honest(service, 1.0) if status == 200]
    usual = 3 * statistics.median(alone) + 0.5

    def served(seconds: float) -> bool:
        seen = honest(service, seconds)
        return {status for _, status in seen} == {200} and statistics.median(
            took for took, _ in seen
        ) < usual

    with stalled(service, kind, MANY, tls) as them:
        began = time.monotonic()
        assert kind == "a slow reader" or them.left >= MANY - 20
        # Slow readers are served first, and until somebody stalls who comes is told to come again.
        while not served(1.5):
            assert time.monotonic() - began < SETTLED_SECONDS
        began = time.monotonic()
        longest = RATE_SECONDS if "dripping body" in kind else 3.0
        while them.left and kind != "idle":
            assert time.monotonic() - began < 10 + longest + SLACK_SECONDS
            time.sleep(0.1)
        if kind not in ("idle", "a slow reader"):
            assert max(them.lifetimes) < longest + SLACK_SECONDS
    answers = [answer for answer in them.answers if answer]
    if kind in ("half a head", "half a body", "a dripping head", "a dripping body"):
        assert len(answers) > MANY / 2
        for answer in answers:
            assert answer.startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 503 "))
            assert b"\r\nconnection: close\r\n" in answer
            assert b"\r\ncontent-type: application/problem+json\r\n" in answer


@pytest.mark.parametrize("kind", KINDS)
def test_many_that_stall_hold_up_nobody(plain: Running, kind: str) -> None:
    """They have all the places that there are, and have to leave them."""
    check(plain, kind)


@pytest.mark.parametrize("kind", ["silent", "half a head", "a dripping body"])
def test_many_that_stall_hold_up_nobody_with_tls(
    secured: Running, authority: Authority, kind: str
) -> None:
    """The silent ones do not even begin the handshake."""
    check(secured, kind, authority.trusted())


def opened(service: Running, count: int, first: bytes) -> list[socket.socket]:
    """That many connections, each of which has sent something."""
    found = []
    for _ in range(count):
        found.append(socket.create_connection(service.address(), timeout=10))
        found[-1].sendall(first)
    return found


def received(connection: socket.socket) -> bytes:
    """All that comes until the connection ends."""
    found = b""
    while part := connection.recv(65_536):
        found += part
    return found


BUSY = (  # each for as long as the store of audit records takes, and longer than a moment
    b"POST /crypto/encrypt/stream HTTP/1.1\r\nHost: a\r\nX-API-Key: %b\r\n"
    b"Content-Type: application/octet-stream\r\nContent-Length: 100000000\r\n\r\n"
)


def test_one_too_many_is_told_so_at_once(tmp_path: Path) -> None:
    """Where nobody stalls: 503, when to come again, and the end of the connection."""
    service = begun(tmp_path, {"max_connections": 3})
    connections: list[socket.socket] = []
    try:
        service.until_taken(0)  # until those who asked whether it serves have gone
        deadline = time.monotonic() + 30.0
        busy = BUSY % service.api_key.encode() + bytes(65_536)
        while len(connections) < 3:  # whoever asked whether it serves may still be counted
            assert time.monotonic() < deadline
            (each,) = opened(service, 1, busy)
            if each.recv(12) == b"HTTP/1.1 200":
                connections.append(each)
            else:
                each.close()
        for each in connections:  # they move, or the first of them would make room
            each.sendall(bytes(65_536))
        began = time.monotonic()
        with socket.create_connection(service.address(), timeout=10) as late:
            late.sendall(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = received(late)
        assert time.monotonic() - began < 5.0
        assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert b"\r\nretry-after: 1\r\n" in answer
        assert b"\r\nconnection: close\r\n" in answer
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["type"] == "/problems/overloaded"
    finally:
        for each in connections:
            each.close()
        service.kill()


def test_an_address_has_no_more_connections_than_it_may(tmp_path: Path) -> None:
    """But for a trusted proxy, behind which many are."""
    settings = {"max_connections_per_address": 2, "trusted_proxies": ["127.0.0.3"]}
    service = begun(tmp_path, settings)
    try:
        for source, served in (("127.0.0.1", 2), ("127.0.0.2", 2), ("127.0.0.3", 5)):
            held = []
            for _ in range(5):
                each = socket.create_connection(
                    service.address(), timeout=10, source_address=(source, 0)
                )
                each.sendall(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n")
                held.append((each, each.recv(12)))
            statuses = [status for _, status in held]
            assert statuses.count(b"HTTP/1.1 200") == served
            assert statuses.count(b"HTTP/1.1 503") == 5 - served
            for each, _ in held:
                each.close()
    finally:
        service.kill()


def test_a_client_that_moves_slowly_but_moves_is_served(tmp_path: Path) -> None:
    """Above the least rate, for as long as it takes."""
    service = begun(tmp_path, {"gap_seconds": 1, "min_bytes_per_second": 100})
    try:
        body = json.dumps({"data": "A" * 3000}).encode()
        head = (
            b"POST /crypto/encrypt HTTP/1.1\r\nHost: a\r\nX-API-Key: %b\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        ) % (service.api_key.encode(), len(body))
        with socket.create_connection(service.address(), timeout=10) as slow:
            slow.sendall(head)
            for place in range(0, len(body), 100):
                slow.sendall(body[place : place + 100])
                time.sleep(0.4)
            assert received(slow).startswith(b"HTTP/1.1 200 ")
    finally:
        service.kill()


def waiting(service: Running) -> Callable[[bytes], float]:
    """How long the service waits for more than that."""

    def wait(first: bytes) -> float:
        began = time.monotonic()
        with socket.create_connection(service.address(), timeout=20) as connection:
            connection.sendall(first)
            received(connection)
        return time.monotonic() - began

    return wait


def test_each_deadline_is_a_setting(tmp_path: Path) -> None:
    """For the first byte and a head, for a gap in a body, for the next request."""
    service = begun(tmp_path, {"header_seconds": 1, "gap_seconds": 2, "idle_seconds": 4})
    try:
        wait = waiting(service)
        live = b"GET /health/live HTTP/1.1\r\nHost: a\r\n"
        body = BUSY % service.api_key.encode()
        for first, seconds in ((b"", 1), (live, 1), (body, 2), (live + b"\r\n", 4)):
            assert seconds <= wait(first) < seconds + 10
    finally:
        service.kill()
