"""The load: one request, again and again, over connections that stay open."""

from __future__ import annotations

import socket
import statistics
import threading
import time
from dataclasses import dataclass

from tests.support.service import Running

_PART = 65_536


class LoadFailedError(Exception):
    """An answer that is not a good one: no figure of such a run is kept."""


@dataclass(frozen=True)
class Seen:
    """What clients saw: answers, seconds in all, and the latencies of each in seconds."""

    requests: int
    seconds: float
    latencies: list[float]

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.latencies, n=100)[98]


def request(running: Running, path: str, body: str) -> bytes:
    host, port = running.address()
    return (
        f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nX-API-Key: {running.api_key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def load(running: Running, sent: bytes, *, connections: int, requests: int) -> Seen:
    """Send as many requests over as many connections, each when the one before was answered."""
    latencies: list[list[float]] = [[] for _ in range(connections)]
    failures: list[BaseException] = []
    left = iter(range(requests))
    lock = threading.Lock()

    def client(own: list[float]) -> None:
        try:
            with socket.create_connection(running.address()) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while True:
                    with lock:
                        if next(left, None) is None or failures:
                            return
                    started = time.perf_counter()
                    connection.sendall(sent)
                    _answered(connection)
                    own.append(time.perf_counter() - started)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=client, args=(own,)) for own in latencies]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    if failures:
        raise failures[0]
    return Seen(requests, seconds, [each for own in latencies for each in own])


def _answered(connection: socket.socket) -> None:
    read = connection.recv(_PART)
    while b"\r\n\r\n" not in read:
        read += _more(connection)
    head, _, body = read.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise LoadFailedError(read[:300].decode(errors="replace"))
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += _more(connection)


def _more(connection: socket.socket) -> bytes:
    part = connection.recv(_PART)
    if not part:
        raise LoadFailedError("the service hung up")
    return part
