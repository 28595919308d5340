"""A front and a service that disagree, so that it is seen that a disagreement is found.

The front believes Content-Length, the service believes Transfer-Encoding; one connection between
them serves everybody: the CL.TE of 2005. Neither is more than this needs.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from campaigns.misuse.places import Entry
from campaigns.misuse.wire import CLIENT, Door

if TYPE_CHECKING:
    from io import BufferedReader

_BODY: Final = b'{"status":"ok"}'


@contextlib.contextmanager
def naive() -> Iterator[tuple[Door, dict[str, Entry]]]:
    """The door to the front, and the log of the service behind it."""
    log: dict[str, Entry] = {}
    with contextlib.ExitStack() as here:
        service = here.enter_context(socket.create_server(("127.0.0.1", 0)))
        front = here.enter_context(socket.create_server(("127.0.0.1", 0)))
        between = here.enter_context(socket.create_connection(service.getsockname()))
        served, _ = service.accept()
        here.enter_context(served)
        threading.Thread(target=_serve, args=(served, log), daemon=True).start()
        threading.Thread(target=_pass_on, args=(front, between), daemon=True).start()
        try:
            yield Door(front.getsockname()), log
        finally:
            for each in (between, served, front):
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


def _head(file: BufferedReader) -> tuple[bytes, Mapping[bytes, bytes]]:
    lines = []
    while (line := file.readline()) not in (b"", b"\r\n"):
        lines.append(line)
    headers = (line.split(b":", 1) for line in lines[1:])
    return b"".join([*lines, b"\r\n"]), {name.lower(): value.strip() for name, value in headers}


def _serve(connection: socket.socket, log: dict[str, Entry]) -> None:
    with contextlib.suppress(OSError, ValueError, IndexError), connection.makefile("rb") as file:
        while True:
            raw, headers = _head(file)
            if b"transfer-encoding" in headers:
                while int(file.readline(), 16):
                    raise ValueError("no chunk with data is needed here")
                file.readline()
            elif b"content-length" in headers:
                file.read(int(headers[b"content-length"]))
            name = uuid.uuid4().hex
            path = raw.split()[1].decode()
            log[name] = Entry(name, path, 200, CLIENT, raw.split()[0].decode())
            body = _BODY if path == "/health/live" else json.dumps({"path": path}).encode()
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nx-request-id: %b\r\ncontent-length: %d\r\n\r\n%b"
                % (name.encode(), len(body), body)
            )


def _pass_on(front: socket.socket, between: socket.socket) -> None:
    answers = between.makefile("rb")
    turns = threading.Lock()
    with contextlib.suppress(OSError):
        while True:
            client, _ = front.accept()
            threading.Thread(
                target=_one, args=(client, between, answers, turns), daemon=True
            ).start()


def _one(
    client: socket.socket, between: socket.socket, answers: BufferedReader, turns: threading.Lock
) -> None:
    with contextlib.suppress(OSError, ValueError), client, client.makefile("rb") as file:
        while True:
            raw, headers = _head(file)
            if raw == b"\r\n":
                return
            body = file.read(int(headers.get(b"content-length", b"0")))
            with turns:  # one request for one answer, as it thinks
                between.sendall(raw + body)
                head, answered = _head(answers)
                client.sendall(head + answers.read(int(answered[b"content-length"])))
