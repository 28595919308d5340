"""Streams of the client where what answers is not as it should be, byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from httpx._auth import FunctionAuth

from mycelium_fractal_net.client import AsyncClient, Client, Retries
from mycelium_fractal_net.security.errors import (
    InvalidInputError,
    KeyNotFoundError,
    MfnError,
    ServiceError,
    ServiceUnavailableError,
    StoreUnavailableError,
)
from mycelium_fractal_net.security.sealed.layout import sealed_bytes
from tests.support.client import API_KEY, QUICK, problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BIG = 12 * 1024 * 1024
SEALED = sealed_bytes(4)  # of what `four` holds
HEAD = b"HTTP/1.1 200 OK\r\nX-Key-Id: a:v1\r\n"
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % SEALED + bytes(SEALED)
ABSENT = problem("not-found", 404)


def raw(answer: httpx.Response) -> bytes:
    """An answer as bytes."""
    kind = answer.headers["content-type"].encode()
    return b"HTTP/1.1 %d X\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        answer.status_code, kind, len(answer.content), answer.content,
    )  # fmt: skip


@contextlib.contextmanager
def speaking(
    *answers: bytes | Callable[[socket.socket], None],
) -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives each connection the next of those answers once its head has come."""
    heads: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(10)

    def serve() -> None:
        for answer in answers:
            with contextlib.suppress(OSError):
                connection, _ = listening.accept()
                with connection:
                    connection.settimeout(10)
                    head = b""
                    while b"\r\n\r\n" not in head:
                        head += connection.recv(65_536)
                    heads.append(head)
                    if callable(answer):
                        answer(connection)
                        continue
                    body = head.partition(b"\r\n\r\n")[2]
                    while b"four" not in body and len(body) < 65_536:
                        if not (part := connection.recv(65_536)):
                            break
                        body += part
                    time.sleep(0.01)  # for the end of a body that is chunked
                    connection.sendall(answer)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65_536):
                        pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", heads
    finally:
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)  # wakes whoever waits for a connection
        thread.join(10)
        listening.close()


@pytest.fixture
def four(tmp_path: Path) -> Path:
    """A file of four bytes."""
    path = tmp_path / "four"
    path.write_bytes(b"four")
    return path


def sealed(url: str, source: Any, **options: Any) -> Path:
    """The file that a client of that address makes of another one."""
    target: Path = source.with_suffix(".mfn")
    with Client(url, API_KEY, **{"retries": QUICK, **options}) as remote:
        remote.encrypt_stream(source, target)
    return target


@pytest.mark.parametrize("answer", [
    WHOLE,
    b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE,
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (SEALED, bytes(SEALED)),
], ids=["whole", "continue", "chunked"])  # fmt: skip
def test_an_answer_that_is_all_there_is_kept(four: Path, answer: bytes) -> None:
    """However HTTP tells its end."""
    with speaking(answer) as (url, heads):
        assert sealed(url, four).read_bytes() == bytes(SEALED)
    assert b"content-length: 4\r\n" in heads[0].lower()


@pytest.mark.parametrize("answer", [
    b"", b"HTTP/1.1 200", WHOLE[:-1], WHOLE[:-50], b"nonsense\r\n\r\n",
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (SEALED, bytes(SEALED)),
    HEAD + b"Content-Length: %d\r\n\r\n%b" % (SEALED - 1, bytes(SEALED - 1)),
    HEAD + b"Content-Length: %d\r\n\r\n%b" % (SEALED + 1, bytes(SEALED + 1)),
    HEAD + b"\r\n" + bytes(SEALED - 5),
])  # fmt: skip
def test_a_part_of_an_answer_is_never_kept(four: Path, answer: bytes) -> None:
    """Cut, or of another size than what was sent asks for, however well it ended."""
    with speaking(*[answer] * QUICK.attempts) as (url, _), pytest.raises(ServiceError):
        sealed(url, four)
    assert os.listdir(four.parent) == ["four"]


def test_an_answer_that_has_begun_is_not_asked_for_again(four: Path) -> None:
    """The same message would break off at the same place."""
    with speaking(WHOLE[:-1], WHOLE) as (url, heads):
        with pytest.raises(ServiceUnavailableError, match="broke off"):
            sealed(url, four)
        sealed(url, four)
    assert len(heads) == 2


def test_a_file_is_sent_again_where_the_service_is_busy(four: Path) -> None:
    """From its beginning."""
    busy = raw(problem("store-unavailable", 503))
    with speaking(busy, busy, WHOLE) as (url, heads):
        sealed(url, four)
    assert len(heads) == 3


def test_a_stream_that_was_read_is_not_sent_again(four: Path) -> None:
    """What is left of it is not what was asked for."""
    with speaking(raw(problem("store-unavailable", 503)), WHOLE) as (url, heads):
        with Client(url, API_KEY, retries=QUICK) as remote, four.open("rb") as reader:
            with pytest.raises(StoreUnavailableError):
                remote.encrypt_stream(reader, four.with_suffix(".mfn"))
            with four.open("rb") as again, four.with_suffix(".mfn").open("wb") as target:
                assert remote.encrypt_stream(again, target).plain_bytes == 4
    assert len(heads) == 2


def test_a_pipe_that_was_read_is_not_read_again_for_having_a_name(tmp_path: Path) -> None:
    """What was left in it would have been sealed as if it were all."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def write() -> None:
        pipe.write_bytes(b"four")

    busy = raw(problem("store-unavailable", 503))
    writing = threading.Thread(target=write)
    with speaking(busy, WHOLE) as (url, heads):
        writing.start()
        with pytest.raises(StoreUnavailableError):
            sealed(url, pipe)
        writing.join()
    assert len(heads) == 1


def test_a_request_that_cannot_be_made_leaves_no_connection(four: Path) -> None:
    """It is closed at once, and not when somebody forgets the error."""

    def spoil(request: httpx.Request) -> httpx.Request:
        request.headers["X-More"] = "a\nb"
        return request

    ended: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with Client(url, API_KEY, auth=FunctionAuth(spoil)) as remote:
            with pytest.raises(ServiceError) as caught:
                remote.encrypt_stream(four, four.with_suffix(".mfn"))
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(5)
            ended.append(connection.recv(1))
    assert ended == [b""]
    assert "X-More" not in str(caught.value)


def test_a_refusal_in_the_middle_of_a_file_is_heard(tmp_path: Path) -> None:
    """Whether the service goes on reading, closes, or resets the connection."""

    def reset(connection: socket.socket) -> None:
        connection.sendall(raw(ABSENT))
        time.sleep(0.1)  # it has been read by then; what is sent on is answered by a reset

    def silent(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    source = tmp_path / "big"
    source.write_bytes(bytes(BIG))
    for answer in (raw(ABSENT), reset):
        with speaking(answer) as (url, _), pytest.raises(KeyNotFoundError):
            sealed(url, source)
    with speaking(*[silent] * 4) as (url, heads), pytest.raises(ServiceUnavailableError):
        sealed(url, source)
    assert len(heads) == QUICK.attempts


def test_an_answer_before_the_end_of_the_request_is_none(tmp_path: Path) -> None:
    """It cannot be the answer to all of it."""
    source = tmp_path / "big"
    source.write_bytes(bytes(BIG))
    size = sealed_bytes(BIG)

    def hasty(connection: socket.socket) -> None:
        head = HEAD + b"Content-Length: %d\r\n\r\n" % size
        connection.sendall(head + bytes(size))

    with speaking(hasty) as (url, _), pytest.raises(ServiceUnavailableError):
        sealed(url, source)
    assert os.listdir(tmp_path) == ["big"]


def test_a_service_that_does_nothing_is_left(four: Path) -> None:
    """After the client's time for it; one that never listened, at once."""

    def asleep(connection: socket.socket) -> None:
        while connection.recv(65_536):
            pass

    with speaking(asleep) as (url, _):
        with pytest.raises(ServiceUnavailableError, match="in time"):
            sealed(url, four, timeout=0.1, retries=Retries(attempts=1))
    for nowhere in ("http://localhost:1", "https://localhost:1", "https://no.such.name.invalid"):
        with pytest.raises(ServiceUnavailableError, match="cannot be reached"):
            sealed(nowhere, four, retries=Retries(attempts=1))


def test_what_speaks_no_tls_is_said_to_fail_at_it(four: Path) -> None:
    """And is asked once."""
    plain: Any = [lambda connection: connection.sendall(b"HTTP/1.1 400 X\r\n\r\n")]
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listening.accept()
        connection.recv(65_536)
        plain[0](connection)
        connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    with pytest.raises(ServiceUnavailableError, match="TLS failed"):
        sealed(f"https://127.0.0.1:{listening.getsockname()[1]}", four)
    thread.join(10)
    listening.close()


def test_a_problem_without_end_is_not_read(four: Path) -> None:
    """What comes in place of an answer is short, or is not looked at."""
    long = b"HTTP/1.1 400 X\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n"
    with speaking(long % 10**9 + bytes(200_000)) as (url, _):
        with pytest.raises(ServiceError, match="status 400"):
            sealed(url, four)


def test_a_file_that_becomes_shorter_is_no_message(tmp_path: Path) -> None:
    """Its end would be missing, and nobody would see it."""
    source = tmp_path / "big"
    source.write_bytes(bytes(BIG))

    def cutting(connection: socket.socket) -> None:
        os.truncate(source, 1)
        while connection.recv(65_536):
            pass

    with speaking(cutting) as (url, _), pytest.raises((InvalidInputError, ServiceError)):
        sealed(url, source)
    assert os.listdir(tmp_path) == ["big"]


def test_what_reading_or_writing_raises_passes_through(four: Path) -> None:
    """It is no trouble of the network."""

    class Broken:
        def read(self, size: int) -> bytes:
            raise ZeroDivisionError

        def write(self, data: memoryview) -> int:
            raise OSError("no room")

    with Client("http://127.0.0.1:9", API_KEY, retries=QUICK) as nobody:
        with pytest.raises(ServiceUnavailableError):
            nobody.encrypt_stream(Broken(), Broken())
    with speaking(WHOLE, WHOLE) as (url, _), Client(url, API_KEY, retries=QUICK) as remote:
        with pytest.raises(ZeroDivisionError):
            remote.encrypt_stream(Broken(), four.with_suffix(".mfn"))
        with pytest.raises(OSError, match="no room"):
            remote.encrypt_stream(four, Broken())


def test_faults_are_met_by_the_client_that_is_awaited_too() -> None:
    """With its pauses, and the errors of the library."""
    answers: list[Any] = [httpx.ConnectError("refused"), problem("store-unavailable", 503)]
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        answer = answers[min(len(asked), len(answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    async def work() -> None:
        transport = httpx.MockTransport(handle)
        async with AsyncClient(
            "https://keys.example", API_KEY, transport=transport, retries=QUICK
        ) as remote:
            with pytest.raises(MfnError) as caught:
                await remote.encrypt(b"x")
            assert type(caught.value) is StoreUnavailableError
            assert caught.value.__context__ is None

    asyncio.run(work())
    assert len(asked) == QUICK.attempts
