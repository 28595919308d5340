"""What a process that serves or rotates says on its standard error: text, or JSON, a line each.

A line has time, level, process and, where one is served, the id of the request. Of an error that
nobody expected it has kind and place, and never the text, which could quote a request or a row.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from mycelium_fractal_net.security.audit import current_request
from mycelium_fractal_net.security.byte_io.printable import ascii_json, json_line, printable
from mycelium_fractal_net.security.forking import in_child

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.config.settings import LogSettings

ACCESS: Final = "mycelium_fractal_net.access"
"""The logger of requests that were answered, which ``log.access`` switches on."""
_OURS: Final = "mycelium_fractal_net"
_SUMMED_SECONDS: Final = 10.0  # in which a line that comes again is only counted
_MOST_SUMMED: Final = 1000  # different lines that are counted at a time

_to_json: Final = msgspec.json.Encoder().encode


class _Line(logging.Formatter):
    """A record as text. Its request's id and its process come behind the logger's name."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, followed by those of a traceback."""
        members = self.members(record)
        request = f" {members['request']}" if "request" in members else ""
        message = printable(str(members["message"]))
        times = f" ({members['repeated']} more times)" if "repeated" in members else ""
        place = f"\n{members['error']}" if "error" in members else ""
        return (
            f"{members['time']} {members['level']} {members['logger']}[{members['process']}]"
            f"{request}: {message}{times}{place}"
        )

    @staticmethod
    def members(record: logging.LogRecord) -> dict[str, object]:
        """What there is to be said of a record, by its name in JSON."""
        when = datetime.fromtimestamp(record.created, UTC)
        found: dict[str, object] = {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        request = getattr(record, "request", None) or current_request()
        if request is not None:
            found["request"] = request
        for name in ("repeated", "access"):
            if (more := getattr(record, name, None)) is not None:
                found[name] = more
        if record.exc_info and (error := record.exc_info[1]) is not None:
            frames = "".join(traceback.format_tb(error.__traceback__))
            found["error"] = f"{type(error).__name__}\n{frames}".rstrip()
        return found


class _Json(_Line):
    """A record as one JSON object on a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        members = self.members(record)
        try:
            return ascii_json(_to_json(members)).decode()
        except UnicodeEncodeError:  # half a surrogate pair, as in a path that is not UTF-8
            return json_line(members)


class _Summing(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes a line once in ten seconds; how often it came meanwhile is said after them.

    That is when the next line of any kind is written, or at the end.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(sys.stderr)
        self._clock = clock
        self._start_anew()
        in_child(self, _Summing._start_anew)

    def _start_anew(self) -> None:
        self._seen: dict[tuple[str, str], tuple[float, int, logging.LogRecord]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or count it. It is called under the handler's lock."""
        now = self._clock()
        self._tell(now - _SUMMED_SECONDS)
        if record.name != ACCESS:
            key = (record.name, record.getMessage())
            began, count, first = self._seen.get(key, (now, -1, record))
            if count >= 0 or len(self._seen) < _MOST_SUMMED:
                self._seen[key] = began, count + 1, first
            if count >= 0:
                return
        super().emit(record)

    def _tell(self, until: float) -> None:
        """Say of lines that were first written before ``until`` how often they came since."""
        for key, (began, count, first) in list(self._seen.items()):
            if began > until:
                return  # they stand in the order of their first time
            del self._seen[key]
            if count:
                first.repeated = count
                super().emit(first)

    def close(self) -> None:
        """Tell what is left."""
        with contextlib.suppress(ValueError):  # the standard error is closed
            self._tell(float("inf"))
        super().close()


def write_logs(settings: LogSettings) -> None:
    """From now on write what is logged to the standard error, as the settings have it.

    The level is that of this package: those that it uses say warnings and errors alone, since what
    some of them say beyond has requests in it.
    """
    handler = _Summing()
    handler.setFormatter(_Json() if settings.format == "json" else _Line())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger(_OURS).setLevel(settings.level.upper())
    logging.getLogger(ACCESS).setLevel(logging.INFO if settings.access else logging.CRITICAL)
