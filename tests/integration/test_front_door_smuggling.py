"""Requests that two servers could read in two ways, raw on the socket: refused, and hung up on."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.service import b64

if TYPE_CHECKING:
    from tests.support.service import Running

HOST = b"Host: keys.example\r\n"
CHUNKED = HOST + b"Transfer-Encoding: chunked\r\n"
GET = b"GET /health/live HTTP/1.1\r\n"
POST = b"POST /crypto/encrypt HTTP/1.1\r\nX-API-Key: API_KEY\r\n"
LONG = b"X-A: " + b"b" * 8_000 + b"\r\n"
CHUNKS = b"2\r\n{}\r\n0\r\n\r\n"

REFUSED = {
    "two Host headers": GET + HOST + HOST + b"\r\n",
    "two Host headers that differ": GET + HOST + b"host: other.example\r\n\r\n",
    "no Host header": GET + b"\r\n",
    "an empty Host header": GET + b"Host:\r\n\r\n",
    "a Host with a path": GET + b"Host: a/b\r\n\r\n",
    "a Host with user information": GET + b"Host: a@b\r\n\r\n",
    "two hosts in one header": GET + b"Host: a b\r\n\r\n",
    "an absolute target": b"GET http://keys.example/health/live HTTP/1.1\r\n" + HOST + b"\r\n",
    "an absolute target of https": b"GET https://a/health/live HTTP/1.1\r\n" + HOST + b"\r\n",
    "an asterisk target": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "an authority target": b"CONNECT keys.example:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target without a slash": b"GET health/live HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target with a fragment": b"GET /health/live#x HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target with a control": b"GET /health/live\x01 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a target with a raw byte": b"GET /health/l\xc3\xa4ve HTTP/1.1\r\n" + HOST + b"\r\n",
    "Content-Length before Transfer-Encoding": POST
    + HOST
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    + CHUNKS,
    "Content-Length after Transfer-Encoding": POST
    + CHUNKED
    + b"Content-Length: 12\r\n\r\n"
    + CHUNKS,
    "two Content-Lengths": POST + HOST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "two Content-Lengths that differ": POST
    + HOST
    + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    "a list of Content-Lengths": POST + HOST + b"Content-Length: 2, 2\r\n\r\n{}",
    "a Content-Length with a sign": POST + HOST + b"Content-Length: +2\r\n\r\n{}",
    "a negative Content-Length": POST + HOST + b"Content-Length: -2\r\n\r\n{}",
    "a Content-Length in hexadecimal": POST + HOST + b"Content-Length: 0x2\r\n\r\n{}",
    "an empty Content-Length": POST + HOST + b"Content-Length:\r\n\r\n{}",
    "a Content-Length with a tab": POST + HOST + b"Content-Length: 2\t\r\n\r\n{}",
    "a Content-Length without end": POST + HOST + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n{}",
    "a coding before chunked": POST + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKS,
    "a coding after chunked": POST + HOST + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + CHUNKS,
    "chunked twice": POST + HOST + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + CHUNKS,
    "two Transfer-Encodings": POST + CHUNKED + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "identity": POST + HOST + b"Transfer-Encoding: identity\r\n\r\n" + CHUNKS,
    "a coding that looks like chunked": POST
    + HOST
    + b"Transfer-Encoding: xchunked\r\n\r\n"
    + CHUNKS,
    "chunked in capitals": POST + HOST + b"Transfer-Encoding: Chunked\r\n\r\n" + CHUNKS,
    "chunked with a tab behind": POST + HOST + b"Transfer-Encoding: chunked\t\r\n\r\n" + CHUNKS,
    "chunked in quotes": POST + HOST + b'Transfer-Encoding: "chunked"\r\n\r\n' + CHUNKS,
    "an empty Transfer-Encoding": POST + HOST + b"Transfer-Encoding:\r\n\r\n" + CHUNKS,
    "a space before the colon of Transfer-Encoding": POST
    + HOST
    + b"Transfer-Encoding : chunked\r\n\r\n"
    + CHUNKS,
    "a vertical tab before chunked": POST
    + HOST
    + b"Transfer-Encoding:\x0bchunked\r\n\r\n"
    + CHUNKS,
    "chunks in HTTP/1.0": b"POST /crypto/encrypt HTTP/1.0\r\n" + CHUNKED + b"\r\n" + CHUNKS,
    "a trailer": POST + CHUNKED + b"\r\n2\r\n{}\r\n0\r\nX-API-Key: another\r\n\r\n",
    "a trailer named before": POST
    + CHUNKED
    + b"Trailer: X-A\r\n\r\n2\r\n{}\r\n0\r\nX-A: b\r\n\r\n",
    "bare LF after the request line": b"GET /health/live HTTP/1.1\n" + HOST + b"\r\n",
    "bare LF after a header": GET + b"Host: keys.example\n\r\n",
    "bare LF as the end of the head": GET + HOST + b"\n",
    "bare LF everywhere": b"GET /health/live HTTP/1.1\nHost: keys.example\n\n",
    "bare LF before the request": b"\n" + GET + HOST + b"\r\n",
    "bare CR in a header": GET + HOST + b"X-A: b\rX-B: c\r\n\r\n",
    "bare CR before the end of the head": GET + HOST + b"\rX\r\n\r\n",
    "bare LF after a chunk's size": POST + CHUNKED + b"\r\n2\n{}\r\n0\r\n\r\n",
    "bare LF after a chunk": POST + CHUNKED + b"\r\n2\r\n{}\n0\r\n\r\n",
    "bare LF in a chunk's extension": POST + CHUNKED + b"\r\n2;a\n{}\r\n0\r\n\r\n",
    "bare LF after the last chunk": POST + CHUNKED + b"\r\n2\r\n{}\r\n0\r\n\n",
    "a chunk's size in another notation": POST + CHUNKED + b"\r\n0x2\r\n{}\r\n0\r\n\r\n",
    "a chunk's size with a sign": POST + CHUNKED + b"\r\n+2\r\n{}\r\n0\r\n\r\n",
    "a chunk's size with a space": POST + CHUNKED + b"\r\n2 \r\n{}\r\n0\r\n\r\n",
    "a chunk's size that overflows": POST + CHUNKED + b"\r\n" + b"f" * 17 + b"\r\n{}\r\n0\r\n\r\n",
    "more in a chunk than its size": POST + CHUNKED + b"\r\n2\r\n{}{}\r\n0\r\n\r\n",
    "a folded header": GET + HOST + b"X-A: b\r\n c\r\n\r\n",
    "a header folded with a tab": GET + HOST + b"X-A: b\r\n\tc\r\n\r\n",
    "a header folded after its colon": GET + HOST + b"X-A:\r\n b\r\n\r\n",
    "a space before the first header": GET + b" " + HOST + b"\r\n",
    "a space before a colon": GET + b"Host : keys.example\r\n\r\n",
    "a tab before a colon": GET + b"Host\t: keys.example\r\n\r\n",
    "a header without a name": GET + HOST + b": b\r\n\r\n",
    "a header without a colon": GET + HOST + b"X-A\r\n\r\n",
    "NUL in a header": GET + HOST + b"X-A: b\0c\r\n\r\n",
    "NUL in a header's name": GET + HOST + b"X\0A: b\r\n\r\n",
    "a control in a header": GET + HOST + b"X-A: b\x01c\r\n\r\n",
    "DEL in a header": GET + HOST + b"X-A: b\x7fc\r\n\r\n",
    "a raw byte in a header's name": GET + HOST + b"X\xffA: b\r\n\r\n",
    "HTTP/0.9": b"GET /health/live\r\n\r\n",
    "HTTP/0.9 with its name": b"GET /health/live HTTP/0.9\r\n" + HOST + b"\r\n",
    "HTTP/1.2": b"GET /health/live HTTP/1.2\r\n" + HOST + b"\r\n",
    "HTTP/2.0": b"GET /health/live HTTP/2.0\r\n" + HOST + b"\r\n",
    "HTTP/1.1 in small letters": b"GET /health/live http/1.1\r\n" + HOST + b"\r\n",
    "HTTP/1.1 with more digits": b"GET /health/live HTTP/1.10\r\n" + HOST + b"\r\n",
    "another protocol's name": b"GET /health/live RTSP/1.0\r\n" + HOST + b"\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "two spaces before the target": b"GET  /health/live HTTP/1.1\r\n" + HOST + b"\r\n",
    "two spaces behind the target": b"GET /health/live  HTTP/1.1\r\n" + HOST + b"\r\n",
    "a tab before the target": b"GET\t/health/live HTTP/1.1\r\n" + HOST + b"\r\n",
    "a space behind the version": b"GET /health/live HTTP/1.1 \r\n" + HOST + b"\r\n",
    "a space in the target": b"GET /health/live x HTTP/1.1\r\n" + HOST + b"\r\n",
    "a space before the method": b" " + GET + HOST + b"\r\n",
    "a method in small letters": b"get /health/live HTTP/1.1\r\n" + HOST + b"\r\n",
    "many empty lines before the request": b"\r\n\r\n" + GET + HOST + b"\r\n",
    "a websocket": GET
    + HOST
    + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    "h2c": GET
    + HOST
    + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\n\r\n",
    "an upgrade without Connection": GET + HOST + b"Upgrade: h2c\r\n\r\n",
    "two API keys": POST + HOST + b"X-API-Key: another\r\nContent-Length: 2\r\n\r\n{}",
    "two API keys that are alike": POST + HOST + b"x-api-key: API_KEY\r\n\r\n",
    "a TLS handshake": bytes.fromhex("160301020001000001fc0303") + bytes(32),
}  # fmt: skip


def sent(service: Running, *parts: bytes) -> bytes:
    """All that comes back on one connection, up to its end, for the parts, sent one by one."""
    with socket.create_connection(service.address(), timeout=20) as connection:
        for part in parts:
            connection.sendall(part.replace(b"API_KEY", service.api_key.encode()))
        found = b""
        while part := connection.recv(65_536):
            found += part
    return found


def answers(raw: bytes) -> list[tuple[int, dict[bytes, bytes], Any]]:
    """The answers in what came back: status, headers, and the body's JSON."""
    found = []
    while raw:
        head, _, raw = raw.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        headers = dict(line.split(b": ", 1) for line in lines)
        length = int(headers[b"content-length"])
        found.append((int(first.split()[1]), headers, json.loads(raw[:length])))
        raw = raw[length:]
    return found


def check_refused(answer: tuple[int, dict[bytes, bytes], Any], status: int = 400) -> None:
    """A problem, and a connection that ends."""
    code, headers, body = answer
    assert code == status, body
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"connection"] == b"close"
    assert headers[b"x-request-id"].decode() == body["request_id"]
    assert body["status"] == status
    assert set(body) == {"type", "title", "status", "detail", "request_id"}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_a_second_reading_is_refused_and_the_connection_closed(
    service: Running, case: str
) -> None:
    """Whatever follows on the connection is not looked at, so nothing can be smuggled behind."""
    (answer,) = answers(sent(service, REFUSED[case] + GET + HOST + b"\r\n"))
    check_refused(answer)


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_in_pieces_too(service: Running, case: str) -> None:
    """Where the reads end is not the client's to decide, nor a way around a check."""
    raw = (REFUSED[case] + GET + HOST + b"\r\n").replace(b"API_KEY", service.api_key.encode())
    with socket.create_connection(service.address(), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for place in range(0, len(raw), 7):
            try:
                connection.sendall(raw[place : place + 7])
            except OSError:  # it has been refused by now
                break
        found = b""
        while part := connection.recv(65_536):
            found += part
    (answer,) = answers(found)
    check_refused(answer)


def test_what_is_refused_behind_good_requests_is_refused_after_their_answers(
    service: Running,
) -> None:
    """Answers are in the order of their requests, refusals among them."""
    good = GET + HOST + b"\r\n"
    raw = good + good + GET + HOST + HOST + b"\r\n" + good
    first, second, third = answers(sent(service, raw))
    assert [first[0], second[0]] == [200, 200]
    check_refused(third)


LINE = b"GET /health/live HTTP/1.1\r\n"  # that the second one would be, elsewhere in what is read
BEFORE = {
    "a request without a body": LINE + HOST + b"\r\n",
    "a line of its own in a header": LINE + HOST + b"X-A: " + LINE + b"\r\n",
    "a body": POST + HOST + b"Content-Length: %d\r\n\r\n" % len(LINE) + LINE,
    "chunks": POST + CHUNKED + b"\r\n%x;%b=a\r\n%b\r\n000\r\n\r\n" % (
        len(LINE), b"GET", LINE
    ),
}  # fmt: skip
SECOND = {
    "another protocol": LINE.replace(b"HTTP/1.1", b"RTSP/1.0"),
    "two spaces": LINE.replace(b" ", b"  ", 1),
    "two empty lines before": b"\r\n\r\n" + LINE,
}


@pytest.mark.parametrize("second", SECOND)
@pytest.mark.parametrize("before", BEFORE)
def test_the_line_of_a_request_behind_another_is_checked_where_it_stands(
    service: Running, before: str, second: str
) -> None:
    """However the reads are cut, and whatever that before it holds; a good one is taken."""
    good = b"\r\n" + LINE + b"Connection: close\r\n" + HOST + b"\r\n"
    bad = SECOND[second] + HOST + b"\r\n"
    for raw, last in ((BEFORE[before] + good, 200), (BEFORE[before] + bad, 400)):
        raw = raw.replace(b"API_KEY", service.api_key.encode())
        cut = len(BEFORE[before].replace(b"API_KEY", service.api_key.encode()))
        for at in (None, 20, cut - 45, cut - 12, cut - 7, cut - 6, cut - 3, cut, cut + 9):
            with socket.create_connection(service.address(), timeout=20) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for part in (raw,) if at is None else (raw[:at], raw[at:]):
                    connection.sendall(part)
                    time.sleep(0.01)
                found = b""
                while part := connection.recv(65_536):
                    found += part
            first, behind = answers(found)
            assert first[0] in (200, 415)
            assert behind[0] == last, (at, behind)


def test_a_body_that_no_route_asked_for_is_refused_however_it_comes(service: Running) -> None:
    """With its length before it, and in chunks; an empty one is none."""
    key = b"X-API-Key: " + service.api_key.encode() + b"\r\nConnection: close\r\n"
    keys = b"GET /keys HTTP/1.1\r\n" + key
    coded = keys + CHUNKED + b"\r\n"
    for raw, status in (
        (keys + HOST + b"Content-Length: 1\r\n\r\nx", 413),
        (coded + b"1\r\nx\r\n0\r\n\r\n", 413),
        (keys + HOST + b"Content-Length: 0\r\n\r\n", 200),
        (coded + b"0\r\n\r\n", 200),
    ):
        ((found, _, _),) = answers(sent(service, raw))
        assert found == status


def test_blanks_around_a_header_are_none_of_it(service: Running) -> None:
    """RFC 9110 section 5.5: of the API key and of the media type."""
    body = json.dumps({"data": b64(b"hello")}).encode()
    raw = (
        b"POST /crypto/encrypt HTTP/1.1\r\nX-API-Key: \t " + service.api_key.encode() + b" \t\r\n"
        + HOST + b"Content-Type:application/json \r\nConnection: close\r\n"
        + b"Content-Length: %d\r\n\r\n" % len(body) + body
    )  # fmt: skip
    ((status, _, answer),) = answers(sent(service, raw))
    assert status == 200, answer


def test_pipelined_requests_are_answered_in_their_order(service: Running) -> None:
    """Slow ones and fast ones, with bodies and without, chunked and not."""
    body = json.dumps({"data": b64(b"hello")}).encode()
    kinds = b"Content-Type: application/json\r\n"
    encrypt = (
        POST + HOST + kinds + b"Content-Length: %d\r\n\r\n" % len(body) + body,
        POST + CHUNKED + kinds + b"\r\n%x;a=b\r\n%b\r\n0\r\n\r\n" % (len(body), body),
    )
    live = GET + HOST + b"\r\n"
    keys = b"GET /keys HTTP/1.1\r\nX-API-Key: %b\r\n" % service.api_key.encode() + HOST + b"\r\n"
    last = b"GET /nothing HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n"
    raw = b"".join((live, encrypt[0], keys, encrypt[1], live, *encrypt, last))
    raw = raw.replace(b"API_KEY", service.api_key.encode())
    for parts in ([raw], [raw[:100], raw[100:]], [raw[i : i + 50] for i in range(0, len(raw), 50)]):
        found = answers(sent(service, *parts))
        assert [each[0] for each in found] == [200] * 7 + [404]
        shapes = [set(each[2]) for each in found[:7]]
        ciphertext = {"ciphertext", "algorithm", "key_id"}
        assert [shape == ciphertext for shape in shapes] == [0, 1, 0, 1, 0, 1, 1]


def test_more_requests_at_once_than_wait_for_their_turn_are_refused(service: Running) -> None:
    """Those before it are answered; the client learns that it has to come again."""
    found = answers(sent(service, (GET + HOST + b"\r\n") * 200))
    assert [each[0] for each in found[:-1]] == [200] * (len(found) - 1)
    assert len(found) == 102
    check_refused(found[-1], 503)
    assert found[-1][1][b"retry-after"] == b"1"


def test_a_trailer_of_a_stream_ends_it_abnormally(service: Running) -> None:
    """The route has begun to answer: a problem would be taken for its data."""
    key = b"X-API-Key: " + service.api_key.encode() + b"\r\n"
    head = (
        b"POST /crypto/encrypt/stream HTTP/1.1\r\nContent-Type: application/octet-stream\r\n"
        + CHUNKED + key + b"\r\n"
    )  # fmt: skip
    with socket.create_connection(service.address(), timeout=20) as connection:
        connection.sendall(head + b"8000\r\n" + bytes(0x8000) + b"\r\n")
        found = connection.recv(65_536)
        assert found.startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"0\r\nX-API-Key: another\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            while part := connection.recv(65_536):
                found += part
            raise ConnectionResetError
    assert not found.endswith(b"0\r\n\r\n")
    assert b"HTTP/1.1 400" not in found


GOOD = {
    "an empty line before": b"\r\n" + GET + HOST + b"Connection: close\r\n\r\n",
    "a host with a port": GET + b"Host: keys.example:8000\r\nConnection: close\r\n\r\n",
    "a host that is an address": GET + b"Host: [::1]:80\r\nConnection: close\r\n\r\n",
    "HTTP/1.0": b"GET /health/live HTTP/1.0\r\n\r\n",
    "HTTP/1.0 with a host": b"GET /health/live HTTP/1.0\r\n" + HOST + b"\r\n",
    "a header without a space": GET + b"Host:keys.example\r\nConnection:close\r\n\r\n",
    "a header that is empty": GET + HOST + b"X-A:\r\nConnection: close\r\n\r\n",
    "a hundred headers": GET + HOST + b"X-A: b\r\n" * 98 + b"Connection: close\r\n\r\n",
    "a header of 8 KiB": GET
    + HOST
    + b"X-A: "
    + b"b" * 8_189
    + b"\r\nConnection: close\r\n\r\n",
    "headers of 32 KiB": GET
    + HOST
    + (b"X-A: " + b"b" * 8_000 + b"\r\n") * 4
    + b"Connection: close\r\n\r\n",
}  # fmt: skip


@pytest.mark.parametrize("case", GOOD)
def test_what_has_one_reading_is_taken(service: Running, case: str) -> None:
    """The bounds themselves too."""
    ((status, _, body),) = answers(sent(service, GOOD[case]))
    assert (status, body) == (200, {"status": "ok"})


LARGE = {
    "a header too many": (431, GET + HOST + b"X-A: b\r\n" * 100 + b"\r\n"),
    "a header too long": (431, GET + HOST + b"X-A: " + b"b" * 8_190 + b"\r\n\r\n"),
    "headers too long together": (431, GET + HOST + LONG * 5 + b"\r\n"),
    "a header without end": (431, GET + HOST + b"X-A: " + b"b" * 1_000_000),
    "a name without end": (431, GET + HOST + b"b" * 1_000_000),
    "headers without end": (431, GET + HOST + b"X-A: b\r\n" * 100_000),
    "a target too long": (414, b"GET /" + b"a" * 8_192 + b" HTTP/1.1\r\n" + HOST + b"\r\n"),
    "a target without end": (431, b"GET /" + b"a" * 1_000_000),
    "chunks with more beside data than they need": (
        400,
        POST + CHUNKED + b"Content-Type: application/json\r\n\r\n"
        + (b"1;" + b"a" * 1000 + b"\r\n \r\n") * 1000,
    ),
    "a chunk's size without end": (
        400,
        POST + CHUNKED + b"Content-Type: application/json\r\n\r\n"
        + b"0" * 1_000_000,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LARGE)
def test_what_is_too_large_is_refused_before_all_of_it_was_read(
    service: Running, case: str
) -> None:
    """However it comes; what is sent after that goes nowhere."""
    status, raw = LARGE[case]
    raw = raw.replace(b"API_KEY", service.api_key.encode())
    for size in (1_000_000, 4_000):
        with socket.create_connection(service.address(), timeout=20) as connection:
            try:
                for place in range(0, len(raw), size):
                    connection.sendall(raw[place : place + size])
            except OSError:
                assert size == 4_000 or len(raw) > 100_000
            found = b""
            try:
                while part := connection.recv(65_536):
                    found += part
            except ConnectionResetError:
                assert found, "the answer was lost"
        (answer,) = answers(found)
        check_refused(answer, status)


def test_a_body_that_is_not_read_closes_the_connection_after_its_answer(service: Running) -> None:
    """What is left of it could be taken for a request; the answer arrives all the same."""
    smuggled = GET + HOST + b"\r\n"
    head = POST.replace(b"API_KEY", b"none") + HOST + b"Content-Length: 100000\r\n\r\n"
    (answer,) = answers(sent(service, head, smuggled * 100))
    assert answer[0] == 401
    assert answer[1][b"connection"] == b"close"
