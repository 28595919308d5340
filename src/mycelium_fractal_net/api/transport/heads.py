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

    __slots__ = ("_accepted_host", "_has_key", "_host", "_is_chunked", "_length")

    def __init__(self) -> None:
        self._host: bytes | None = None
        self._is_chunked = self._has_key = False
        self._length = 0
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
            self._length = int(value)
        elif name == b"transfer-encoding":
            if value != b"chunked":
                raise RefusedError("bad-request", "the Transfer-Encoding is not chunked alone")
            self._is_chunked = True
        elif name == b"upgrade":
            raise RefusedError("bad-request", "no other protocol is spoken here")

    def finish(self, version: str) -> int | None:
        """Check what was noted of one head, and forget it. Raises :class:`RefusedError`.

        Returns how many bytes the body has; None where they come in chunks.
        """
        host, is_chunked = self._host, self._is_chunked
        length = None if is_chunked else self._length
        self._host, self._is_chunked, self._has_key, self._length = None, False, False, 0
        if version != "1.1":
            if version != "1.0":
                raise RefusedError("bad-request", "the version of HTTP is not 1.1 or 1.0")
            if is_chunked:
                raise RefusedError("bad-request", "HTTP/1.0 has no Transfer-Encoding")
            if host is None:
                return length
        if host is None:
            raise RefusedError("bad-request", "there is no Host")
        if host != self._accepted_host:
            if _HOST.fullmatch(host) is None:
                raise RefusedError("bad-request", "the Host is not one")
            self._accepted_host = host
        return length


class _Chunks:
    """Where a body in chunks ends, which the parser knows and does not tell.

    It is asked of what the parser has taken, part by part as it was read.
    """

    __slots__ = ("_is_last", "_line", "_skip")

    def __init__(self) -> None:
        self._line = b""  # what came of one that names a size
        self._skip = 0  # bytes of the chunk that is read, with its line end
        self._is_last = False

    def end(self, read: bytes, begins: int) -> int | None:
        """Where it ends in ``read``, of which it is all from ``begins``; None if not in there."""
        while True:
            begins, self._skip = begins + self._skip, 0
            if begins > len(read):
                self._skip = begins - len(read)
                return None
            if self._is_last:
                return begins
            ends = read.find(b"\n", begins)
            if ends < 0:
                digits, mark, _ = (self._line + read[begins:]).partition(b";")
                self._line = (digits.rstrip(b"\r").lstrip(b"0") or digits[:1]) + mark  # and no more
                return None
            size = int((self._line + read[begins:ends]).partition(b";")[0], 16)
            self._line, begins = b"", ends + 1
            self._is_last = size == 0
            self._skip = size + 2  # trailers are refused


class ReadBounds:
    """What was read of one connection, beside what the parser makes of it, held to bounds.

    ``received`` counts all bytes, ``body_bytes`` those of the body that is being read.
    ``since_head`` is what was read since a head began.
    """

    __slots__ = ("_begins_at", "_blank", "_chunking_bytes", "_chunks", "_counted", "_head_at",
                 "_head_bytes", "_length", "body_bytes", "received", "since_head")  # fmt: skip

    def __init__(self) -> None:
        self.received = self.body_bytes = 0
        self._begins_at: int | None = 0  # the head that is read, in since_head; None behind another
        self._head_at: int | None = None  # that one, in since_head; None where only its body is
        self._length = 0  # of the body of that one, unless it comes in chunks
        self._chunks: _Chunks | None = None
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
        self._begins_at, self._head_at = (None if in_body else 0), None
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
        self._begins_at = len(data) - len(rest)

    def begins_at(self) -> int:
        """Where in ``since_head`` the head begins that is read. Raises :class:`RefusedError`.

        Behind another request of the same read it begins where that one ends.
        """
        if self._begins_at is None:
            begins = self._body_ends()
            if begins is None:
                raise RefusedError("bad-request", "the end of a body is not where it must be")
            if self.since_head.startswith(b"\r\n", begins):  # one empty line, as at the beginning
                begins += 2
            self._begins_at = begins
        return self._begins_at

    def _body_ends(self) -> int | None:
        body_at = 0
        if self._head_at is not None:
            body_at = self.since_head.index(b"\r\n\r\n", self._head_at) + 4
        if self._chunks is not None:
            return self._chunks.end(self.since_head, body_at)
        return body_at + self._length - (self._counted if self._head_at is None else 0)

    def follow_chunks(self) -> None:
        """Note what was read of a body in chunks that goes on."""
        if self._chunks is not None:
            self._body_ends()

    def begin_body(self, length: int | None) -> None:
        """A head is whole, whose body has that many bytes, or comes in chunks."""
        self._head_at, self._begins_at, self._length = self._begins_at, None, length or 0
        self._chunks = _Chunks() if length is None else None
        self.body_bytes = self._chunking_bytes = 0

    def check_head(self, *, began_before: bool) -> None:
        """Bound a head that is not whole yet. Raises :class:`RefusedError`."""
        if not began_before:  # but in this read, behind a request
            self.since_head = self.since_head[self.begins_at() :]
            self._begins_at, self._head_bytes = 0, len(self.since_head)
        if self._head_bytes > MAX_HEAD_BYTES:
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


def check_line(method: bytes, target: bytes, read: ReadBounds) -> None:
    """Hold the request line to ``METHOD SP /target SP HTTP/``. Raises :class:`RefusedError`.

    The parser takes more spaces, and other protocols than HTTP, so ``read`` is asked, which has
    the line as it came. The absolute form names a second host beside the header.
    """
    if target[:1] != b"/":
        raise RefusedError("bad-request", "the target is not a path")
    if not read.since_head.startswith(b"%b %b HTTP/" % (method, target), read.begins_at()):
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
