"""The bounds that hold for every client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mycelium_fractal_net.config.settings import Server

__all__ = [
    "MAX_HEADERS",
    "MAX_HEADERS_BYTES",
    "MAX_HEADER_BYTES",
    "MAX_HEAD_BYTES",
    "MAX_LINE_BYTES",
    "MAX_PIPELINED",
    "Limits",
]

MAX_HEADERS: Final = 100
MAX_HEADER_BYTES: Final = 8_192  # of one name and its value; RFC 9110 section 5.4 names no number
MAX_HEADERS_BYTES: Final = 32_768  # of all names and values
MAX_LINE_BYTES: Final = 8_192  # of the target; RFC 9112 section 3 asks for 8,000 at least
MAX_HEAD_BYTES: Final = MAX_LINE_BYTES + MAX_HEADERS_BYTES + 4 * MAX_HEADERS + 64
MAX_PIPELINED: Final = 100  # requests of one connection that wait for their turn


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections, and how slow a client may be; seconds, and bytes per second."""

    connections: int = 1_000
    connections_per_address: int | None = None
    handshake_seconds: float = 5.0
    header_seconds: float = 10.0
    gap_seconds: float = 10.0
    least_rate: int = 1_024
    idle_seconds: float = 75.0

    @classmethod
    def of(cls, server: Server) -> Limits:
        """The limits of one process, as the settings have them."""
        return cls(
            connections=server.max_connections,
            connections_per_address=server.max_connections_per_address,
            handshake_seconds=server.handshake_seconds,
            header_seconds=server.header_seconds,
            gap_seconds=server.gap_seconds,
            least_rate=server.min_bytes_per_second,
            idle_seconds=server.idle_seconds,
        )
