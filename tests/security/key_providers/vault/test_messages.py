"""Answers of HTTP/1.1 as bytes: what is read from them, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.errors import CustodianUnavailableError
from mycelium_fractal_net.security.key_providers.vault.messages import (
    FIELDS,
    LINE_BYTES,
    Incoming,
    read_answer,
    request_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

OK = b"HTTP/1.1 200 OK\r\n"
MOST = 20


def incoming(*parts: bytes) -> Incoming:
    """What comes in these parts, and then the end."""
    left = iter((*parts, b"", b"", b""))
    return Incoming(lambda: next(left))


def byte_by_byte(text: bytes) -> Iterable[bytes]:
    return (bytes([each]) for each in text)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (OK + b"Content-Length: 2\r\n\r\n{}", (200, b"{}", True)),
        (OK + b"content-length:2\r\nContent-Length: 2\r\n\r\n{}", (200, b"{}", True)),
        (OK + b"Content-Length: 2\r\nConnection: x, Close\r\n\r\n{}", (200, b"{}", False)),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", (200, b"{}", False)),
        (b"HTTP/1.1 204\nDate: today\n\n", (204, b"", True)),
        (b"HTTP/1.1 304 Not\r\nContent-Length: 9\r\n\r\n", (304, b"", True)),
        (OK + b"Any-thing: x\r\n\r\n{}", (200, b"{}", False)),
        (OK + b"Transfer-Encoding: Chunked\r\n\r\n1;a=b\r\n{\r\n1 \r\n}\r\n0\r\nA: b\r\n\r\n",
         (200, b"{}", True)),
        (b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n",
         (200, b"", True)),
    ],
)  # fmt: skip
def test_an_answer_is_read_however_it_comes(text: bytes, read: tuple[int, bytes, bool]) -> None:
    """At once or byte by byte; what follows it stays where it is."""
    assert read_answer(incoming(text), MOST) == read
    came = incoming(*byte_by_byte(text))
    assert read_answer(came, MOST) == read
    assert came.is_empty
    if read[2]:
        more = incoming(text + b"H")
        assert read_answer(more, MOST) == read
        assert not more.is_empty


@pytest.mark.parametrize(
    "text",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}!",
        OK + b"Content-Length: -2\r\n\r\n{}",
        OK + b"Content-Length: 2, 2\r\n\r\n{}",
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Content-Length : 2\r\n\r\n{}",
        OK + b"A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}",
        OK + b": 2\r\n\r\n",
        OK + b"no field\r\n\r\n",
        OK + b"A: b\r\n" * (FIELDS + 1) + b"\r\n",
        OK + b"A: " + b"b" * LINE_BYTES + b"\r\n\r\n",
        OK + b"A: " + b"b" * LINE_BYTES,
        OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * (FIELDS + 1),
        b"HTTP/1.1 100 Continue\r\n\r\n" * 9 + OK + b"Content-Length: 0\r\n\r\n",
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_no_answer(text: bytes) -> None:
    """And whatever has no bound."""
    for came in (incoming(text), incoming(*byte_by_byte(text))):
        with pytest.raises(CustodianUnavailableError, match="no HTTP"):
            read_answer(came, MOST)


@pytest.mark.parametrize(
    "text",
    [
        OK + b"Content-Length: 21\r\n\r\n" + b"x" * 21,
        OK + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n",
        OK + b"\r\n" + b"x" * 21,
    ],
)
def test_an_answer_that_is_too_long_is_not_read_to_its_end(text: bytes) -> None:
    """By its length, its chunks, or the end of the connection."""
    with pytest.raises(CustodianUnavailableError, match="more than any answer holds"):
        read_answer(incoming(text), MOST)


def test_an_answer_that_is_cut_anywhere_is_none() -> None:
    """With a length, and in chunks."""
    for text in (
        OK + b"Content-Length: 2\r\n\r\n{}",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ):
        for end in range(len(text)):
            with pytest.raises(CustodianUnavailableError, match="broke its answer off"):
                read_answer(incoming(text[:end] if end else b""), MOST)


def test_a_request_is_one_piece_that_says_how_long_it_is() -> None:
    """One that asks for something to be done says so even where it sends nothing."""
    assert request_bytes("POST", "/v1/a", "h:1", {"X": "y"}, b"{}") == (
        b"POST /v1/a HTTP/1.1\r\nHost: h:1\r\nAccept-Encoding: identity\r\nX: y\r\n"
        b"Content-Length: 2\r\n\r\n{}"
    )
    assert b"Content-Length: 0" in request_bytes("DELETE", "/", "h", {}, None)
    assert b"Content-Length" not in request_bytes("GET", "/", "h", {}, None)
