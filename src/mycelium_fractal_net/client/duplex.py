"""A transport of httpx that reads the answer while it sends the request.

The stream routes answer as they are sent to, and hold no more than some chunks; httpx's own
transport sends all of a body before it reads, and both would wait for ever once the buffers
between them are full. Here one thread does both, on a socket that does not block: TLS allows no
two threads on one connection. One connection serves one request.
"""

from __future__ import annotations

import select
import socket
import ssl
from functools import partial
from typing import TYPE_CHECKING, Final, cast

import h11
import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_READ_BYTES: Final = 262_144
_WOULD_BLOCK: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class DuplexTransport(httpx.BaseTransport):
    """HTTP/1.1 in both directions at once. Bodies are sent as they are asked for."""

    def __init__(self, context: Callable[[], ssl.SSLContext]) -> None:
        self._context = context

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Returns as soon as the head of the answer is there; the rest comes as it is read."""
        timeout = request.extensions.get("timeout", {})
        sock = self._connect(request.url, timeout)
        try:
            connection = _DuplexConnection(sock, request, timeout.get("read"))
            head = connection.head()
        except BaseException:
            sock.close()
            raise
        answer = _ResponseStream(connection, success=head.status_code < 300)
        return httpx.Response(head.status_code, headers=list(head.headers), stream=answer)

    def _connect(self, url: httpx.URL, timeout: dict[str, float | None]) -> socket.socket:
        seconds = timeout.get("connect")
        port = url.port or (443 if url.scheme == "https" else 80)
        host = url.raw_host.decode("ascii")  # as it is asked for by httpx's own transport
        try:
            plain = socket.create_connection((host, port), seconds)
        except TimeoutError:
            raise httpx.ConnectTimeout("no connection in time") from None
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if url.scheme != "https":
                return plain
            return self._context().wrap_socket(plain, server_hostname=host)
        except TimeoutError:
            plain.close()
            raise httpx.ConnectTimeout("no TLS in time") from None
        except OSError as error:
            plain.close()
            raise httpx.ConnectError(str(error)) from error
        except BaseException:
            plain.close()
            raise


class _DuplexConnection:
    """One request and its answer on one socket."""

    def __init__(self, sock: socket.socket, request: httpx.Request, timeout: float | None) -> None:
        self._socket = sock
        self._timeout = timeout
        self._http = h11.Connection(h11.CLIENT)
        self._parts: Iterator[bytes] | None = iter(cast("httpx.SyncByteStream", request.stream))
        self._unsent = memoryview(b"")
        self._stopped_sending = False
        sock.setblocking(False)
        self._queue(
            lambda: h11.Request(
                method=request.method, target=request.url.raw_path, headers=request.headers.raw
            )
        )

    def close(self) -> None:
        """Let go of the socket, whatever state it is in."""
        self._socket.close()

    def head(self) -> h11.Response:
        """The head of the answer."""
        while True:
            event = self.event()
            if isinstance(event, h11.Response):
                if event.status_code >= 300:
                    self._stop_sending()  # nobody wants the rest
                return event

    def event(self) -> h11.Event:
        """The next part of the answer; the request goes on meanwhile."""
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                raise httpx.RemoteProtocolError(str(error)) from None
            if isinstance(event, h11.Event):
                return event
            self._send_or_receive()

    def sent_whole(self) -> bool:
        """Whether the service has got all of the request."""
        if not self._unsent:
            self._next_part()
        return self._parts is None and not self._unsent and not self._stopped_sending

    def _send_or_receive(self) -> None:
        """Send or receive, whichever can be done first."""
        if not self._unsent:
            self._next_part()
        sending = bool(self._unsent)
        if not (isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()):
            self._wait(select.POLLIN | select.POLLOUT if sending else select.POLLIN)
        if sending:
            self._send()
        self._receive()

    def _wait(self, events: int) -> None:
        poller = select.poll()
        poller.register(self._socket, events)
        if not poller.poll(None if self._timeout is None else self._timeout * 1000):
            raise httpx.ReadTimeout("the service does nothing")

    def _next_part(self) -> None:
        while self._parts is not None and not self._unsent:
            part = next(self._parts, None)
            if part is None:
                self._parts = None
                self._queue(h11.EndOfMessage)
            elif part:
                self._queue(partial(h11.Data, data=part))

    def _queue(self, event: Callable[[], h11.Event]) -> None:
        try:
            self._unsent = memoryview(self._http.send(event()) or b"")
        except h11.LocalProtocolError:
            pass
        else:
            return
        raise httpx.LocalProtocolError("it cannot be said in HTTP")  # h11 quotes the header

    def _send(self) -> None:
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except _WOULD_BLOCK:
            pass
        except OSError:
            self._stop_sending()  # the service closed its side; what it said before is still read

    def _stop_sending(self) -> None:
        """Send no more of the request."""
        self._stopped_sending = True
        self._parts = None
        self._unsent = memoryview(b"")
        self._http.send_failed()

    def _receive(self) -> None:
        try:
            self._http.receive_data(self._socket.recv(_READ_BYTES))
        except _WOULD_BLOCK:
            pass
        except OSError as error:
            raise httpx.ReadError(str(error)) from None


class _ResponseStream(httpx.SyncByteStream):
    def __init__(self, connection: _DuplexConnection, *, success: bool) -> None:
        self._connection = connection
        self._success = success

    def __iter__(self) -> Iterator[bytes]:
        while True:
            event = self._connection.event()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
        if self._success and not self._connection.sent_whole():
            raise httpx.RemoteProtocolError("the answer ended before the request")

    def close(self) -> None:
        self._connection.close()
