"""Records that leave the machine as well: JSON lines to standard output or to syslog."""

from __future__ import annotations

import logging
import os
import syslog
from queue import Full, Queue
from threading import Thread
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_LOG: Final = logging.getLogger(__name__)
_STDOUT: Final = 1
_MOST_GROUPS: Final = 1000  # that wait for a reader; a group is what one sync made durable
_CLOSE_SECONDS: Final = 5.0


def sink(kind: str) -> Callable[[list[bytes]], None] | None:
    """What writes lines out: to ``stdout``, to ``syslog``; None for ``none``."""
    return {"stdout": _to_stdout, "syslog": _to_syslog}.get(kind)


class Exporter:
    """Hands lines to a sink in a thread of its own, since whoever reads them may be slow.

    Nothing waits for it: what finds no room, or fails, is logged and in the files all the same.
    """

    def __init__(self, out: Callable[[list[bytes]], None]) -> None:
        self._out = out
        self._groups: Queue[list[bytes] | None] = Queue(_MOST_GROUPS)
        self._dropping = False
        self._thread = Thread(target=self._run, name="mfn-audit-export", daemon=True)
        self._thread.start()

    def put(self, lines: list[bytes]) -> None:
        """Have lines exported that have become durable."""
        try:
            self._groups.put_nowait(lines)
            self._dropping = False
        except Full:
            if not self._dropping:
                _LOG.warning("audit records are not exported: their reader is too slow")
            self._dropping = True

    def close(self) -> None:
        """End when all is exported, or after five seconds in which it was not."""
        try:
            self._groups.put(None, timeout=_CLOSE_SECONDS)
        except Full:
            return
        self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        while (lines := self._groups.get()) is not None:
            try:
                self._out(lines)
            except OSError as error:
                _LOG.warning("audit records were not exported: %s", error.strerror)


def _to_stdout(lines: list[bytes]) -> None:
    view = memoryview(b"".join(lines))
    while view:
        view = view[os.write(_STDOUT, view) :]


def _to_syslog(lines: list[bytes]) -> None:
    for line in lines:
        syslog.syslog(syslog.LOG_INFO | syslog.LOG_AUTHPRIV, line.decode().rstrip("\n"))
