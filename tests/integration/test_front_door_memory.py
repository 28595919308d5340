"""What all requests together hold in memory has a bound, and small ones go on beyond it."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.test_front_door_stalled import begun
from tests.support.service import Running, b64

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.long

MIB = 1 << 20
BUDGET = 16 * MIB
PEAK = 64 * MIB  # four times the budget; 30 bodies of 7 MiB are 210
BODY = 7 * MIB


@pytest.fixture
def bounded(tmp_path: Path) -> Iterator[Running]:
    """A service that holds 16 MiB, and waits long for those who are slow."""
    limits = {"max_buffered_bytes": BUDGET, "gap_seconds": 60, "min_bytes_per_second": 0}
    service = begun(tmp_path, limits)
    yield service
    service.kill()


def peak(service: Running) -> int:
    """The most memory that it ever had, in bytes."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def head(service: Running, length: int) -> bytes:
    return (
        b"POST /crypto/encrypt HTTP/1.1\r\nHost: a\r\nX-API-Key: %b\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    ) % (service.api_key.encode(), length)


def test_bodies_that_come_slowly_are_bounded_together(bounded: Running) -> None:
    """Thirty of 7 MiB that lack their end: the service stays small, and serves who moves."""
    before = peak(bounded)
    part = b'{"data": "' + b"A" * BODY
    refused = 0
    with contextlib.ExitStack() as stack, bounded.client() as client:
        for _ in range(30):
            slow = stack.enter_context(socket.create_connection(bounded.address(), timeout=10))
            with contextlib.suppress(ConnectionError):
                slow.sendall(head(bounded, len(part) + 100) + part)
            slow.settimeout(0.01)
            with contextlib.suppress(TimeoutError, ConnectionError):
                answer = slow.recv(4096)
                assert answer.startswith(b"HTTP/1.1 503 ")
                assert b"\r\nretry-after: 1\r\n" in answer
                refused += 1
            small = client.post("/crypto/encrypt", json={"data": b64(b"hello")})
            assert small.status_code == 200
        assert refused
        time.sleep(1.0)  # by now they stall, and somebody who moves takes their place
        large = client.post("/crypto/encrypt", json={"data": b64(bytes(5 * MIB))})
        assert large.status_code == 200
    assert peak(bounded) - before < PEAK


def test_answers_that_nobody_reads_count_too(bounded: Running) -> None:
    """Thirty of 7 MiB, all of them due: what is not read is not kept without end."""
    before = peak(bounded)
    body = json.dumps({"data": b64(bytes(5 * MIB))}).encode()
    with contextlib.ExitStack() as stack, bounded.client() as client:
        for _ in range(30):
            slow = stack.enter_context(socket.socket())
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.settimeout(10)
            slow.connect(bounded.address())
            with contextlib.suppress(ConnectionError):
                slow.sendall(head(bounded, len(body)) + body)
            small = client.post("/crypto/encrypt", json={"data": b64(b"hello")})
            assert small.status_code == 200
        time.sleep(1.0)
        assert (
            client.post(
                "/crypto/encrypt", content=body, headers={"Content-Type": "application/json"}
            ).status_code
            == 200
        )
    assert peak(bounded) - before < 2 * PEAK  # each is worked on in several copies, one at a time
