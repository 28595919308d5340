"""The server under the service: one uvicorn per process, on a socket that it is given."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
from typing import TYPE_CHECKING, Any, Final

import uvicorn

from mycelium_fractal_net.api.application import create_app
from mycelium_fractal_net.api.endpoints.streaming import StreamCutError
from mycelium_fractal_net.api.server.sockets import url_of
from mycelium_fractal_net.api.transport.certificate import renews_on_sighup
from mycelium_fractal_net.api.transport.frontend import Frontend
from mycelium_fractal_net.api.transport.protocol import HttpProtocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mycelium_fractal_net.api.transport.connections import Slot
    from mycelium_fractal_net.bootstrap.custodians import Passphrase
    from mycelium_fractal_net.config import Settings

_ENDING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class _Server(uvicorn.Server):
    """A server that says when it serves, and ends when whoever started it is gone."""

    def __init__(
        self,
        config: uvicorn.Config,
        frontend: Frontend,
        ready: Callable[[], object],
        parent: int | None,
        *,
        renews: bool,
        note_overload: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._note_overload = note_overload
        self._frontend = frontend
        self._renews = renews
        self._ready = ready
        self._parent = parent
        self.orphaned = False

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End gracefully by these signals, and by SIGHUP too, as a terminal sends that closes.

        Where it is to have the certificate read again, it does that.
        One that is ignored, as SIGHUP is under nohup, stays so. None is raised again at the end:
        to end when asked to is a success.
        """
        former = {n: h for n in _ENDING if (h := signal.getsignal(n)) is not signal.SIG_IGN}
        for number in former:
            signal.signal(number, self.handle_exit)
        if self._renews and signal.SIGHUP in former:
            signal.signal(signal.SIGHUP, lambda *_: self._frontend.renew())
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])  # the front door listens
        if self.should_exit:
            return
        for each in sockets or ():  # there is one
            self._frontend.open(each, self._protocol)
        if self._parent is not None:
            asyncio.get_running_loop().add_reader(self._parent, self._end)
        self._ready()

    def _protocol(self, slot: Slot) -> HttpProtocol:
        return HttpProtocol(
            self._frontend.connections,
            slot,
            self._frontend.note_refusal,
            self._frontend.queue,
            self._note_overload,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._frontend.close()
        await super().shutdown(sockets)

    def _end(self) -> None:
        self.should_exit = self.orphaned = True
        if self._parent is not None:
            asyncio.get_running_loop().remove_reader(self._parent)


def serve_process(
    settings: Settings,
    listening: socket.socket,
    passphrase: Passphrase = None,
    *,
    ready: Callable[[], object],
    parent: int | None = None,
    metrics_folder: Path | None = None,
) -> int:
    """Serve in this process until SIGTERM or SIGINT; returns an exit code.

    ``ready`` is called once requests are served; ``parent`` is a file descriptor whose end means
    that the process must end; in ``metrics_folder`` all workers' metrics meet.
    """
    app = create_app(
        settings,
        passphrase=passphrase,
        behind_frontend=True,
        metrics_folder=metrics_folder,
        authority=url_of(listening).partition("://")[2],
    )
    config = uvicorn.Config(
        app,
        http=HttpProtocol,
        ws="none",
        loop="uvloop",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=settings.server.shutdown_seconds,
    )
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    frontend = Frontend(settings, app.service.count_refusal)
    app.service.frontend = frontend.states()
    app.service.connections = frontend.connections.__len__
    renews = renews_on_sighup(settings)
    server = _Server(
        config, frontend, ready, parent, renews=renews, note_overload=app.service.count_overloaded
    )
    try:
        server.run(sockets=[listening])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    if server.orphaned and metrics_folder is not None:  # whose parent can clean up no more
        shutil.rmtree(metrics_folder, ignore_errors=True)
    if app.service.executors.is_stuck:
        # The interpreter would wait, at its end, for a thread that waits for a silent store.
        logging.shutdown()
        os._exit(1)
    return 0 if server.started else 1


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a log record is kept.

    A stream that was cut has its audit record. How many requests were cut at the end is said in
    one line, and why the service does not start, it says itself.
    """
    info: Any = record.exc_info
    if info and isinstance(info[1], (StreamCutError, asyncio.CancelledError)):
        return False
    return not str(record.msg).startswith("Traceback")
