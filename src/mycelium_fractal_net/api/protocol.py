"""What `mfn serve` adds to uvicorn's HTTP/1.1 protocol: a whole answer in one write.

ASGI sends head and body apart, which is two system calls and a walk over every header. A route
that has all of its answer finds an :class:`Exchange` in the scope and uses that; under another
server there is none, and it sends as ASGI says.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from starlette.types import Scope
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

__all__ = ["EXTENSION", "Exchange", "Protocol", "exchange_of"]

EXTENSION: Final = "mycelium_fractal_net.exchange"

_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


class Exchange:
    """One request and its answer, on the connection that they are on."""

    __slots__ = ("_cycle",)
    _default_headers: list[tuple[bytes, bytes]] = []  # noqa: RUF012
    _default_block = b""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    def whole_body(self) -> bytes | None:
        """The body, where all of it is there already; else it comes from ``receive``."""
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
        close = b"" if cycle.keep_alive else b"connection: close\r\n"
        cycle.response_started = cycle.response_complete = True
        cycle.transport.write(
            b"%b%b%b%b\r\n%b" % (_STATUS_LINES[status], self._defaults(), block, close, body)
        )
        cycle.message_event.set()
        # The scope holds this, which holds the cycle, which holds the scope: what is done with is
        # let go at once, and waits for no garbage collection.
        cycle.scope.pop("extensions", None)
        if not cycle.keep_alive:
            cycle.transport.close()
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


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol with an :class:`Exchange` in the scope of each request."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.scope["extensions"] = {EXTENSION: Exchange(cycle)}  # type: ignore[dict-item]
        super()._start_asgi_task(cycle, app)


def exchange_of(scope: Scope) -> Exchange | None:
    """The exchange of a request, where the server offers one."""
    extensions = scope.get("extensions")
    found: Exchange | None = extensions.get(EXTENSION) if extensions else None
    return found
