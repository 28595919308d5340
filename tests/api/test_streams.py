"""`/crypto/*/stream`: bytes of any length, in constant memory, never a part taken for all."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mycelium_fractal_net.security.sealed.sealer import Sealer
from tests.support.service import Running, b64, credential, unb64
from tests.test_crypto_api import HELLO, key, name, ok, problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

OCTETS = {"Content-Type": "application/octet-stream"}
CHUNK = 16_384  # docs/format.md: of a sealed message
HEAD = 68  # before its first chunk
TAG = 16
LENGTHS = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * 1024 * 1024]
MEMORY_BYTES = 24 * 1024 * 1024  # for a stream of any length


def encrypt(client: httpx.Client, content: Any, **more: Any) -> httpx.Response:
    headers = {**OCTETS, **more.pop("headers", {})}
    return client.post("/crypto/encrypt/stream", content=content, headers=headers, **more)


def decrypt(client: httpx.Client, content: Any, **more: Any) -> httpx.Response:
    headers = {**OCTETS, **more.pop("headers", {})}
    return client.post("/crypto/decrypt/stream", content=content, headers=headers, **more)


def parts(data: bytes, size: int = 10_000) -> Iterator[bytes]:
    """An upload without a length."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


def got(client: httpx.Client, content: Any) -> tuple[int, bytes, bool]:
    """The status, the bytes that came, and whether they are all there are.

    A connection that ends while there is more to send may be reset, which is an abnormal end too.
    """
    status, received = 200, b""
    try:
        with client.stream(
            "POST", "/crypto/decrypt/stream", content=content, headers=OCTETS
        ) as answer:
            status = answer.status_code
            for part in answer.iter_raw():
                received += part
    except (httpx.RemoteProtocolError, httpx.NetworkError):
        return status, received, False
    return status, received, True


# Any length -----------------------------------------------------------------------------------


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
def test_bytes_of_any_length_come_back(client: httpx.Client, length: int, declared: bool) -> None:
    """With a declared length the answer's is declared too."""
    data = os.urandom(length)
    sealed = encrypt(client, data if declared else parts(data))
    assert sealed.status_code == 200
    assert sealed.headers["content-type"] == "application/octet-stream"
    assert sealed.headers["x-key-id"].startswith("default-encryption:v")
    size = HEAD + length + TAG * (length // CHUNK + 1)  # the last chunk is never full
    assert len(sealed.content) == size
    assert sealed.headers.get("content-length") == (str(size) if declared else None)
    opened = decrypt(client, sealed.content if declared else parts(sealed.content))
    assert (opened.status_code, opened.content == data) == (200, True)
    assert opened.headers.get("content-length") == (str(length) if declared else None)
    assert opened.headers["x-key-id"] == sealed.headers["x-key-id"]


def test_streams_and_json_speak_of_the_same_messages(client: httpx.Client) -> None:
    """What one seals the other opens."""
    key_id = key(client)
    sealed = encrypt(client, b"hello", params={"key_id": key_id})
    assert sealed.headers["x-key-id"] == f"{key_id}:v1"
    opened = client.post("/crypto/decrypt", json={"ciphertext": b64(sealed.content)})
    assert ok(opened) == {"data": HELLO, "key_id": f"{key_id}:v1"}
    made = ok(client.post("/crypto/encrypt", json={"data": HELLO, "key_id": key_id}))
    assert decrypt(client, unb64(made["ciphertext"])).content == b"hello"


@pytest.mark.parametrize("length", LENGTHS[:-1])
def test_the_second_form_is_opened_too(client: httpx.Client, length: int) -> None:
    """A message under a data key of its own, with that key's associated data in the query."""
    asked = {"key_id": key(client), "associated_data": b64(b"lease")}
    made = ok(client.post("/crypto/datakey", json=asked))
    head, data = unb64(made["wrapped"]), os.urandom(length)
    message = Sealer.envelope(unb64(made["plaintext"]), head[4:12], head[12:]).seal(data, b"row")
    headers = {"X-Associated-Data": b64(b"row")}
    query = {"data_key_associated_data": b64(b"lease")}
    for content in (message, parts(message, 100) if length < 100 else parts(message)):
        opened = decrypt(client, content, headers=headers, params=query)
        assert (opened.status_code, opened.content == data) == (200, True)
    problem(decrypt(client, message, headers=headers), 400, "decryption-failed")


# Never a part for all -------------------------------------------------------------------------


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
@pytest.mark.parametrize("wrong", ["changed", "cut", "cut at a chunk", "longer", "swapped"])
def test_a_wrong_message_ends_the_connection_abnormally(
    client: httpx.Client, wrong: str, declared: bool
) -> None:
    """What came before is true, and no client takes it for the whole."""
    data = os.urandom(400_000)
    sealed = encrypt(client, data).content
    block = CHUNK + TAG
    message = {
        "changed": sealed[:-1] + bytes([sealed[-1] ^ 1]),
        "cut": sealed[:-7],
        "cut at a chunk": sealed[: HEAD + 20 * block],
        "longer": sealed + bytes(100),
        "swapped": sealed[: HEAD + 20 * block]
        + sealed[HEAD + 21 * block : HEAD + 22 * block]
        + sealed[HEAD + 20 * block : HEAD + 21 * block]
        + sealed[HEAD + 22 * block :],
    }[wrong]
    status, received, whole = got(client, message if declared else parts(message))
    if (wrong, declared) == ("cut at a chunk", True):
        assert status == 400  # no message has that size
    else:
        assert (status, whole) == (200, False)
        assert len(received) < len(data)
        assert data.startswith(received)
    assert decrypt(client, sealed).content == data  # the service serves on


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
@pytest.mark.parametrize("chunks", [1, 5, 64, 100])
def test_an_end_that_stands_for_no_byte_is_seen_too(
    client: httpx.Client, chunks: int, declared: bool
) -> None:
    """A plaintext of whole chunks ends in an empty one, which alone tells a cut message from it.

    With a declared length all of the answer would be there before that was seen.
    """
    data = os.urandom(chunks * CHUNK)
    sealed = encrypt(client, data).content
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    cut = encrypt(client, data + os.urandom(CHUNK)).content[: -TAG - CHUNK - TAG] + bytes(TAG)
    assert len(cut) == len(changed)
    for message in (changed, cut):
        status, received, whole = got(client, message if declared else parts(message))
        assert (status, whole) == (200, False)
        assert len(received) < len(data)
    assert decrypt(client, sealed).content == data


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
def test_an_empty_message_is_no_exception(client: httpx.Client, declared: bool) -> None:
    """Nothing would be missing from its answer, so it is opened before the answer begins."""
    sealed = encrypt(client, b"").content
    for message in (sealed[:-1] + bytes([sealed[-1] ^ 1]), encrypt(client, b"12345").content[:-5]):
        problem(decrypt(client, message if declared else parts(message)), 400, "decryption-failed")


def test_no_message_is_a_problem(client: httpx.Client) -> None:
    """Told before the first byte: one problem for all that is wrong with a beginning."""
    sealed = encrypt(client, b"hello").content
    for message in (b"", b"MFN", b"x" * 500, sealed[:50], sealed[:4] + bytes(8) + sealed[12:]):
        problem(decrypt(client, message), 400, "decryption-failed")
        problem(decrypt(client, parts(message)), 400, "decryption-failed")


# Associated data, keys, scopes ----------------------------------------------------------------


def test_associated_data_is_in_a_header(client: httpx.Client, service: Running) -> None:
    """Base64 as elsewhere, once."""
    bound = {"X-Associated-Data": b64(b"row 17")}
    sealed = encrypt(client, b"hello", headers=bound).content
    assert decrypt(client, sealed, headers=bound).content == b"hello"
    asked = {"ciphertext": b64(sealed), "associated_data": b64(b"row 17")}
    assert ok(client.post("/crypto/decrypt", json=asked))["data"] == HELLO
    for other in ({}, {"X-Associated-Data": b64(b"row 18")}):
        problem(decrypt(client, sealed, headers=other), 400, "decryption-failed")
    for wrong in ("cm93IDE", "QR==", "-_-_", "cm 93"):
        refused = encrypt(client, b"x", headers={"X-Associated-Data": wrong})
        problem(refused, 422, "invalid")
    assert asked_twice(service, "X-Associated-Data", b64(b"a")) == 400


def asked_twice(service: Running, header: str, value: str) -> int:
    """The status where a header is there twice."""
    connection = http.client.HTTPConnection(service.url.removeprefix("http://"))
    connection.putrequest("POST", "/crypto/encrypt/stream")
    for each in ("X-API-Key", "Content-Type", "Content-Length"):
        told = {"X-API-Key": service.api_key, "Content-Length": "0", **OCTETS}
        connection.putheader(each, told[each])
    for _ in range(2):
        connection.putheader(header, value)
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


def test_a_stream_asks_for_the_scopes_of_its_operation(client: httpx.Client) -> None:
    """A key that one may not use is not there, a message of it nobody can open."""
    mine, others = key(client), key(client)
    headers = {"X-API-Key": credential(client, f"encrypt:{mine}", f"decrypt:{mine}")}
    for absent in (others, name()):
        refused = encrypt(client, b"x", params={"key_id": absent}, headers=headers)
        problem(refused, 404, "not-found")
    sealed = encrypt(client, b"x", params={"key_id": others}).content
    problem(decrypt(client, sealed, headers=headers), 400, "decryption-failed")
    sealed = encrypt(client, b"x", params={"key_id": mine}, headers=headers).content
    assert decrypt(client, sealed, headers=headers).content == b"x"
    assert decrypt(client, sealed, params={"key_id": mine}).content == b"x"
    problem(decrypt(client, sealed, params={"key_id": others}), 400, "decryption-failed")


def test_a_state_is_told_before_the_first_byte(client: httpx.Client) -> None:
    """As on the other routes."""
    key_id = key(client)
    sealed = encrypt(client, b"x", params={"key_id": key_id}).content
    ok(client.post(f"/keys/{key_id}/suspend"))
    problem(encrypt(client, b"x", params={"key_id": key_id}), 409, "key-state")
    problem(decrypt(client, sealed), 409, "key-state")


@pytest.mark.parametrize(
    ("query", "status"),
    [("key_id=Orders", 422), ("key_id=%00", 400), ("format=raw", 422), ("key_id=a&key_id=a", 400),
     ("allow_compromised=1", 422), ("data_key_associated_data=QR%3D%3D", 422)],
)  # fmt: skip
def test_the_query_string_is_read_strictly(client: httpx.Client, query: str, status: int) -> None:
    """Before any of the body is."""
    assert client.post(f"/crypto/decrypt/stream?{query}", headers=OCTETS).status_code == status


@pytest.mark.parametrize(
    "headers",
    [{}, {"Content-Type": "application/json"}, {**OCTETS, "Content-Encoding": "gzip"}],
    ids=str,
)
def test_a_stream_is_plain_octets(client: httpx.Client, headers: dict[str, str]) -> None:
    """No other type, and not compressed."""
    answer = client.post("/crypto/encrypt/stream", content=b"x", headers=headers)
    problem(answer, 415, "unsupported-media-type")


def test_http_1_0_cannot_tell_the_end(service: Running) -> None:
    """A connection that is closed is its only end, whatever the reason."""
    host, _, port = service.url.removeprefix("http://").partition(":")
    for path in ("encrypt", "decrypt"):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(
                f"POST /crypto/{path}/stream HTTP/1.0\r\nX-API-Key: {service.api_key}\r\n"
                f"Content-Type: application/octet-stream\r\nContent-Length: 1\r\n\r\nx".encode()
            )
            answer = b"".join(iter(lambda: connection.recv(65_536), b""))
        assert answer.split(b" ")[1] == b"505"
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["type"] == "/problems/http-version"


# Audit ----------------------------------------------------------------------------------------


def test_a_stream_is_two_records(client: httpx.Client) -> None:
    """Begun before its first byte, ended with the bytes that came in."""
    key_id = key(client)
    sealed = encrypt(client, bytes(70_000), params={"key_id": key_id})
    opened = decrypt(client, sealed.content)
    found = ok(client.get("/audit", params={"key": key_id}))["records"]
    shown = [
        (each["event"], each["outcome"], each.get("bytes"), each["request"]) for each in found[:4]
    ]
    ids = opened.headers["x-request-id"], sealed.headers["x-request-id"]
    assert shown == [
        ("decrypt.stream", "ok", len(sealed.content), ids[0]),
        ("decrypt.stream", "begun", None, ids[0]),
        ("encrypt.stream", "ok", 70_000, ids[1]),
        ("encrypt.stream", "begun", None, ids[1]),
    ]
    assert {each["key"] for each in found[:4]} == {f"{key_id}:v1"}


def outcomes(client: httpx.Client, key_id: str, event: str, count: int) -> list[str]:
    """The outcomes that are recorded, newest first, once there are so many."""
    deadline = time.monotonic() + 5
    while True:
        query = {"key": key_id, "event": event}
        found = [each["outcome"] for each in ok(client.get("/audit", params=query))["records"]]
        if len(found) >= count:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def test_how_a_stream_ended_is_recorded(client: httpx.Client, service: Running) -> None:
    """A message that turned out wrong, and a client that went away."""
    key_id = key(client)
    sealed = encrypt(client, bytes(400_000), params={"key_id": key_id}).content
    assert got(client, sealed[:-1] + bytes([sealed[-1] ^ 1]))[2] is False
    assert outcomes(client, key_id, "decrypt.stream", 2) == ["decryption-failed", "begun"]
    with contextlib.closing(
        http.client.HTTPConnection(service.url.removeprefix("http://"))
    ) as connection:
        connection.putrequest("POST", "/crypto/decrypt/stream")
        for header, value in {"X-API-Key": service.api_key, **OCTETS}.items():
            connection.putheader(header, value)
        connection.putheader("Content-Length", str(len(sealed)))
        connection.endheaders()
        connection.send(sealed[:200_000])
        assert outcomes(client, key_id, "decrypt.stream", 3)[0] == "begun"
    assert outcomes(client, key_id, "decrypt.stream", 4)[:2] == ["disconnected", "begun"]


# Memory ---------------------------------------------------------------------------------------


def both_ways(service: Running, path: str, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The parts of the answer, read while the blocks are sent."""
    connection = http.client.HTTPConnection(service.url.removeprefix("http://"))
    connection.putrequest("POST", path)
    for header, value in {"X-API-Key": service.api_key, **OCTETS}.items():
        connection.putheader(header, value)
    connection.putheader("Transfer-Encoding", "chunked")
    connection.endheaders()

    def send() -> None:
        for block in blocks:
            connection.send(b"%x\r\n%b\r\n" % (len(block), block))
        connection.send(b"0\r\n\r\n")

    sender = threading.Thread(target=send)
    sender.start()
    answer = connection.getresponse()
    assert answer.status == 200
    yield from iter(lambda: answer.read(1 << 20), b"")
    sender.join()
    connection.close()


def memory(service: Running, field: str) -> int:
    """Of the process that serves, in bytes."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(status.partition(f"{field}:")[2].split()[0]) * 1024


def test_a_stream_of_any_length_takes_constant_memory(service: Running) -> None:
    """A hundred MiB through both routes at once, one fed by the other."""
    block, count = os.urandom(1 << 20), 100
    before = memory(service, "VmRSS")
    Path(f"/proc/{service.process.pid}/clear_refs").write_text("5")  # the peak starts anew
    sealed = both_ways(service, "/crypto/encrypt/stream", (block for _ in range(count)))
    size = 0
    for part in both_ways(service, "/crypto/decrypt/stream", sealed):
        size += len(part)
    assert size == count << 20
    assert memory(service, "VmHWM") - before < MEMORY_BYTES
