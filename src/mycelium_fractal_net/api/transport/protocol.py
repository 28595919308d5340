"""What `mfn serve` adds to uvicorn's HTTP/1.1 protocol: strictness, bounds, an exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from httptools import HttpParserError, HttpParserUpgrade
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mycelium_fractal_net.api.http.exchange import Exchange
from mycelium_fractal_net.api.http.responses import closing_problem, refuse
from mycelium_fractal_net.api.transport.heads import (
    WATCHED,
    Framing,
    ReadBounds,
    RefusedError,
    check_line,
    check_sizes,
)
from mycelium_fractal_net.api.transport.limits import (
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    MAX_PIPELINED,
    UNCOUNTED_BYTES,
)
from mycelium_fractal_net.api.transport.tcp import acknowledged_bytes, reset
from mycelium_fractal_net.api.transport.timeouts import Wait
from mycelium_fractal_net.security.signed_requests.asgi import EXCHANGE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from mycelium_fractal_net.api.transport.connections import Connections, Slot
    from mycelium_fractal_net.api.transport.request_queue import Place, RequestQueue

_ALWAYS: Final = frozenset({b"/health/live", b"/health/ready", b"/metrics"})
"""What is answered however long it waited: who watches the service must not take it for dead."""


def _nothing() -> None: ...


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol, held to our bounds, with an :class:`Exchange` for each request.

    A request is given to the application once all that was read with it has been found right.
    A head is being read while ``headers`` is a list: what comes after it is a trailer.
    """

    headers: list[tuple[bytes, bytes]] | None  # type: ignore[assignment]
    cycle: RequestResponseCycle | None  # type: ignore[assignment]

    def __init__(
        self,
        connections: Connections,
        slot: Slot,
        note_refusal: Callable[[str], None],
        queue: RequestQueue | None = None,
        note_overload: Callable[[], None] = _nothing,
        **uvicorn: Any,
    ) -> None:
        super().__init__(**uvicorn)
        self._connections = connections
        self._slot = slot
        self._note_refusal = note_refusal
        self._queue = queue
        self._place: Place = 0
        self._note_overload = note_overload
        self._framing = Framing()
        self._read = ReadBounds()
        self._next: tuple[RequestResponseCycle, Any] | None = None
        self._running: RequestResponseCycle | None = None
        self._is_closed = False  # to what the client sends
        self._refusal: bytes | None = None  # which waits for the answers before it
        self._held_body = self._held_answer = 0  # bytes that are counted
        self._passes = False  # the body goes on as it comes, and is not kept

    # The connection ---------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """Take over from whoever accepted it."""
        super().connection_made(transport)
        self._slot.peer = self
        if not self._connections.has(self._slot):  # which somebody else was given meanwhile
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the slot back."""
        self._connections.leave(self._slot)
        super().connection_lost(exc)
        self.pipeline.clear()
        running = self._running
        if running is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()

    def waits_for(self) -> tuple[Wait, object, int]:
        """What the server waits for, of which message, and how many bytes have moved so far."""
        if self.transport.get_write_buffer_size():
            return Wait.READER, None, acknowledged_bytes(self.transport)
        if self._is_closed and self._refusal is None:
            return Wait.LINGER, None, 0
        running, cycle = self._running, self.cycle
        if running is not None and not running.response_complete:
            if running is not cycle or not cycle.more_body:
                return Wait.NOTHING, None, 0
            if self.flow.read_paused or cycle.waiting_for_100_continue:
                return Wait.NOTHING, None, 0
            return Wait.BODY, cycle, self._read.received
        if self.headers is not None:
            return Wait.HEAD, self.scope, 0
        return (Wait.FIRST if cycle is None else Wait.IDLE), cycle, 0

    def give_up(self, wait: Wait) -> None:
        """End it, since what was waited for did not come in time."""
        if wait in (Wait.HEAD, Wait.BODY):
            self.refuse(RefusedError("too-slow", "the request did not come in time"))
        elif wait in (Wait.LINGER, Wait.READER):
            reset(self.transport)
        else:
            self.disconnect()

    def make_room(self, wait: Wait) -> None:
        """End it at once, since somebody else needs the slot."""
        if wait in (Wait.HEAD, Wait.BODY):
            self.refuse(RefusedError("overloaded", "others need the room of one that stalls"))
        if wait is Wait.READER:
            reset(self.transport)
        else:
            self.disconnect()

    def disconnect(self, *, lingering: bool = False) -> None:
        """Close once all is sent; ``lingering``, once the client had time to read it too.

        A socket that is closed with bytes that nobody read takes back what was sent. TLS waits
        for the other side by itself.
        """
        self._is_closed = True
        if lingering and self.scheme == "http" and not self.transport.is_closing():
            self.transport.write_eof()
            self.flow.resume_reading()
        else:
            self.transport.close()

    def refuse(self, error: RefusedError) -> None:
        """Answer with a problem and close, once what came before has been answered."""
        if self._is_closed:
            return
        self._is_closed = True
        self._note_refusal(error.kind.slug)
        cycle = self.cycle
        broken = cycle if self.headers is None and cycle is not None and cycle.more_body else None
        self.headers = None
        begun, self._next = self._next, None
        if begun is not None and begun[0] is not broken:
            self._begin(*begun)
        running = self._running
        self._refusal = closing_problem(error, self.server_state.default_headers)
        if broken is not None and broken is running:
            if broken.response_started:  # of which no more may come: that would be another answer
                self.transport.abort()
                return
            broken.disconnected = True
            broken.message_event.set()
        else:
            for each in [each for each in self.pipeline if each[0] is broken]:
                self.pipeline.remove(each)
            if running is not None and not running.response_complete:
                return
        self._send_refusal()

    def _send_refusal(self) -> None:
        if self._refusal is not None and not self.transport.is_closing():
            self.transport.write(self._refusal)
            self._refusal = None
            self.disconnect(lingering=True)

    # What the client sends --------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Parse it, and give what is right to the application."""
        if self._is_closed:
            return
        cycle, read = self.cycle, self._read
        in_head = self.headers is not None
        in_body = not in_head and cycle is not None and cycle.more_body
        try:
            read.take(data, in_head=in_head, in_body=in_body)
            self.parser.feed_data(data)
            if self.headers is not None:
                read.check_head(began_before=not in_body and cycle is self.cycle)
            elif in_body and cycle is self.cycle:
                read.check_chunking(len(data))
        except (HttpParserError, HttpParserUpgrade, RefusedError) as error:
            refused = error if isinstance(error, RefusedError) else error.__context__
            if not isinstance(refused, RefusedError):
                refused = RefusedError("bad-request", "this is not a request of HTTP/1.1")
            self.refuse(refused)
            return
        if self.headers is None:
            if self.cycle is not None and self.cycle.more_body:
                read.follow_chunks()
            read.forget()
        begun = self._next
        if begun is not None:
            self._next = None
            self._begin(*begun)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. Raises :class:`RefusedError`."""
        headers = self.headers
        if headers is None:
            raise RefusedError("bad-request", "trailers are not taken")
        name = name.lower()
        headers.append((name, value.strip(b" \t")))  # RFC 9110 section 5.5; framing is stricter
        if name in WATCHED:
            if name == b"expect":
                self.expect_100_continue = value.lower() == b"100-continue"
            else:
                self._framing.note(name, value)

    def on_headers_complete(self) -> None:
        """Take a request, if its head is right. Raises :class:`RefusedError`."""
        parser, headers = self.parser, self.headers or []
        read = self._read
        check_line(parser.get_method(), self.url, read)
        length = self._framing.finish(parser.get_http_version())
        if len(headers) > MAX_HEADERS or len(read.since_head) > MAX_HEADER_BYTES:
            check_sizes(self.url, headers)
        if len(self.pipeline) >= MAX_PIPELINED:
            raise RefusedError("overloaded", "there are too many requests of one connection")
        super().on_headers_complete()
        self.headers = None
        read.begin_body(length)

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body for whoever receives it. Raises :class:`RefusedError`."""
        read = self._read
        read.body_bytes += len(body)
        if read.body_bytes > UNCOUNTED_BYTES and not self._passes:
            count = min(len(body), read.body_bytes - UNCOUNTED_BYTES)
            if not self._connections.hold(self._slot, count):
                raise RefusedError("overloaded", "there is no room for a large body at this moment")
            self._held_body += count
        super().on_body(body)

    def let_body_pass(self) -> None:
        """The body that is being read is not kept: it goes on as it comes."""
        self._passes = True
        self._let_go_of_body()

    def _let_go_of_body(self) -> None:
        if self._held_body:
            self._connections.let_go(self._slot, self._held_body)
            self._held_body = 0

    def pause_writing(self) -> None:
        """Count what the client has not read of its answers; without room for it, end it."""
        super().pause_writing()
        waiting = self.transport.get_write_buffer_size()
        if self._connections.hold(self._slot, waiting):
            self._held_answer += waiting
        else:
            reset(self.transport)

    def resume_writing(self) -> None:
        """Go on: the client has read what was counted."""
        super().resume_writing()
        self._connections.let_go(self._slot, self._held_answer)
        self._held_answer = 0

    # What the application does ----------------------------------------------------------------

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._next = cycle, app

    def _begin(self, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.scope["extensions"] = {EXCHANGE: Exchange(cycle, self)}  # type: ignore[dict-item]
        self._running = cycle
        self._passes = False
        if self._queue is not None:
            self._place = self._queue.enter()
            app = self._in_turn
        super()._start_asgi_task(cycle, app)

    def _in_turn(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        """The application, unless the request waited too long for its turn."""
        queue = self._queue
        if queue is None or queue.serves(self._place) or scope["raw_path"] in _ALWAYS:
            running: Awaitable[None] = self.app(scope, receive, send)
            return running
        self._note_overload()
        return refuse(RefusedError("overloaded", "too many requests wait; try again"), scope, send)

    def on_response_complete(self) -> None:
        """Go on to the next request, or to wait for one."""
        self._let_go_of_body()
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            self.flow.resume_reading()
            self._begin(*self.pipeline.pop())
        elif self._refusal is not None:
            self._send_refusal()
        elif self._running is not None and self._running.more_body and not self._is_closed:
            self.disconnect(lingering=True)
        else:
            self.flow.resume_reading()
