"""A request and its answer in one write, where our own server is below.

ASGI sends head and body apart, which is two system calls and a walk over every header. A route
that has all of its answer finds an :class:`Exchange` in the scope and uses that; under another
server there is none, and it sends as ASGI says.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol

from mycelium_fractal_net.security.signed_requests.asgi import EXCHANGE

if TYPE_CHECKING:
    from starlette.types import Scope
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


class _Connection(Protocol):
    def disconnect(self, *, lingering: bool = False) -> None:
        """Close once all is sent."""

    def let_body_pass(self) -> None:
        """Count no more what is read of the body: nobody keeps it."""


class Exchange:
    """One request and its answer, on the connection that they are on."""

    __slots__ = ("_body", "_connection", "_cycle", "status")
    _default_headers: list[tuple[bytes, bytes]] = []  # noqa: RUF012
    _default_block = b""

    def __init__(self, cycle: RequestResponseCycle, connection: _Connection) -> None:
        self._cycle = cycle
        self._connection = connection
        self._body: bytes | None = None
        self.status: int | None = None  # of the answer, once it is sent

    def let_body_pass(self) -> None:
        """Say that the body is worked on as it comes, and takes no memory."""
        self._connection.let_body_pass()

    def keep_body(self, content: bytes) -> None:
        """Have all of the body, which somebody received, for whoever asks next."""
        self._body = content

    def whole_body(self) -> bytes | None:
        """The body, where all of it is there already; else it comes from ``receive``."""
        if self._body is not None:
            return self._body
        cycle = self._cycle
        if cycle.more_body or cycle.waiting_for_100_continue or cycle.disconnected:
            return None
        return bytes(cycle.body)

    def respond(self, status: int, block: bytes, body: bytes) -> bool:
        """Send the whole answer; False where the client has first to read what is on its way.

        ``block`` is the header lines, Content-Length among them.
        """
        cycle = self._cycle
        if cycle.disconnected:
            return True
        if cycle.flow.write_paused:
            return False
        if cycle.more_body:  # what is left of it would have to be told from the next request
            cycle.keep_alive = False
        close = b"" if cycle.keep_alive else b"connection: close\r\n"
        cycle.response_started = cycle.response_complete = True
        self.status = status
        cycle.transport.write(
            b"%b%b%b%b\r\n%b" % (STATUS_LINES[status], self._defaults(), block, close, body)
        )
        cycle.message_event.set()
        # The scope holds this, which holds the cycle, which holds the scope: what is done with is
        # let go at once, and waits for no garbage collection. The connection keeps the cycle.
        cycle.scope.pop("extensions", None)
        cycle.body = bytearray()
        if not cycle.keep_alive:
            self._connection.disconnect(lingering=cycle.more_body)
        cycle.on_response()
        return True

    def _defaults(self) -> bytes:
        """The headers of every answer, such as Date, which the server renews each second."""
        headers = self._cycle.default_headers
        if headers is not Exchange._default_headers:
            lines = (b"%b: %b\r\n" % header for header in headers)
            Exchange._default_block = b"".join(lines)
            Exchange._default_headers = headers
        return Exchange._default_block


def exchange_of(scope: Scope) -> Exchange | None:
    """The exchange of a request, where the server offers one."""
    extensions = scope.get("extensions")
    found: Exchange | None = extensions.get(EXCHANGE) if extensions else None
    return found
