"""The side of one process that clients connect to: it listens, counts, and serves TLS."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from mycelium_fractal_net.api.http.responses import closing_problem
from mycelium_fractal_net.api.transport.addresses import Proxies
from mycelium_fractal_net.api.transport.certificate import Certificate
from mycelium_fractal_net.api.transport.connections import Connections
from mycelium_fractal_net.api.transport.heads import RefusedError
from mycelium_fractal_net.api.transport.limits import ClientLimits, room_for
from mycelium_fractal_net.api.transport.listener import Listener
from mycelium_fractal_net.api.transport.request_queue import RequestQueue
from mycelium_fractal_net.api.transport.tls import serves_tls

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from mycelium_fractal_net.api.transport.connections import Slot
    from mycelium_fractal_net.config import Settings


class Frontend:
    """Listener, connections, queue, certificate. ``note_refusal`` is told each refusal's kind."""

    def __init__(self, settings: Settings, note_refusal: Callable[[str], None]) -> None:
        limits = ClientLimits.of(settings.server)
        limits = replace(limits, connections=room_for(limits.connections))
        self.connections = Connections(limits, Proxies(settings.server.trusted_proxies))
        self.note_refusal = note_refusal
        most = settings.server.max_queue_milliseconds
        self.queue = None if most is None else RequestQueue(most / 1000)
        tls = settings.security.tls
        self.certificate = Certificate(tls) if serves_tls(tls) else None
        self._listener: Listener | None = None

    def open(self, listening: socket.socket, protocol: Callable[[Slot], asyncio.Protocol]) -> None:
        """Accept what comes to a socket, from within the event loop."""
        tls = None if self.certificate is None else self.certificate.context
        self._listener = Listener(listening, self.connections, protocol, self._refusal, tls)
        self._listener.start()
        self.connections.watch(asyncio.get_running_loop())
        if self.certificate is not None:
            self.certificate.watch()

    def close(self) -> None:
        """Accept no more. Connections that are open stay, and their timeouts hold."""
        if self._listener is not None:
            self._listener.close()
        if self.certificate is not None:
            self.certificate.close()

    def renew(self) -> None:
        """Have the certificate read again if it changed. Signal handlers may call it."""
        if self.certificate is not None:
            self.certificate.check_soon()

    def states(self) -> dict[str, Callable[[], str]]:
        """What has a state, by the name under which health shows it."""
        certificate = self.certificate
        return {} if certificate is None else {"tls": lambda: certificate.state}

    def _refusal(self, too_many: bool) -> bytes:
        """What one of too many connections is sent."""
        self.note_refusal("overloaded")
        whose = "of this address" if too_many else "at this moment"
        return closing_problem(
            RefusedError("overloaded", f"there are too many connections {whose}")
        )
