"""A client that sends bytes as they are, and takes apart what comes back."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

CLIENT: Final = "127.0.0.2"  # so that a proxy and its client have two addresses
_PAUSE_SECONDS: Final = 0.05  # between parts
_QUIET_SECONDS: Final = 0.08  # after an answer, until no other one is waited for
NO_ANSWER_SECONDS: Final = 0.4


class Answer(NamedTuple):
    """A final answer: its status, the request id that the service gave it, and its body."""

    status: int
    request_id: str | None
    body: bytes


@dataclass
class Spoken:
    """What came back on a connection; ``rest`` is what is no whole answer."""

    answers: list[Answer] = field(default_factory=list)
    closed: bool = False
    rest: bytes = b""
    heads: bytes = b""


@dataclass(frozen=True)
class Door:
    """Where a client connects to: an address, and what it trusts, None without TLS."""

    address: tuple[str, int]
    trusted: ssl.SSLContext | None = None
    host: str = "keys.example"

    def connect(self, protocols: Sequence[str] = ("http/1.1",)) -> socket.socket:
        """A connection from the client's address."""
        plain = socket.create_connection(self.address, timeout=10, source_address=(CLIENT, 0))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.trusted is None:
            return plain
        self.trusted.set_alpn_protocols(list(protocols))
        return self.trusted.wrap_socket(plain, server_hostname=self.host)


def received(connection: socket.socket, seconds: float) -> bytes | None:
    """What comes within that time; None where nothing does, empty at the end."""
    connection.settimeout(seconds)
    try:
        return connection.recv(65_536)
    except TimeoutError:
        return None
    except OSError:  # reset, or TLS that ended without saying so
        return b""


def speak(
    connection: socket.socket,
    parts: Sequence[bytes],
    *,
    of_head: bool = False,
    most: int = 1_000,
    patience: float = NO_ANSWER_SECONDS,
) -> Spoken:
    """Send the parts with pauses between them, and read until it is quiet or closed.

    ``of_head`` says that the first answer is one to a HEAD, and has no body; with ``most`` answers
    nothing more is waited for; without one ``patience`` is how many seconds it may be quiet.
    """
    found = Spoken()
    for number, part in enumerate(parts):
        if number:
            time.sleep(_PAUSE_SECONDS)
        with contextlib.suppress(OSError):  # refused by now; what was answered is read
            connection.sendall(part)
    while True:
        quiet = _QUIET_SECONDS if found.answers and not found.rest else patience
        more = received(connection, quiet)
        if not more:
            found.closed = more is not None
            return found
        found.rest += more
        while (taken := _answer(found.rest, of_head and not found.answers)) is not None:
            answer, size = taken
            if answer is not None:
                found.answers.append(answer)
            found.heads += found.rest.partition(b"\r\n\r\n")[0] + b"\r\n"
            found.rest = found.rest[size:]
        if len(found.answers) >= most:
            return found


def _answer(raw: bytes, of_head: bool) -> tuple[Answer | None, int] | None:
    """The first answer (None for an interim one) and its size; None where it is not whole."""
    head, end, rest = raw.partition(b"\r\n\r\n")
    if not end or not head.startswith(b"HTTP/1."):
        return None
    line, *lines = head.split(b"\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (one.partition(b":") for one in lines)
    }
    status, begins = int(line.split()[1]), len(head) + 4
    if 100 <= status < 200:
        return None, begins
    request_id = headers.get(b"x-request-id")
    size = 0
    body = b""
    if not of_head and status not in (204, 304):
        if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
            chunks = _unchunked(rest)
            if chunks is None:
                return None
            body, size = chunks
        else:
            size = int(headers.get(b"content-length", b"0"))
            if len(rest) < size:
                return None
            body = rest[:size]
    return Answer(status, None if request_id is None else request_id.decode(), body), begins + size


def _unchunked(raw: bytes) -> tuple[bytes, int] | None:
    body, place = b"", 0
    while True:
        ends = raw.find(b"\r\n", place)
        if ends < 0:
            return None
        size = int(raw[place:ends].partition(b";")[0], 16)
        begins, place = ends + 2, ends + 4 + size
        if len(raw) < place:
            return None
        if size == 0:
            return body, place
        body += raw[begins : begins + size]
