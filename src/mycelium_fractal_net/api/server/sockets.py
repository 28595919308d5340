"""Listening sockets, made before anything is served: who starts the service sees what fails."""

from __future__ import annotations

import socket
from typing import Final

from mycelium_fractal_net.security.errors import ConfigurationError

_BACKLOG: Final = 2048  # connections that wait to be accepted; the kernel may hold fewer


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes a free one. Raises :class:`ConfigurationError`."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(_BACKLOG)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise ConfigurationError(
            f"server.host and server.port: cannot listen there: {error.strerror}"
        ) from None
    return listening


def url_of(listening: socket.socket, *, tls: bool = False) -> str:
    """The address of a listening socket as a URL."""
    host, port = listening.getsockname()[:2]
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
