"""A request and its answer as the bytes of HTTP/1.1 (RFC 9112), without I/O.

Of an answer's head three fields say where its end is, and the rest is passed over. What could be
read in two ways is refused: two lengths, a length beside chunks, a field that goes on in a second
line. Everything is bounded.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from mycelium_fractal_net.security.errors import CustodianUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LINE_BYTES: Final = 16_384
FIELDS: Final = 100
_INTERIM_ANSWERS: Final = 8  # of status 1xx, before the final one
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\r]*)?")
_LENGTH: Final = re.compile(rb"[0-9]{1,15}")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?")
_WITHOUT_BODY: Final = (204, 304)  # RFC 9112 section 6.3


def request_bytes(
    method: str, target: str, host: str, fields: Mapping[str, str], content: bytes | None
) -> bytes:
    """A request, which goes out in one piece. No part of it holds a line's end."""
    length = 0 if content is None else len(content)
    lines = [
        f"{method} {target} HTTP/1.1",
        f"Host: {host}",
        "Accept-Encoding: identity",
        *(f"{name}: {value}" for name, value in fields.items()),
    ]
    if content is not None or method != "GET":
        lines.append(f"Content-Length: {length}")
    return "\r\n".join((*lines, "\r\n")).encode("ascii") + (content or b"")


class AnswerRead(NamedTuple):
    """The status, the body, and whether the connection stays open."""

    status: int
    body: bytes
    stays: bool


class Incoming:
    """What came on a connection and was not read yet; ``receive`` gives more, or nothing at its
    end. Its methods raise :class:`CustodianUnavailableError` where that comes too early."""

    def __init__(self, receive: Callable[[], bytes]) -> None:
        self._receive = receive
        self._here = bytearray()

    @property
    def is_empty(self) -> bool:
        """Whether all that came was read."""
        return not self._here

    def line(self) -> bytes:
        """One line, without its end."""
        searched = 0
        while (end := self._here.find(b"\n", searched)) < 0:
            searched = len(self._here)
            if searched > LINE_BYTES:
                raise _no_answer()
            self._more()
        if end > LINE_BYTES:
            raise _no_answer()
        line = self._taken(end + 1)
        return line[:-2] if line.endswith(b"\r\n") else line[:-1]

    def exactly(self, count: int) -> bytes:
        """So many bytes."""
        while len(self._here) < count:
            self._more()
        return self._taken(count)

    def rest(self, most: int) -> bytes:
        """All up to the end."""
        while len(self._here) <= most and (more := self._receive()):
            self._here += more
        if len(self._here) > most:
            raise _too_long()
        return self._taken(most)

    def _more(self) -> None:
        more = self._receive()
        if not more:
            raise CustodianUnavailableError("Vault broke its answer off")
        self._here += more

    def _taken(self, count: int) -> bytes:
        found = bytes(self._here[:count])
        del self._here[:count]
        return found


class _Head(NamedTuple):
    status: int
    length: int | None
    chunked: bool
    stays: bool


def read_answer(incoming: Incoming, most: int) -> AnswerRead:
    """An answer whose body has at most so many bytes. Raises :class:`CustodianUnavailableError`."""
    head = _read_head(incoming)
    for _ in range(_INTERIM_ANSWERS):
        if head.status >= 200:
            break
        head = _read_head(incoming)
    else:
        raise _no_answer()
    if head.status in _WITHOUT_BODY:
        return AnswerRead(head.status, b"", head.stays)
    if head.chunked:
        return AnswerRead(head.status, _read_chunks(incoming, most), head.stays)
    if head.length is None:
        return AnswerRead(head.status, incoming.rest(most), stays=False)
    if head.length > most:
        raise _too_long()
    return AnswerRead(head.status, incoming.exactly(head.length), head.stays)


def _read_head(incoming: Incoming) -> _Head:
    status_line = _STATUS_LINE.fullmatch(incoming.line())
    if status_line is None:
        raise _no_answer()
    length: int | None = None
    chunked, stays = False, status_line[1] == b"1"
    for _ in range(FIELDS + 1):
        line = incoming.line()
        if not line:
            break
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise _no_answer()
        name, value = name.lower(), value.strip(b" \t")
        if name == b"content-length":
            if not _LENGTH.fullmatch(value) or length not in (None, int(value)):
                raise _no_answer()
            length = int(value)
        elif name == b"transfer-encoding":
            if chunked or value.lower() != b"chunked":
                raise _no_answer()
            chunked = True
        elif name == b"connection" and b"close" in value.lower():
            stays = False
    else:
        raise _no_answer()
    if chunked and length is not None:
        raise _no_answer()
    return _Head(int(status_line[2]), length, chunked, stays)


def _read_chunks(incoming: Incoming, most: int) -> bytes:
    body = bytearray()
    while True:
        size = _CHUNK.fullmatch(incoming.line())
        if size is None:
            raise _no_answer()
        count = int(size[1], 16)
        if len(body) + count > most:
            raise _too_long()
        if not count:
            break
        body += incoming.exactly(count)
        if incoming.line():
            raise _no_answer()
    for _ in range(FIELDS + 1):  # trailers, which nobody reads
        if not incoming.line():
            return bytes(body)
    raise _no_answer()


def _no_answer() -> CustodianUnavailableError:
    return CustodianUnavailableError("Vault answers what is no HTTP")


def _too_long() -> CustodianUnavailableError:
    return CustodianUnavailableError("Vault answers more than any answer holds")
