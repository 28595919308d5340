"""The listening socket. Who connects is counted before a byte is read, TLS handshakes too."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import errno
import logging
import socket
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.api.transport.timeouts import Wait

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from mycelium_fractal_net.api.transport.connections import Connections, Slot

_LOG: Final = logging.getLogger(__name__)
_AT_ONCE: Final = 64  # connections accepted before requests have their turn again
_PAUSE_SECONDS: Final = 0.2  # where the process has no descriptor left
_NO_MORE: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PARTING: Final = 256  # refused ones that are kept for a moment, so that they read the answer
_TURNED_AWAY: Final = 16  # handshakes at a time with those for whom there is no room
_PARTING_BYTES: Final = 65_536
_TLS_CLOSE_SECONDS: Final = 5.0
_UNSENT_BYTES: Final = 1 << 20  # of an answer, in the kernel


class _Arrival:
    """A connection that has no protocol yet."""

    def __init__(self, wait: Wait) -> None:
        self._wait = wait
        self.task: asyncio.Task[None] | None = None
        self.protocol: asyncio.Protocol | None = None

    def waits_for(self) -> tuple[Wait, object, int]:
        """The handshake, which is one message, whose bytes nobody counts; without TLS nothing."""
        return self._wait, None, 0

    def give_up(self, wait: Wait) -> None:  # noqa: ARG002
        """End it. Who has not finished a handshake can be told nothing."""
        if self.task is not None:
            self.task.cancel()

    make_room = give_up


class _AnswerProtocol(asyncio.Protocol):
    """Answers whoever is there, and closes."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def connection_made(self, transport: Any) -> None:
        """Answer, and close."""
        transport.write(self._answer)
        transport.close()


class Listener:
    """Accepts what comes to one socket.

    ``protocol`` makes the protocol of a connection from its slot, ``tls`` says what handshakes
    are made with at this moment, ``refusal`` what is sent to one of too many.
    """

    def __init__(
        self,
        listening: socket.socket,
        connections: Connections,
        protocol: Callable[[Slot], asyncio.Protocol],
        refusal: Callable[[bool], bytes],
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self._listening = listening
        self._connections = connections
        self._protocol = protocol
        self._refusal = refusal
        self._tls = tls
        self._opening: set[asyncio.Task[None]] = set()
        self._parting: collections.deque[socket.socket] = collections.deque()
        self._loop = asyncio.get_running_loop()
        self._is_open = False
        self._is_short = False
        self._turned_away = 0

    def start(self) -> None:
        """Accept from now on."""
        self._listening.setblocking(False)
        self._is_open = True
        self._loop.add_reader(self._listening, self._accept)

    def close(self) -> None:
        """Accept no more, and let go of whoever is still in a handshake."""
        if self._is_open:
            self._is_open = False
            self._loop.remove_reader(self._listening)
        for task in self._opening:
            task.cancel()
        while self._parting:
            self._parting.popleft().close()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                arrived, address = self._listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                if error.errno not in _NO_MORE:
                    raise
                self._pause(error)
                return
            arrived.setblocking(False)
            self._take(arrived, str(address[0]) if address else "")

    def _pause(self, error: OSError) -> None:
        """Wait a moment for a descriptor, instead of asking for one without end."""
        if not self._is_short:
            _LOG.error("no connection is accepted for now: %s", error.strerror)
        self._is_short = True
        self._loop.remove_reader(self._listening)
        self._loop.call_later(_PAUSE_SECONDS, self._resume)

    def _resume(self) -> None:
        if self._is_open:
            self._loop.add_reader(self._listening, self._accept)

    def _take(self, arrived: socket.socket, address: str) -> None:
        self._is_short = False
        connections = self._connections
        too_many = connections.has_too_many(address)
        if too_many or not connections.has_room():
            self._send_away(arrived, too_many)
            return
        arrival = _Arrival(Wait.NOTHING if self._tls is None else Wait.HANDSHAKE)
        slot = connections.enter(address, arrival)

        def make() -> asyncio.Protocol:
            arrival.protocol = self._protocol(slot)
            return arrival.protocol

        def lost() -> None:
            if arrival.protocol is None or slot.peer is arrival:
                connections.leave(slot)
            else:  # given up just when it was made: the loop ends that without a word
                arrival.protocol.connection_lost(None)

        arrival.task = self._begin(arrived, make, lost)

    def _begin(
        self,
        arrived: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        lost: Callable[[], None],
    ) -> asyncio.Task[None]:
        """Open a connection; ``lost`` is called where that comes to nothing, even at once."""
        task = self._loop.create_task(self._open(arrived, protocol))
        self._opening.add(task)

        def ended(_: object) -> None:
            self._opening.discard(task)
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            if error is None:
                return
            lost()
            arrived.close()
            if not isinstance(error, (OSError, asyncio.CancelledError)):
                raise error

        task.add_done_callback(ended)
        return task

    async def _open(self, arrived: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> None:
        """Raises :class:`OSError` for what is the client's affair, of TLS too."""
        options: dict[str, Any] = {}
        if self._tls is not None:
            options = {
                "ssl": self._tls(),
                "ssl_handshake_timeout": self._connections.limits.handshake_seconds,
                "ssl_shutdown_timeout": _TLS_CLOSE_SECONDS,
            }
        with contextlib.suppress(OSError):  # which fails where it is gone
            arrived.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Otherwise the kernel takes megabytes for each reader who does not read.
            arrived.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        await self._loop.connect_accepted_socket(protocol, arrived, **options)

    def _send_away(self, arrived: socket.socket, too_many: bool) -> None:
        """Answer one of too many at once. With TLS, whose handshakes cost, only some learn why."""
        if self._tls is not None:
            if self._turned_away >= _TURNED_AWAY:
                arrived.close()
                return
            self._turned_away += 1
            answer = self._refusal(too_many)
            opening = self._begin(arrived, lambda: _AnswerProtocol(answer), lambda: None)
            opening.add_done_callback(self._has_turned_away)
            return
        # Were it closed with bytes that nobody read, the answer could be lost with them.
        with contextlib.suppress(OSError):
            arrived.send(self._refusal(too_many))
            arrived.shutdown(socket.SHUT_WR)
            arrived.recv(_PARTING_BYTES)
        if len(self._parting) >= _PARTING:
            self._parting.popleft().close()
        self._parting.append(arrived)
        self._loop.call_later(_PAUSE_SECONDS, self._part, arrived)

    def _has_turned_away(self, _: object) -> None:
        self._turned_away -= 1

    def _part(self, parting: socket.socket) -> None:
        if parting in self._parting:
            self._parting.remove(parting)
            with contextlib.suppress(OSError):
                parting.recv(_PARTING_BYTES)
            parting.close()
