"""The server under the service: one uvicorn per process, on a socket that it is given."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from typing import TYPE_CHECKING, Any, Final

import uvicorn

from mycelium_fractal_net.api.application import create_app
from mycelium_fractal_net.api.streaming import StreamCutError

if TYPE_CHECKING:
    import socket

    from mycelium_fractal_net.bootstrap import Passphrase
    from mycelium_fractal_net.config import Settings

__all__ = ["serve_process"]

_KEEP_ALIVE_SECONDS: Final = 75
READY: Final = b"."


class _Server(uvicorn.Server):
    """A server that says when it serves, and ends when whoever started it is gone."""

    def __init__(self, config: uvicorn.Config, ready: int | None, parent: int | None) -> None:
        super().__init__(config)
        self._ready = ready
        self._parent = parent

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.should_exit:
            return
        if self._parent is not None:
            asyncio.get_running_loop().add_reader(self._parent, self._end)
        if self._ready is not None:
            os.write(self._ready, READY)

    def _end(self) -> None:
        self.should_exit = True
        if self._parent is not None:
            asyncio.get_running_loop().remove_reader(self._parent)


def serve_process(
    settings: Settings,
    listening: socket.socket,
    passphrase: Passphrase = None,
    *,
    ready: int | None = None,
    parent: int | None = None,
    metrics_folder: str | None = None,
) -> int:
    """Serve in this process until SIGTERM or SIGINT; returns an exit code.

    ``ready`` is a file descriptor that gets one byte once requests are served, ``parent`` one
    whose end means that the process must end; in ``metrics_folder`` all workers' metrics meet.
    """
    app = create_app(
        settings, passphrase=passphrase, behind_front_door=True, metrics_folder=metrics_folder
    )
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        loop="uvloop",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.server.shutdown_seconds,
    )
    logging.getLogger("uvicorn.error").addFilter(_without_cut_streams)
    server = _Server(config, ready, parent)
    try:
        # It raises the signal that ended it again, for whoever handled it before.
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listening])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0 if server.started else 1


def _without_cut_streams(record: logging.LogRecord) -> bool:
    """Whether a log record is kept: a stream that was cut has its audit record."""
    info: Any = record.exc_info
    return not (info and isinstance(info[1], StreamCutError))
