"""Desynchronisation by what else is in a head: targets, hosts, hops, expectations."""

from __future__ import annotations

from typing import Final

from campaigns.misuse.techniques import (
    BEGUN,
    GET,
    HIDDEN,
    HOST,
    JSON,
    KEY,
    LAST,
    POST,
    TE,
    Technique,
    framing,
)

_BODY: Final = b"Content-Length: %d\r\n" % len(HIDDEN)
_JSON: Final = b"Content-Length: %d\r\n" % len(JSON)

_EXPECT: Final = {
    "with its body at once": (POST + _JSON + b"Expect: 100-continue\r\n\r\n" + JSON,),
    "with its body later": (POST + _JSON + b"Expect: 100-continue\r\n\r\n", JSON),
    "of a GET": (GET + _BODY + b"Expect: 100-continue\r\n\r\n" + HIDDEN,),
    "of a GET, the body later": (GET + _BODY + b"Expect: 100-continue\r\n\r\n", HIDDEN),
    "of a HEAD": (GET.replace(b"GET", b"HEAD") + _BODY + b"Expect: 100-continue\r\n\r\n", HIDDEN),
    "refused before the body": (
        POST.replace(b"API_KEY", b"none") + _BODY + b"Expect: 100-continue\r\n\r\n",
        HIDDEN,
    ),
    "a word before": (GET + _BODY + b"Expect: y 100-continue\r\n\r\n" + HIDDEN,),
    "capitals": (GET + _BODY + b"Expect: 100-CONTINUE\r\n\r\n" + HIDDEN,),
    "a parameter": (GET + _BODY + b"Expect: 100-continue;a\r\n\r\n" + HIDDEN,),
    "twice": (GET + _BODY + b"Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n" + HIDDEN,),
    "another": (POST + _JSON + b"Expect: 200-ok\r\n\r\n" + JSON,),
    "folded": (GET + _BODY + b"Expect:\r\n 100-continue\r\n\r\n" + HIDDEN,),
    "without a body": (GET + b"Expect: 100-continue\r\n\r\n" + HIDDEN,),
    "in chunks": (POST + TE + b"Expect: 100-continue\r\n\r\n", b"f\r\n" + JSON + b"\r\n" + LAST),
}

_HOPS: Final = {
    "X-API-Key": POST + _JSON + b"Connection: X-API-Key\r\n\r\n" + JSON,
    "Content-Length": POST + _JSON + b"Connection: Content-Length\r\n\r\n" + JSON,
    "Transfer-Encoding": POST
    + TE
    + b"Connection: Transfer-Encoding\r\n\r\nf\r\n"
    + JSON
    + b"\r\n"
    + LAST,
    "Host": POST + _JSON + b"Connection: Host\r\n\r\n" + JSON,
    "X-Forwarded-For": GET + b"Connection: X-Forwarded-For\r\n\r\n",
    "close and a name": POST + _JSON + b"Connection: close, X-API-Key\r\n\r\n" + JSON,
    "twice": GET + b"Connection: close\r\nConnection: keep-alive\r\n\r\n" + HIDDEN,
    "keep-alive of HTTP/1.0": b"GET /health/live HTTP/1.0\r\n"
    + HOST
    + b"Connection: keep-alive\r\n\r\n"
    + BEGUN,
    "chunks of HTTP/1.0": POST.replace(b"1.1\r", b"1.0\r")
    + TE
    + b"Connection: keep-alive\r\n\r\n0\r\n\r\n"
    + HIDDEN,
    "a length of HTTP/1.0": POST.replace(b"1.1\r", b"1.0\r")
    + _JSON
    + b"Connection: keep-alive\r\n\r\n"
    + JSON,
    "h2c": GET
    + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    + HIDDEN,
    "h2c without its settings": GET + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + HIDDEN,
    "h2c without Connection": GET + b"Upgrade: h2c\r\n\r\n",
    "h2c with a body": POST + _BODY + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + HIDDEN,
    "a websocket": GET
    + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n" + HIDDEN,
    "a websocket of another version": GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 7\r\nSec-WebSocket-Key: AA==\r\n\r\n" + HIDDEN,
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "Keep-Alive": GET + b"Keep-Alive: timeout=0\r\nProxy-Connection: close\r\n\r\n",
}

_CLIENTS: Final = {
    "a body where none is read": GET + _BODY + b"\r\n" + HIDDEN,
    "chunks where none are read": GET
    + TE
    + b"\r\n"
    + b"%x\r\n%b\r\n" % (len(HIDDEN), HIDDEN)
    + LAST,
    "a body of HEAD": GET.replace(b"GET", b"HEAD") + _BODY + b"\r\n" + HIDDEN,
    "a body of OPTIONS": GET.replace(b"GET", b"OPTIONS") + _BODY + b"\r\n" + HIDDEN,
    "a body of DELETE": GET.replace(b"GET", b"DELETE") + _BODY + b"\r\n" + HIDDEN,
    "a body of TRACE": GET.replace(b"GET", b"TRACE") + _BODY + b"\r\n" + HIDDEN,
    "a body of an unknown method": GET.replace(b"GET", b"QUERY") + _BODY + b"\r\n" + HIDDEN,
    "a body to no route": b"POST /nothing HTTP/1.1\r\n" + HOST + _BODY + b"\r\n" + HIDDEN,
    "a body without a key": POST.replace(KEY, b"") + _BODY + b"\r\n" + HIDDEN,
    "a body that is a request": POST + _BODY + b"\r\n" + HIDDEN,
    "a body of another type": POST.replace(b"application/json", b"text/plain")
    + _BODY
    + b"\r\n"
    + HIDDEN,
    "a request in a header": GET + b"X-A: " + HIDDEN[:30] + b"\r\n\r\n",
}

_LINES: Final = {
    "bare LF everywhere": GET.replace(b"\r\n", b"\n") + b"\n" + HIDDEN,
    "bare LF ends the head": GET + b"\n" + HIDDEN,
    "bare CR ends the head": GET + b"\r" + HIDDEN,
    "CR CR LF": GET.replace(b"\r\n", b"\r\r\n") + b"\r\n" + HIDDEN,
    "bare CR before a name": GET + b"X-A: b\rX-B: c\r\n\r\n",
    "bare LF before a name": GET + b"X-A: b\nX-B: c\r\n\r\n",
    "LF LF in a header": GET + b"X-A: b\n\n" + HIDDEN,
    "CR CR in a header": GET + b"X-A: b\r\r" + HIDDEN,
    "empty lines before": b"\r\n\r\n\r\n" + GET + b"\r\n",
    "bare LF before": b"\n" + GET + b"\r\n",
    "a folded header": GET + b"X-A: b\r\n c\r\n\r\n",
    "folded with a tab": GET + b"X-A: b\r\n\tc\r\n\r\n",
    "a space before the first header": GET.replace(HOST, b" X-A: b\r\n" + HOST) + b"\r\n",
    "an empty name": GET + b": b\r\n\r\n" + HIDDEN,
    "no colon": GET + b"X-A\r\n\r\n" + HIDDEN,
    "NUL in a value": GET + b"X-A: b\x00c\r\n\r\n",
    "a raw byte in a name": GET + b"X\xffA: b\r\n\r\n",
    "spaces in the line": GET.replace(b" ", b"  ", 1) + b"\r\n",
    "tabs in the line": GET.replace(b" ", b"\t", 2) + b"\r\n",
    "a second version": GET.replace(b" HTTP/1.1", b" HTTP/1.1 HTTP/1.1") + b"\r\n",
    "a request in the line": b"GET /health/live HTTP/1.1\rX: y " + HIDDEN + b"\r\n",
    "HTTP/0.9": b"GET /health/live\r\n" + HIDDEN,
    "HTTP/1.2": GET.replace(b"HTTP/1.1", b"HTTP/1.2") + b"\r\n",
    "HTTP/9.9": GET.replace(b"HTTP/1.1", b"HTTP/9.9") + b"\r\n",
    "HTTP/2.0": GET.replace(b"HTTP/1.1", b"HTTP/2.0") + b"\r\n",
    "http/1.1": GET.replace(b"HTTP/1.1", b"http/1.1") + b"\r\n",
    "HTTP/01.1": GET.replace(b"HTTP/1.1", b"HTTP/01.1") + b"\r\n",
    "HTTP/1.1 with more": GET.replace(b"HTTP/1.1", b"HTTP/1.1x") + b"\r\n",
    "a method in small letters": GET.replace(b"GET", b"get") + b"\r\n",
    "a method with a colon": GET.replace(b"GET", b"G:ET") + b"\r\n",
}

_HOSTS: Final = {
    "two": GET + b"Host: other.example\r\n\r\n",
    "two, ours last": GET.replace(HOST, b"Host: other.example\r\n" + HOST) + b"\r\n",
    "none": GET.replace(HOST, b"") + b"\r\n",
    "another": GET.replace(HOST, b"Host: other.example\r\n") + b"\r\n",
    "empty": GET.replace(HOST, b"Host:\r\n") + b"\r\n",
    "a list": GET.replace(HOST, b"Host: keys.example, other.example\r\n") + b"\r\n",
    "user information": GET.replace(HOST, b"Host: other.example@keys.example\r\n") + b"\r\n",
    "a path": GET.replace(HOST, b"Host: keys.example/other\r\n") + b"\r\n",
    "a space before the colon": GET.replace(b"Host:", b"Host :") + b"\r\n",
    "folded": GET.replace(HOST, b"Host:\r\n keys.example\r\n") + b"\r\n",
    "a port that is none": GET.replace(HOST, b"Host: keys.example:x\r\n") + b"\r\n",
    "capitals": GET.replace(HOST, b"Host: KEYS.EXAMPLE\r\n") + b"\r\n",
    "a dot behind": GET.replace(HOST, b"Host: keys.example.\r\n") + b"\r\n",
    "an absolute target": GET.replace(b"/health", b"https://keys.example/health") + b"\r\n",
    "an absolute target of another": GET.replace(b"/health", b"https://other.example/health")
    + b"\r\n",
    "an absolute target of http": GET.replace(b"/health", b"http://keys.example/health") + b"\r\n",
    "an absolute target with another Host": GET.replace(
        b"/health", b"https://keys.example/health"
    ).replace(HOST, b"Host: other.example\r\n")
    + b"\r\n",
    "X-Forwarded-Host": GET + b"X-Forwarded-Host: other.example\r\nX-Host: other.example\r\n\r\n",
    "CONNECT": b"CONNECT keys.example:443 HTTP/1.1\r\n" + HOST + b"\r\n" + HIDDEN,
    "an asterisk": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
}

_PATHS: Final = (
    b"//keys",
    b"/keys/",
    b"/./keys",
    b"/health/../keys",
    b"/health/live/../../keys",
    b"/health/..;/keys",
    b"/..;/keys",
    b"/keys;a=b",
    b"/keys%2f",
    b"/%2e%2e/keys",
    b"/%2e/keys",
    b"/health/%2e%2e/keys",
    b"/health%2f..%2fkeys",
    b"/health/live%2f..%2f..%2fkeys",
    b"/%6beys",
    b"/%256beys",
    b"/KEYS",
    b"/keys%20",
    b"/keys%00",
    b"/keys%0a",
    b"/keys%0d%0aX-A:%20b",
    b"/keys%3fa",
    b"/keys%23",
    b"/keys#a",
    b"/keys\\..",
    b"\\keys",
    b"/health/live/..\\..\\keys",
    b"/.//keys",
    b"/keys/.",
    b"/keys/..",
    b"/%ef%bc%8fkeys",
    b"/keys\xc0\xaf",
    b"/keys%c0%af",
    b"/keys%u002f",
    b"/health/live?/../keys",
    b"/keys?a=b&a=c",
    b"/keys%",
    b"keys",
    b"*",
)

_LARGE: Final = {
    "a header of 8,189 bytes": GET + b"X-A: " + b"b" * 8_184 + b"\r\n\r\n",
    "a header of 9,000 bytes": GET + b"X-A: " + b"b" * 9_000 + b"\r\n\r\n",
    "a header of 70,000 bytes": GET + b"X-A: " + b"b" * 70_000 + b"\r\n\r\n" + HIDDEN,
    "headers of 32 KiB": GET + (b"X-A: " + b"b" * 4_000 + b"\r\n") * 9 + b"\r\n" + HIDDEN,
    "a hundred headers": GET + b"X-A: b\r\n" * 90 + b"\r\n",
    "more headers": GET + b"X-A: b\r\n" * 101 + b"\r\n" + HIDDEN,
    "a target of 8,000 bytes": GET.replace(b"live", b"live?" + b"a" * 8_000) + b"\r\n",
    "a target of 9,000 bytes": GET.replace(b"live", b"live?" + b"a" * 9_000) + b"\r\n" + HIDDEN,
}


def techniques() -> list[Technique]:
    """Every technique of HTTP/1.1, by family."""
    found = framing()
    found += [Technique("Expect", name, parts) for name, parts in _EXPECT.items()]
    for family, table in (
        ("Connection and Upgrade", _HOPS),
        ("client-side", _CLIENTS),
        ("lines", _LINES),
        ("Host and target", _HOSTS),
        ("sizes", _LARGE),
    ):
        found += [Technique(family, name, (raw,)) for name, raw in table.items()]
    for path in _PATHS:  # without an API key: whatever is read, it is not the list of keys
        raw = b"GET %b HTTP/1.1\r\n" % path + HOST + b"\r\n"
        found.append(Technique("paths", path.decode("latin-1"), (raw,), open_to_all=False))
    good = POST + _JSON + b"\r\n" + JSON
    found.append(Technique("pipelining", "good ones", (good + GET + b"\r\n" + good,)))
    found.append(
        Technique("pipelining", "a refused one between", (good + GET + HOST + b"\r\n" + HIDDEN,))
    )
    found.append(Technique("pipelining", "half of one at the end", (good + BEGUN,)))
    return found
