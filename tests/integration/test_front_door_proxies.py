"""Behind nginx and HAProxy, as docs/deployment.md configures them: one reading, and it is ours."""

from __future__ import annotations

import select
import socket
import ssl
from typing import TYPE_CHECKING

import pytest

from campaigns.misuse.places import BINARIES, Place, place
from campaigns.misuse.requests import installed, sent_at
from campaigns.misuse.smuggling import DIFFERS, judged
from campaigns.misuse.techniques import GET, HOST, KEY
from campaigns.misuse.wire import CLIENT, speak
from tests.support.presence import need

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.long
PROXIES = tuple(BINARIES)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The service with both proxies before it."""
    for name in sorted(set(PROXIES) - set(installed())):
        need(f"{name} (Debian: {name})")
    with place(tmp_path_factory.mktemp("proxies") / "place") as found:
        yield found


@pytest.mark.parametrize("proxy", PROXIES)
def test_both_sides_read_the_same_requests(there: Place, proxy: str) -> None:
    """Of all techniques one in thirty; make campaign CAMPAIGN=misuse has every one."""
    wanted = sent_at(proxy)[::30]
    for each in wanted:
        verdict = judged(each, there.doors[proxy], there.entries, there.api_key, patience=3.0)
        assert verdict.reading != DIFFERS, (each.family, each.name, verdict)


@pytest.mark.parametrize("proxy", PROXIES)
def test_the_client_is_who_connected_to_the_proxy(there: Place, proxy: str) -> None:
    """Whatever he says of himself, in however many headers."""
    told = (
        b"X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.2\r\nX-Forwarded-For: 192.0.2.3\r\n"
    )
    with there.doors[proxy].connect() as connection:
        (answer,) = speak(connection, [GET + told + b"\r\n"], most=1).answers
    assert answer.status == 200
    assert answer.request_id is not None
    assert there.entries()[answer.request_id].client == CLIENT


@pytest.mark.parametrize("proxy", PROXIES)
def test_another_host_is_none_of_ours(there: Place, proxy: str) -> None:
    """421, before the service is asked."""
    other = GET.replace(HOST, b"Host: other.example\r\n")
    with there.doors[proxy].connect() as connection:
        (answer,) = speak(connection, [other + b"\r\n"], most=1).answers
    assert (answer.status, answer.request_id) == (421, None)


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_stream_goes_through_as_it_comes(there: Place, proxy: str) -> None:
    """4 MiB in chunks there and back, which neither proxy collects first."""
    data = bytes(range(256)) * 256 * 64
    sealed = _streamed(there, proxy, b"encrypt", data)
    assert len(sealed) > len(data)
    assert _streamed(there, proxy, b"decrypt", sealed) == data


def _streamed(there: Place, proxy: str, what: bytes, data: bytes) -> bytes:
    head = (
        b"POST /crypto/%b/stream HTTP/1.1\r\nContent-Type: application/octet-stream\r\n" % what
        + HOST
        + KEY.replace(b"API_KEY", there.api_key)
        + b"Transfer-Encoding: chunked\r\n\r\n"
    )
    step = 65_536
    sent = b"".join(
        b"%x\r\n%b\r\n" % (len(part), part)
        for part in (data[place : place + step] for place in range(0, len(data), step))
    )
    with there.doors[proxy].connect() as connection:
        return _exchanged(connection, head + sent + b"0\r\n\r\n")


def _exchanged(connection: socket.socket, raw: bytes) -> bytes:
    """The body of the one answer, read while the request is sent."""
    connection.settimeout(0)
    found, left = b"", memoryview(raw)
    while not found.endswith(b"\r\n0\r\n\r\n"):
        moved = False
        try:
            if left:
                left = left[connection.send(left[:16_384]) :]
                moved = True
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            pass
        try:
            more = connection.recv(1 << 20)
            assert more, found[:200]
            found += more
            moved = True
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        if not moved:
            _wait(connection, writing=bool(left))
    return _unchunked(found)


def _wait(connection: socket.socket, *, writing: bool) -> None:
    ready = select.select([connection], [connection] if writing else [], [], 20)
    assert any(ready), "nothing moves"


def _unchunked(raw: bytes) -> bytes:
    head, _, rest = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    parts: list[bytes] = []
    place = 0
    while True:
        ends = rest.index(b"\r\n", place)
        size = int(rest[place:ends], 16)
        if size == 0:
            return b"".join(parts)
        parts.append(rest[ends + 2 : ends + 2 + size])
        place = ends + 4 + size
