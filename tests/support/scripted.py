"""A server on loopback that answers each request with the bytes that a test wrote for it.

It knows no protocol beyond where a request ends: what it says may be cut, late, or no HTTP at all.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Sequence

    Script = bytes | tuple[float, bytes] | None


def answer(status: int, document: object = None, *headers: str) -> bytes:
    """A whole answer with that JSON body."""
    body = b"" if document is None else json.dumps(document).encode()
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Scripted:
    """``requests`` are those that came, ``connections`` how many there were."""

    def __init__(self, script: Sequence[Script], context: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._script = list(script)
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._open: list[Any] = []
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def address(self) -> str:
        return f"{'http' if self._context is None else 'https'}://127.0.0.1:{self.port}"

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self.connections += 1
                threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: Any) -> None:
        with contextlib.suppress(OSError):
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
            self._open.append(connection)
            while request := read_request(connection):
                self.requests.append(request)
                said = self._script.pop(0) if len(self._script) > 1 else self._script[0]
                if said is None:  # silent
                    continue
                seconds, text = said if isinstance(said, tuple) else (0.0, said)
                if seconds:
                    for each in text:
                        connection.sendall(bytes([each]))
                        time.sleep(seconds)
                else:
                    connection.sendall(text)
                if b"Connection: close" in text:
                    break
        with contextlib.suppress(OSError):
            connection.close()

    def hang_up(self) -> None:
        """Close the connections that there are."""
        while self._open:
            with contextlib.suppress(OSError):
                self._open.pop().shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Be gone."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.hang_up()


def read_request(connection: socket.socket) -> bytes:
    """One request whole, head and body; none where the other side has hung up.

    To close a connection before all was read resets it, and the answer may be lost on its way.
    """
    text = b""
    while b"\r\n\r\n" not in text:
        more = connection.recv(65536)
        if not more:
            return b""
        text += more
    head, _, body = text.partition(b"\r\n\r\n")
    size = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            size = int(line.split(b":")[1])
    while len(body) < size:
        if not (more := connection.recv(65536)):
            return b""
        body += more
    return head + b"\r\n\r\n" + body


@contextlib.contextmanager
def scripted(*script: Script, context: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    """One that says these things in turn, and the last for ever."""
    server = Scripted(script, context)
    try:
        yield server
    finally:
        server.close()
