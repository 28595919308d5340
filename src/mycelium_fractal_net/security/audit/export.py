"""Records that leave the machine as well: JSON lines to standard output or to syslog."""

from __future__ import annotations

import logging
import os
import syslog
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["exporter"]

_LOG: Final = logging.getLogger(__name__)
_STDOUT: Final = 1


def exporter(kind: str) -> Callable[[list[bytes]], None] | None:
    """What takes lines that have become durable: ``stdout``, ``syslog``, or None for ``none``.

    A line that cannot be exported is in the file all the same; that is logged and stops nothing.
    """
    return {"stdout": _to_stdout, "syslog": _to_syslog}.get(kind)


def _to_stdout(lines: list[bytes]) -> None:
    try:
        view = memoryview(b"".join(lines))
        while view:
            view = view[os.write(_STDOUT, view) :]
    except OSError as error:
        _LOG.warning("audit records were not exported: %s", error.strerror)


def _to_syslog(lines: list[bytes]) -> None:
    for line in lines:
        syslog.syslog(syslog.LOG_INFO | syslog.LOG_AUTHPRIV, line.decode().rstrip("\n"))
