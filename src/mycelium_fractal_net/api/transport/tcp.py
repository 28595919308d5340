"""What only the socket under a transport knows, and can do."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from asyncio import Transport

_TCP_INFO_BYTES: Final = 128  # struct tcp_info of linux/tcp.h, up to and with
_BYTES_ACKED: Final = slice(120, 128)  # tcpi_bytes_acked
_DROP: Final = struct.pack("ii", 1, 0)  # struct linger: RST, and nothing is kept


def acknowledged_bytes(transport: Transport) -> int:
    """How many bytes the client's machine has taken so far; only differences mean something."""
    try:
        info = transport.get_extra_info("socket").getsockopt(
            socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES
        )
    except (OSError, AttributeError):  # it is closed by now; this is no Linux
        return -transport.get_write_buffer_size()
    return int.from_bytes(info[_BYTES_ACKED], "little")


def reset(transport: Transport) -> None:
    """Drop the connection with all that the kernel still holds for it."""
    with contextlib.suppress(OSError, AttributeError):  # it is closed by now; this is TLS
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROP)
    transport.abort()
