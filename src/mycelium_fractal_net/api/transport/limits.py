"""The bounds that hold for every client."""

from __future__ import annotations

import contextlib
import logging
import resource
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.errors import ConfigurationError

if TYPE_CHECKING:
    from mycelium_fractal_net.config.settings import Server

_LOG: Final = logging.getLogger(__name__)
_OTHER_DESCRIPTORS: Final = 512  # the key store, the audit log, those who are told that it is full

MAX_HEADERS: Final = 100
MAX_HEADER_BYTES: Final = 8_192  # of one name and its value; RFC 9110 section 5.4 names no number
MAX_HEADERS_BYTES: Final = 32_768  # of all names and values
MAX_LINE_BYTES: Final = 8_192  # of the target; RFC 9112 section 3 asks for 8,000 at least
MAX_HEAD_BYTES: Final = MAX_LINE_BYTES + MAX_HEADERS_BYTES + 4 * MAX_HEADERS + 64
MAX_PIPELINED: Final = 100  # requests of one connection that wait for their turn
UNCOUNTED_BYTES: Final = 65_536  # of each body, beside those that share ``buffered_bytes``


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """How many connections, and how slow a client may be; seconds, and bytes per second."""

    connections: int = 1_000
    connections_per_address: int | None = None
    handshake_seconds: float = 5.0
    header_seconds: float = 10.0
    gap_seconds: float = 10.0
    least_rate: int = 1_024
    idle_seconds: float = 75.0
    buffered_bytes: int = 268_435_456  # of all bodies and answers together

    @classmethod
    def of(cls, server: Server) -> ClientLimits:
        """The limits of one process, as the settings have them.

        Raises :class:`ConfigurationError` where no body of the largest size could be taken.
        """
        if server.max_buffered_bytes < server.max_body_bytes:
            raise ConfigurationError(
                "server.max_buffered_bytes: is less than server.max_body_bytes, of one body"
            )
        return cls(
            connections=server.max_connections,
            connections_per_address=server.max_connections_per_address,
            handshake_seconds=server.handshake_seconds,
            header_seconds=server.header_seconds,
            gap_seconds=server.gap_seconds,
            least_rate=server.min_bytes_per_second,
            idle_seconds=server.idle_seconds,
            buffered_bytes=server.max_buffered_bytes,
        )


def room_for(connections: int) -> int:
    """How many of that many connections this process has descriptors for; asks for more first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):  # where a sandbox forbids it
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
            soft = allowed
        if soft < wanted:
            fewer = max(1, soft - min(_OTHER_DESCRIPTORS, soft // 2))
            _LOG.warning(
                "server.max_connections: %s, since the process has %s descriptors", fewer, soft
            )
            return fewer
    return connections
