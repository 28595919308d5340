"""The head of a request, held to RFC 9112 where the parser is lenient, and to its bounds.

llhttp itself refuses bare LF, folded headers, whitespace before a colon, controls, two lengths,
and a length beside a transfer coding. Two servers that read one head in two ways are what request
smuggling lives on, so whatever has a second reading is refused.
"""

from __future__ import annotations

import re
from typing import Final

from mycelium_fractal_net.api.http.problems import RequestError
from mycelium_fractal_net.api.transport.limits import (
    MAX_HEAD_BYTES,
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    MAX_HEADERS_BYTES,
    MAX_LINE_BYTES,
)

_SPACE: Final = 0x20
_CHUNKING_BYTES: Final = 65_536  # what chunks may need beside data, and so many times the data:
_CHUNKING_SHARE: Final = 8
# RFC 3986 section 3.2.2 and a port, without user information.
_HOST: Final = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._~!$&'()*+,;=%-]{1,255})(?::\d{0,5})?"
)

WATCHED: Final = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"upgrade", b"expect", b"x-api-key"}
)
"""The headers of which :meth:`Framing.note` must learn, in lower case."""


class RefusedError(RequestError):
    """A request that is refused before a route: its connection is answered and closed."""


class Framing:
    """What decides where a request ends and for whom it is; one for each connection."""

    __slots__ = ("_accepted_host", "_has_key", "_host", "_is_chunked")

    def __init__(self) -> None:
        self._host: bytes | None = None
        self._is_chunked = self._has_key = False
        self._accepted_host: bytes | None = None

    def note(self, name: bytes, value: bytes) -> None:
        """Take one of :data:`WATCHED`. Raises :class:`RefusedError`."""
        if name == b"host":
            if self._host is not None:
                raise RefusedError("bad-request", "there is more than one Host")
            self._host = value
        elif name == b"x-api-key":
            if self._has_key:
                raise RefusedError("bad-request", "there is more than one X-API-Key")
            self._has_key = True
        elif name == b"content-length":
            if not value.isdigit():
                raise RefusedError("bad-request", "the Content-Length is not a number")
        elif name == b"transfer-encoding":
            if value != b"chunked":
                raise RefusedError("bad-request", "the Transfer-Encoding is not chunked alone")
            self._is_chunked = True
        elif name == b"upgrade":
            raise RefusedError("bad-request", "no other protocol is spoken here")

    def finish(self, version: str) -> None:
        """Check what was noted of one head, and forget it. Raises :class:`RefusedError`."""
        host, is_chunked = self._host, self._is_chunked
        self._host, self._is_chunked, self._has_key = None, False, False
        if version != "1.1":
            if version != "1.0":
                raise RefusedError("bad-request", "the version of HTTP is not 1.1 or 1.0")
            if is_chunked:
                raise RefusedError("bad-request", "HTTP/1.0 has no Transfer-Encoding")
            if host is None:
                return
        if host is None:
            raise RefusedError("bad-request", "there is no Host")
        if host != self._accepted_host:
            if _HOST.fullmatch(host) is None:
                raise RefusedError("bad-request", "the Host is not one")
            self._accepted_host = host


class ReadBounds:
    """What was read of one connection, beside what the parser makes of it, held to bounds.

    ``received`` counts all bytes, ``body_bytes`` those of the body that is being read.
    ``since_head`` is what was read since a head began: at ``begins_at``, or where that is
    negative somewhere, behind a request before it.
    """

    __slots__ = ("_blank", "_chunking_bytes", "_counted", "_head_bytes", "begins_at", "body_bytes",
                 "received", "since_head")  # fmt: skip

    def __init__(self) -> None:
        self.received = self.body_bytes = self.begins_at = 0
        self.since_head = self._blank = b""  # of the latter, empty lines before a head
        self._head_bytes = self._chunking_bytes = 0
        self._counted = 0  # of the body, before what is being read

    def take(self, data: bytes, *, in_head: bool, in_body: bool) -> None:
        """Note what is to be parsed next. Raises :class:`RefusedError`."""
        self.received += len(data)
        self._counted = self.body_bytes
        if in_head:
            self.since_head += data
            self._head_bytes += len(data)
            return
        self.since_head = data
        self.begins_at = -1 if in_body else 0
        self._head_bytes = len(data)
        if not in_body and (data[0] <= _SPACE or self._blank):
            self._check_blank(data)

    def _check_blank(self, data: bytes) -> None:
        """Take one empty line before a request (RFC 9112 section 2.2), and no bare LF."""
        rest = data.lstrip(b"\r\n")
        blank = self._blank + data[: len(data) - len(rest)]
        if blank not in (b"", b"\r", b"\r\n") or (rest and blank == b"\r"):
            raise RefusedError("bad-request", "there are line breaks before the request")
        self._blank = b"" if rest else blank
        self.begins_at = len(data) - len(rest)

    def begin_body(self) -> None:
        """A head is whole: what follows it in the same read begins nowhere that is known."""
        self.begins_at = -1
        self.body_bytes = self._chunking_bytes = 0

    def check_head(self, data: bytes, *, began_before: bool) -> None:
        """Bound a head that is not whole yet. Raises :class:`RefusedError`."""
        if not began_before:  # but somewhere in this read, which is bounded itself
            self.since_head, self._head_bytes = data[-MAX_HEAD_BYTES:], 0
        elif self._head_bytes > MAX_HEAD_BYTES:
            raise RefusedError("headers-too-large", f"a head has at most {MAX_HEAD_BYTES} bytes")

    def check_chunking(self, read: int) -> None:
        """Bound what chunks need beside data: their extensions go nowhere, and have no end.

        Raises :class:`RefusedError`.
        """
        self._chunking_bytes += read - (self.body_bytes - self._counted)
        if self._chunking_bytes > _CHUNKING_BYTES + _CHUNKING_SHARE * self.body_bytes:
            raise RefusedError("bad-request", "the chunks have more beside data than they need")

    def forget(self) -> None:
        """No head is being read: what was read at once is not kept while the connection idles."""
        self.since_head = b""


def check_line(method: bytes, target: bytes, read: bytes, begins_at: int) -> None:
    """Hold the request line to ``METHOD SP /target SP HTTP/``. Raises :class:`RefusedError`.

    The parser takes more spaces, and other protocols than HTTP, so ``read`` is asked, which has
    the line as it came: at ``begins_at``, or where that is negative somewhere, behind a request
    before it. The absolute form names a second host beside the header.
    """
    if target[:1] != b"/":
        raise RefusedError("bad-request", "the target is not a path")
    line = b"%b %b HTTP/" % (method, target)
    if not (read.startswith(line, begins_at) if begins_at >= 0 else line in read):
        raise RefusedError("bad-request", "the request line is not one of HTTP")
    if b"#" in target:
        raise RefusedError("bad-request", "the target has a fragment")


def check_sizes(target: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """Hold a head to its bounds. Raises :class:`RefusedError`."""
    if len(target) > MAX_LINE_BYTES:
        raise RefusedError("target-too-long", f"a target has at most {MAX_LINE_BYTES} bytes")
    if len(headers) > MAX_HEADERS:
        raise RefusedError("headers-too-large", f"there are at most {MAX_HEADERS} headers")
    total = 0
    for name, value in headers:
        size = len(name) + len(value)
        if size > MAX_HEADER_BYTES:
            raise RefusedError(
                "headers-too-large", f"a header has at most {MAX_HEADER_BYTES} bytes"
            )
        total += size
    if total > MAX_HEADERS_BYTES:
        raise RefusedError(
            "headers-too-large", f"all headers have at most {MAX_HEADERS_BYTES} bytes together"
        )
