"""The certificate that is served, renewed while it is: every new handshake gets the newest pair."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.api.transport.tls import load, serves_tls
from mycelium_fractal_net.security.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from mycelium_fractal_net.config import Settings
    from mycelium_fractal_net.config.settings import Tls

_LOG: Final = logging.getLogger(__name__)
CHECK_SECONDS: Final = 2.0

_Signature = tuple[tuple[int, int, int] | None, ...]


class Certificate:
    """Looks at the files every two seconds. A pair that does not serve leaves the old one serving.

    Raises :class:`ConfigurationError` where the first pair does not.
    """

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._files = [p for p in (tls.certificate, tls.private_key, tls.client_ca) if p]
        self._seen = self._signature()
        self._served = load(tls)
        self._refused: str | None = None
        self._checking: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._soon = asyncio.Event()

    def context(self) -> ssl.SSLContext:
        """What the next handshake is made with."""
        return self._served.context

    @property
    def state(self) -> str:
        """``ok``, ``renewal-refused`` where the files do not serve, or ``expired``."""
        if datetime.now(UTC) >= self._served.until:
            return "expired"
        return "ok" if self._refused is None else "renewal-refused"

    def watch(self) -> None:
        """Look from now on, from within the event loop, until :meth:`close`."""
        self._loop = asyncio.get_running_loop()
        self._checking = self._loop.create_task(self._watch())

    def check_soon(self) -> None:
        """Look at once; signal handlers may call it."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._soon.set)

    def close(self) -> None:
        """Look no more."""
        if self._checking is not None:
            self._checking.cancel()
            self._checking = None

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._soon.wait(), CHECK_SECONDS)
            self._soon.clear()
            await asyncio.to_thread(self.check)  # a folder may be on a network

    def check(self) -> None:
        """Take the files if they changed; tell once why not.

        Those that were refused are read again: they may be valid from a moment on.
        """
        found = self._signature()
        if found == self._seen and self._refused is None:
            return
        try:
            self._served = load(self._tls)
        except ConfigurationError as error:
            if str(error) != self._refused:
                _LOG.error("the certificate that was there goes on serving: %s", error)
            self._refused = str(error)
        else:
            _LOG.warning("a new certificate is served, until %s", self._served.until.isoformat())
            self._refused = None
        self._seen = found

    def _signature(self) -> _Signature:
        return tuple(map(_signature, self._files))


def _signature(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file does."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def renews_on_sighup(settings: Settings) -> bool:
    """Whether SIGHUP has the certificate read again; otherwise it ends the service.

    It does where TLS is served and no terminal holds this process, as under a service manager.
    """
    if not serves_tls(settings.security.tls):
        return False
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return True
    os.close(terminal)
    return False
