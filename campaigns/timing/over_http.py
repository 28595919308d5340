"""Samples of requests to the real service, over one connection that stays open."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

from tests.support.service import start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from campaigns.timing.group import Group
    from campaigns.timing.measuring import Sampler
    from campaigns.timing.place import Place

_ROOT: Final = Path(__file__).parents[2]
_RECEIVE_BYTES: Final = 65_536


@dataclass(frozen=True)
class Request:
    """A request, and the status that it must be answered with."""

    path: str
    headers: Sequence[tuple[str, bytes]]
    body: bytes
    status: int

    def raw(self, host: str, delay: int) -> bytes:
        """Its bytes, as many for every delay."""
        head = [
            b"POST %b HTTP/1.1" % self.path.encode(),
            b"host: %b" % host.encode(),
            b"content-type: application/json",
            b"content-length: %d" % len(self.body),
            b"x-added-delay: %09d" % delay,
            *(b"%b: %b" % (name.encode(), value) for name, value in self.headers),
        ]
        return b"\r\n".join([*head, b"", self.body])


def request(api_key: bytes, path: str, body: Mapping[str, Any], status: int) -> Request:
    """A request with a JSON body by whoever has that API key."""
    return Request(path, [("x-api-key", api_key)], json.dumps(body).encode(), status)


class WrongAnswerError(Exception):
    """The service said something else than what was to be timed."""


class _Connection:
    """Keep-alive; what the service ends is opened again."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.host = "{}:{}".format(*address)
        self._open()

    def _open(self) -> None:
        self._socket = socket.create_connection(self.address, 30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        self._socket.close()

    def timed(self, raw: bytes, status: int) -> int:
        """Nanoseconds from the first byte sent to the first bytes of the answer."""
        receive = self._socket.recv
        began = perf_counter_ns()
        self._socket.sendall(raw)
        data = receive(_RECEIVE_BYTES)
        took = perf_counter_ns() - began
        while not _is_whole(data):
            more = receive(_RECEIVE_BYTES)
            if not more:
                raise WrongAnswerError("the connection was closed")
            data += more
        if not data.startswith(b"HTTP/1.1 %d " % status):
            raise WrongAnswerError(data[:2000].decode("latin-1"))
        if b"connection: close" in data.lower():
            self.close()
            self._open()
        return took


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    lower = head.lower()
    at = lower.find(b"content-length:")
    length = int(lower[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    return len(body) >= length


@contextmanager
def served(place: Place, config: Path) -> Iterator[tuple[str, Sampler]]:
    """One worker over the store of ``place``: its authority, and what samples requests to it."""
    running = start(
        place.home,
        module="campaigns.timing.served",
        stderr=subprocess.DEVNULL,  # what is refused is told there
        env={"MFN_CONFIG": str(config.resolve()), "PYTHONPATH": f"{_ROOT / 'src'}:{_ROOT}"},
    )
    try:
        connection = _Connection(running.address())
        yield connection.host, _sampler(connection)
        connection.close()
    finally:
        running.stop()


def _sampler(connection: _Connection) -> Callable[[Group, Sequence[str]], list[int]]:
    def sample(group: Group, plan: Sequence[str]) -> list[int]:
        made = [(group.make(name), group.delay(name)) for name in plan]
        work = [(each.raw(connection.host, delay), each.status) for each, delay in made]
        return [connection.timed(*each) for each in work]

    return sample
