"""A proxy on loopback between a custodian and its server, which does what a test says.

It speaks HTTP/1.1 on both sides, and TLS to the client where it is given a context for that. What
it does to a request is what its mode is when the request has come::

    with FaultProxy(server_url) as proxy:
        proxy.mode = status(503)
        proxy.mode = TRICKLE
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

_SWAP_SECONDS: Final = 0.2  # for which an answer waits for another to be swapped with
_LONGEST_HEAD: Final = 65_536


@dataclass(frozen=True)
class Mode:
    """What is done to an answer; ``kind`` says what, and the rest how."""

    kind: str
    seconds: float = 0.0
    status: int = 0
    body: bytes = b""


PASS: Final = Mode("pass")
REFUSE: Final = Mode("refuse")
"""Nobody listens, and every open connection is cut."""
RESET: Final = Mode("reset")
"""RST in the middle of the answer."""
TRUNCATE: Final = Mode("truncate")
"""The connection ends well, in the middle of the answer."""
TRICKLE: Final = Mode("trickle", seconds=1.0)
"""A byte a second."""
NONSENSE: Final = Mode("nonsense")
"""Bytes that are no HTTP."""
SWAP: Final = Mode("swap")
"""Two requests that come at once get each other's answers."""


def delay(seconds: float) -> Mode:
    """The answer comes whole, and late."""
    return Mode("delay", seconds=seconds)


def status(code: int, body: bytes | Mapping[str, object] = b"{}") -> Mode:
    """That answer, and the server is not asked."""
    return Mode("status", status=code, body=body if isinstance(body, bytes) else _json(body))


def garbage(body: bytes) -> Mode:
    """200 with that body, whatever was asked."""
    return Mode("status", status=200, body=body)


def _json(body: Mapping[str, object]) -> bytes:
    return json.dumps(body).encode()


class _Request(NamedTuple):
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class FaultProxy:
    """In front of ``target``, such as ``http://127.0.0.1:8200``. ``requests`` counts what came."""

    def __init__(
        self,
        target: str,
        tls: ssl.SSLContext | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        """``tls`` is what it shows to clients, and may be changed; ``trust`` is for its target."""
        parts = urlsplit(target)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._trust = trust
        self._scheme = "http" if tls is None else "https"
        self.tls = tls
        self.requests = 0
        self._mode = PASS
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._waiting: tuple[threading.Event, list[bytes]] | None = None
        self._closing = threading.Event()
        self._listener: socket.socket | None = None
        self.port = 0
        self._listen()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    @property
    def mode(self) -> Mode:
        """What is done to requests; to set it cuts every connection that is open."""
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._mode = mode
        if mode is REFUSE:
            self._refuse()
        elif self._listener is None:
            self._listen()
        self.cut()

    def cut(self) -> None:
        """End every connection, as a server does that is started anew."""
        with self._lock:
            found = list(self._open)
        for each in found:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Listen no more."""
        self._closing.set()
        self._refuse()
        self.cut()

    def __enter__(self) -> FaultProxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def _listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(128)
        self._listener, self.port = listener, listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _refuse(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # ends accept
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    # One connection -----------------------------------------------------------------------

    def _serve(self, client: socket.socket) -> None:
        wrapped, handle = client, client.dup()  # TLS takes the other over
        with self._lock:
            self._open.add(handle)
        try:
            with contextlib.suppress(OSError, http.client.HTTPException):
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self.tls is not None:
                    wrapped = self.tls.wrap_socket(client, server_side=True)
                with wrapped.makefile("rb") as reader:
                    while (request := _read(reader)) is not None and self._answer(wrapped, request):
                        pass
        finally:
            with self._lock:
                self._open.discard(handle)
            handle.close()
            with contextlib.suppress(OSError):
                wrapped.close()

    def _answer(self, client: socket.socket, request: _Request) -> bool:
        """Answer in some way; whether the connection goes on."""
        with self._lock:
            self.requests += 1
        mode = self._mode
        if mode.kind == "status":
            client.sendall(_response(mode.status, {"Content-Type": "application/json"}, mode.body))
            return True
        answer = b"\x00\xff" * 300 if mode.kind == "nonsense" else self._fetch(request)
        if mode.kind == "swap":
            answer = self._swapped(answer)
        if mode.kind == "delay":
            self._closing.wait(mode.seconds)
        if mode.kind == "trickle":
            for place in range(len(answer)):
                client.sendall(answer[place : place + 1])
                self._closing.wait(mode.seconds)
            return True
        if mode.kind in {"reset", "truncate"}:
            client.sendall(answer[: len(answer) - 20])
            if mode.kind == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        client.sendall(answer)
        return mode.kind != "nonsense"

    def _fetch(self, request: _Request) -> bytes:
        connection = (
            http.client.HTTPConnection(self._host, self._port, timeout=30)
            if self._trust is None
            else http.client.HTTPSConnection(
                self._host, self._port, timeout=30, context=self._trust
            )
        )
        with contextlib.closing(connection):
            connection.request(request.method, request.target, request.body, request.headers)
            answer = connection.getresponse()
            return _response(answer.status, dict(answer.getheaders()), answer.read())

    def _swapped(self, answer: bytes) -> bytes:
        with self._lock:
            other, self._waiting = self._waiting, None
            if other is None:
                mine = self._waiting = (threading.Event(), [answer])
        if other is not None:
            event, held = other
            held.append(answer)
            event.set()
            return held[0]
        if not mine[0].wait(_SWAP_SECONDS):
            with self._lock:
                if self._waiting is mine:
                    self._waiting = None
            mine[0].wait(0.01)  # another may have come this very moment
        return mine[1][-1]


def _read(reader: BinaryIO) -> _Request | None:
    """The next request; none where the client has gone."""
    first = reader.readline(_LONGEST_HEAD).decode("latin-1").split()
    if len(first) != 3:
        return None
    headers: dict[str, str] = {}
    while line := reader.readline(_LONGEST_HEAD).decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.strip()] = value.strip()
    length = next((int(v) for n, v in headers.items() if n.lower() == "content-length"), 0)
    hop = {"connection", "content-length", "expect", "transfer-encoding"}
    kept = {name: value for name, value in headers.items() if name.lower() not in hop}
    return _Request(first[0], first[1], kept, reader.read(length) or b"")


def _response(code: int, headers: Mapping[str, str], body: bytes) -> bytes:
    hop = {"connection", "content-length", "transfer-encoding", "keep-alive"}
    lines = [f"HTTP/1.1 {code} {http.client.responses.get(code, 'Other')}"]
    lines += [f"{name}: {value}" for name, value in headers.items() if name.lower() not in hop]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + body
