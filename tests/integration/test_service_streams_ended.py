"""A request under way when its caller or its key is taken out of use: it ends, and says so."""

from __future__ import annotations

import http.client
import json
import os
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mycelium_fractal_net import initialise, open_keyring
from tests.support.service import Running, b64, credential, start
from tests.support.signing import Peer
from tests.test_crypto_api import HELLO, key, ok

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.long

SECONDS = 12.0  # docs: a change is known within 5 seconds, and looked at every two
BLOCK = os.urandom(65_536)


class Fed:
    """A stream request that is fed a block at a time, for as long as the service takes it."""

    def __init__(self, service: Running, api_key: str, path: str) -> None:
        self.connection = http.client.HTTPConnection(*service.address(), timeout=20)
        self.connection.putrequest("POST", path)
        self.connection.putheader("X-API-Key", api_key)
        self.connection.putheader("Content-Type", "application/octet-stream")
        self.connection.putheader("Transfer-Encoding", "chunked")
        self.connection.endheaders()
        self.answer: http.client.HTTPResponse | None = None

    def __enter__(self) -> Fed:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        if self.answer is not None:
            self.answer.close()

    def begun(self) -> http.client.HTTPResponse:
        """Its answer, which has begun."""
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200
        return self.answer

    def feed(self, block: bytes) -> None:
        self.connection.send(b"%x\r\n%b\r\n" % (len(block), block))

    def seconds_until_it_ends(self, feed: Callable[[], bytes]) -> float:
        """How long the service goes on taking blocks; the answer never comes to its end."""
        began = time.monotonic()
        with pytest.raises((OSError, http.client.HTTPException)):
            while time.monotonic() - began < 2 * SECONDS:
                self.feed(feed())
                time.sleep(0.2)
        return time.monotonic() - began


def outcome(client: httpx.Client, event: str, key_id: str | None, actor: str) -> str:
    """How the newest request of that kind ended, once it is recorded."""
    query: dict[str, Any] = {"event": event, "actor": actor, "limit": 1}
    for _ in range(50):
        found = ok(client.get("/audit", params=query))["records"]
        if found and found[0]["outcome"] != "begun":
            return str(found[0]["outcome"])
        time.sleep(0.1)
    return "none"


def sealed_without_end(service: Running, key_id: str) -> bytes:
    """A large sealed message."""
    with service.client() as client:
        headers = {"Content-Type": "application/octet-stream"}
        query = {"key_id": key_id}
        path = "/crypto/encrypt/stream"
        return client.post(path, content=BLOCK * 32, headers=headers, params=query).content


@pytest.mark.parametrize("direction", ["encrypt", "decrypt"])
@pytest.mark.parametrize("taken", ["compromise", "suspend", "revoke"])
def test_a_stream_ends_with_what_permits_it(
    service: Running, client: httpx.Client, direction: str, taken: str
) -> None:
    """Within seconds, abnormally, and recorded: fed on for ever, it would outlive a revocation."""
    key_id = key(client)
    api_key = credential(client, f"{direction}:{key_id}")
    actor = api_key.split("_")[1]
    path = f"/crypto/{direction}/stream" + (f"?key_id={key_id}" if direction == "encrypt" else "")
    message = iter(lambda: BLOCK, b"")
    if direction == "decrypt":
        sealed = sealed_without_end(service, key_id)
        message = iter([sealed[i : i + 16_384] for i in range(0, len(sealed), 16_384)])
    with Fed(service, api_key, path) as fed:
        fed.feed(next(message))
        fed.feed(next(message))
        answer = fed.begun()
        if taken == "revoke":
            ok(client.post(f"/credentials/{actor}/revoke"))
        else:
            ok(client.post(f"/keys/{key_id}:v1/{taken}"))
        assert fed.seconds_until_it_ends(lambda: next(message)) < SECONDS
        with pytest.raises((http.client.HTTPException, OSError)):  # no end that looks like one
            while answer.read(1 << 20):
                pass
            raise AssertionError("the answer came to its end")
    expected = "unauthenticated" if taken == "revoke" else "key-state"
    assert outcome(client, f"{direction}.stream", key_id, actor) == expected


def test_a_stream_goes_on_when_its_key_is_rotated(service: Running, client: httpx.Client) -> None:
    """The version that it began with is no longer the newest, and may finish."""
    key_id = key(client)
    with Fed(service, service.api_key, f"/crypto/encrypt/stream?key_id={key_id}") as fed:
        fed.feed(BLOCK)
        ok(client.post(f"/keys/{key_id}/rotate"))
        for _ in range(16):
            fed.feed(BLOCK[:100])
            time.sleep(0.2)
        fed.connection.send(b"0\r\n\r\n")
        answer = fed.begun()
        sealed = answer.read()
        assert answer.headers["X-Key-Id"] == f"{key_id}:v1"
    opened = ok(client.post("/crypto/decrypt", json={"ciphertext": b64(sealed)}))
    assert opened["data"] == b64(BLOCK + BLOCK[:100] * 16)


def test_a_body_that_comes_slowly_is_asked_for_its_caller_again(
    service: Running, client: httpx.Client
) -> None:
    """A head that was accepted before a revocation is worth nothing once the body is there."""
    api_key = credential(client, "encrypt:*")
    body = json.dumps({"data": HELLO}).encode()
    connection = http.client.HTTPConnection(*service.address(), timeout=20)
    connection.putrequest("POST", "/crypto/encrypt")
    for name, value in (
        ("X-API-Key", api_key),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
    ):
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(body[:5])
    time.sleep(0.3)  # its head is accepted by now
    ok(client.post(f"/credentials/{api_key.split('_')[1]}/revoke"))
    time.sleep(5.5)
    connection.send(body[5:])
    with connection.getresponse() as answer:
        assert answer.status == 401
    connection.close()


def test_a_signer_that_is_revoked_while_a_body_comes_signed_nothing(home: Path) -> None:
    """Its signature was right when the head came, and is worth nothing once the body is there."""
    peer = Peer("mallory")
    initialise(home=home).close()
    with open_keyring(home=home) as keyring:
        keyring.provider.signers.add("mallory", peer.public_key, any_credential=True)
    running = start(home, env={"MFN_REQUEST_SIGNING": "required"})
    try:
        peer.authority = running.url.partition("://")[2]
        body = json.dumps({"data": HELLO}).encode()
        headers = {"Content-Type": "application/json", "X-API-Key": running.api_key}
        url = f"{running.url}/crypto/encrypt"
        request = peer.sign(httpx.Request("POST", url, content=body, headers=headers))
        connection = http.client.HTTPConnection(*running.address(), timeout=20)
        connection.putrequest("POST", "/crypto/encrypt", skip_host=True)
        for name, value in request.headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        connection.send(body[:5])
        time.sleep(0.5)
        with open_keyring(home=home) as keyring:
            keyring.provider.signers.revoke("mallory")
        time.sleep(5.5)
        connection.send(body[5:])
        with connection.getresponse() as answer:
            assert answer.status == 401
            assert json.loads(answer.read())["error"] == "Invalid signature"
        connection.close()
    finally:
        running.kill()
