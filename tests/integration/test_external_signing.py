"""Signing over HTTP with keys that stay on another machine, which is slow, fails and comes back."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from mycelium_fractal_net import initialise
from mycelium_fractal_net.client import Client
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.security.http_signatures.message_signature import TAG
from tests.integration.test_custodian_outage import Far
from tests.support.custodian import NAME, registered
from tests.support.records import records
from tests.support.service import b64

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.support.service import Running

pytestmark = pytest.mark.long

DATA = b64(b"data")


@pytest.fixture
def far(tmp_path_factory: pytest.TempPathFactory) -> Far:
    """A store with the external keys release, and gate for requests."""
    folder = tmp_path_factory.mktemp("external")
    config = folder / "mfn.json"
    config.write_text(
        json.dumps(
            {
                "server": {"request_signing": "off"},
                "security": {"key_management": {"provider": NAME}, "tls": {"required": False}},
            }
        )
    )
    home = folder / "home"
    with (
        registered(),
        initialise(settings=load_settings(config, home=home), create_key=True) as keyring,
    ):
        keyring.provider.keys.create("release", "signing", external=True, publish=True)
        keyring.provider.keys.create("gate", "signing", use="request", external=True)
    return Far(home, config)


@pytest.fixture
def running(far: Far) -> Iterator[Running]:
    """A service over it."""
    served = far.serve()
    yield served
    assert served.stop() == 0


@pytest.fixture
def http(running: Running) -> Iterator[httpx.Client]:
    """A client of that."""
    with running.client() as client:
        yield client


def sign(client: httpx.Client, key: str = "release", data: str = DATA) -> httpx.Response:
    return client.post("/crypto/sign", json={"key_id": key, "data": data})


def verified(client: httpx.Client, answer: dict[str, Any], data: str = DATA) -> bool:
    asked = {"key_id": answer["key_id"], "data": data, "signature": answer["signature"]}
    return bool(client.post("/crypto/verify", json=asked).json()["valid"])


def test_a_key_is_made_used_and_rotated_over_http(far: Far, http: httpx.Client) -> None:
    """As every other; each use is counted and recorded once."""
    made = http.post("/keys", json={
        "key_id": "builds", "type": "signing", "algorithm": "ECDSA-P256", "external": True,
    })  # fmt: skip
    assert (made.status_code, made.json()["external"]) == (201, True)
    assert made.json()["versions"][0]["external"].startswith("elsewhere:mfn-signing-")
    first = sign(http, "builds").json()
    assert http.post("/keys/builds/rotate").json()["primary"] == "builds:v2"
    second = sign(http, "builds").json()
    assert (first["key_id"], second["key_id"]) == ("builds:v1", "builds:v2")
    assert verified(http, first)
    assert verified(http, second)
    (kid,) = [each["kid"] for each in http.get("/.well-known/jwks.json").json()["keys"]]
    assert kid == "release:v1"
    taken = http.post("/keys", json={"key_id": "builds", "type": "signing", "external": True})
    assert taken.status_code == 409
    wrong = http.post("/keys", json={"key_id": "orders", "external": True})
    assert wrong.status_code == 422
    too_long = sign(http, data=b64(bytes(4097)))
    assert too_long.status_code == 422
    assert "pre-hashed" in too_long.json()["detail"]
    events = [(each["event"], each.get("key")) for each in records(far.home / "audit")]
    assert events.count(("sign", "builds:v1")) == 1
    assert ("key.rotate", "builds:v2") in events
    usage = http.get("/keys/builds/usage").json()["versions"]
    assert [each["protected"] for each in usage] == [1, 1]


def test_a_batch_asks_a_hundred_times_and_no_more(http: httpx.Client) -> None:
    """The rest of it is refused, and others beside it are served."""
    items = [{"key_id": "release", "data": DATA}] * 101 + [{"data": DATA}]
    answers = http.post("/crypto/sign/batch", json={"items": items}).json()["items"]
    assert all(verified(http, each) for each in answers[:3])
    assert ["signature" in each for each in answers] == [True] * 100 + [False, True]
    assert "100 times with external keys" in answers[100]["error"]["detail"]
    nothing = http.post("/crypto/sign/batch", json={"items": [{"key_id": "no", "data": DATA}]})
    assert nothing.json()["items"][0]["error"]["status"] == 404


def test_signatures_that_wait_keep_nobody_else_waiting(far: Far, running: Running) -> None:
    """Of those there are few, and who comes then is told to come later."""
    with running.client() as client:
        assert sign(client).status_code == 200
        far.is_now("0.9")
        with ThreadPoolExecutor(90) as threads, running.client() as other:
            waiting = [threads.submit(_one, running) for _ in range(90)]
            time.sleep(0.3)
            assert other.post("/crypto/encrypt", json={"data": DATA}).status_code == 200
            assert not all(each.done() for each in waiting)
            answers = [each.result() for each in waiting]
        seen = {each.status_code for each in answers}
        refused = next(each for each in answers if each.status_code == 503)
        assert seen == {200, 503}
        assert refused.headers["retry-after"]
        assert any("too many signatures" in each.text for each in answers)
        far.is_now("up")
        time.sleep(0.6)
        assert sign(client).status_code == 200


def _one(running: Running) -> httpx.Response:
    with running.client(timeout=30.0) as client:
        return sign(client)


def test_outage_and_refusal_are_told_apart(far: Far, http: httpx.Client) -> None:
    """And verifying goes on, since it asks nobody."""
    answer = sign(http).json()
    far.is_now("down")
    silent = sign(http)
    assert (silent.status_code, silent.headers["retry-after"]) == (503, "5")
    assert "secret" not in silent.text
    assert verified(http, answer)
    far.is_now("denied")
    time.sleep(0.6)
    refused = sign(http)
    assert (refused.status_code, "retry-after" in refused.headers) == (502, False)
    far.is_now("up")
    assert sign(http).status_code == 200


def test_answers_are_signed_with_an_external_key(far: Far) -> None:
    """Where the custodian does not answer there is no unsigned answer instead."""
    document = json.loads(far.config.read_text())
    document["server"] |= {"sign_answers_with": "gate"}
    far.config.write_text(json.dumps(document))
    running = far.serve()
    try:
        with running.client() as client:
            answer = client.get("/keys/release")
            assert answer.status_code == 200
            assert f'tag="{TAG}"' in answer.headers["signature-input"]
            far.is_now("down")
            silent = client.get("/keys/release")
            assert (silent.status_code, silent.headers["retry-after"]) == (503, "5")
            assert "signature" not in silent.headers
    finally:
        far.is_now("up")
        assert running.stop() == 0


def test_our_client_makes_and_uses_one(running: Running) -> None:
    """The record that it gives says external, too."""
    with Client(running.url, running.api_key) as client:
        key = client.create_key("mine", type="signing", external=True)
        assert key.is_external
        signature = client.sign(b"data", key_id="mine")
        client.verify(b"data", signature, key_id="mine")
        assert signature.key_id == "mine:v1"
