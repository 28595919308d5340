"""Signed requests to the service itself, over a real socket: the plan's integration test."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mycelium_fractal_net import initialise
from mycelium_fractal_net.api.application import create_app
from mycelium_fractal_net.api.endpoints.route import ServiceRoute
from mycelium_fractal_net.config import load_settings
from mycelium_fractal_net.security.audit import query
from mycelium_fractal_net.security.signed_requests.rules import SigningPolicy
from tests.support.service import b64, start, unb64
from tests.support.signing import Peer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from tests.support.service import Running

DATA = {"data": b64(b"hello")}


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Peer]]:
    """A service of two workers that asks for signatures, and a peer who may give them."""
    home = tmp_path_factory.mktemp("signed") / "home"
    peer = Peer("peer")
    with initialise(home=home) as keyring:
        keyring.provider.signers.add("peer", peer.public_key, any_credential=True)
    running = start(home, "--workers", "2", env={"MFN_REQUEST_SIGNING": "required"})
    peer.authority = running.url.partition("://")[2]
    yield running, peer
    assert running.stop() == 0


def post(running: Running, path: str, body: Any, **headers: str) -> httpx.Request:
    return httpx.Request(
        "POST",
        running.url + path,
        content=json.dumps(body).encode(),
        headers={
            "Content-Type": "application/json", "X-API-Key": running.api_key, **headers,
        },
    )  # fmt: skip


def sent(request: httpx.Request) -> httpx.Response:
    with httpx.Client(timeout=30.0) as client:
        return client.send(request)


def refused(response: httpx.Response) -> None:
    assert response.status_code == 401, response.text
    assert response.json()["error"] == "Invalid signature"


@pytest.mark.parametrize("profile", ["sign", "sign_plan"])
def test_a_request_is_signed_and_verified_on_the_server(
    signed: tuple[Running, Peer], profile: str
) -> None:
    """Both profiles; the record says who signed, and a replay reaches neither worker."""
    running, peer = signed
    request = getattr(peer, profile)(post(running, "/crypto/encrypt", DATA))
    answer = sent(request)
    assert answer.status_code == 200, answer.text
    for _ in range(8):
        refused(sent(request))
    (record,) = [
        each
        for each in query(running.home / "audit", event="encrypt")
        if each["request"] == answer.headers["x-request-id"]
    ]
    assert record["signer"] == "peer"


@pytest.mark.parametrize(
    "path",
    ["/crypto/encrypt", "/%63rypto/encrypt", "//crypto/encrypt", "/keys", "/nowhere", "/metrics"],
)
def test_nothing_but_the_public_routes_goes_unsigned(
    signed: tuple[Running, Peer], path: str
) -> None:
    """Whatever the path is spelt like, and whoever has an API key."""
    running, _ = signed
    refused(sent(post(running, path, DATA)))
    for public in ("/health/live", "/health/ready", "/.well-known/jwks.json"):
        assert httpx.get(running.url + public).status_code == 200


def test_a_signature_for_one_path_serves_no_other(signed: tuple[Running, Peer]) -> None:
    """Nor with another API key, another body, or the sketch's own key."""
    running, peer = signed
    good = peer.sign(post(running, "/crypto/encrypt", DATA))
    for path, body, headers in (
        ("/crypto/sign", DATA, {}),
        ("/crypto/encrypt", {"data": b64(b"other")}, {}),
        ("/crypto/encrypt", DATA, {"X-API-Key": "mfn_" + "a" * 16 + "_" + "b" * 43}),
    ):
        forged = post(running, path, body)
        for name in ("content-digest", "signature-input", "signature"):
            forged.headers[name] = good.headers[name]
        forged.headers.update(headers)
        refused(sent(forged))
    stranger = Peer("peer", authority=peer.authority)
    refused(sent(stranger.sign_plan(post(running, "/crypto/encrypt", DATA))))
    low_order = stranger.sign_plan(post(running, "/crypto/encrypt", DATA))
    low_order.headers["X-Public-Key"] = b64(b"\x01" + bytes(31))
    low_order.headers["X-Signature"] = b64(b"\x01" + bytes(63))
    refused(sent(low_order))
    assert sent(good).status_code == 200  # no attempt has burnt its nonce


def test_a_stream_is_signed_by_its_head(signed: tuple[Running, Peer]) -> None:
    """Its body is hashed as it flows: another one never comes to a good end."""
    running, peer = signed
    data = bytes(range(256)) * 2000

    def request(content: bytes) -> httpx.Request:
        made = httpx.Request(
            "POST", running.url + "/crypto/encrypt/stream", content=content,
            headers={
                "Content-Type": "application/octet-stream", "X-API-Key": running.api_key,
            },
        )  # fmt: skip
        return peer.sign(made)

    sealed = sent(request(data))
    assert sealed.status_code == 200, sealed.text
    opened = sent(peer.sign(post(running, "/crypto/decrypt", {"ciphertext": b64(sealed.content)})))
    assert unb64(opened.json()["data"]) == data
    good = request(data)
    forged = httpx.Request("POST", good.url, content=data[:-1] + b"x", headers=good.headers)
    with pytest.raises(httpx.RemoteProtocolError):
        sent(forged)
    small = httpx.Request(
        "POST", running.url + "/crypto/decrypt/stream", content=b"small", headers=good.headers
    )
    for name in ("signature", "signature-input", "content-length"):
        small.headers.pop(name)
    small.headers["content-length"] = "5"
    peer.sign(small)
    refused(sent(httpx.Request("POST", small.url, content=b"smell", headers=small.headers)))
    plan = httpx.Request("POST", good.url, content=data, headers=dict(good.headers))
    for name in ("signature", "signature-input"):
        del plan.headers[name]
    refused(sent(peer.sign_plan(plan)))


class _Service:
    """The key for data of a service, which signs what it is asked to sign."""

    def __init__(self, running: Running, peer: Peer) -> None:
        self._running = running
        self._peer = peer

    def sign_fixed_size(self, message: bytes) -> bytes:
        asked = post(self._running, "/crypto/sign", {"data": b64(message)})
        return unb64(sent(self._peer.sign(asked)).json()["signature"])


def test_a_data_key_signs_no_request(signed: tuple[Running, Peer]) -> None:
    """Its signature of a real signature base is none of a signer, and it becomes none."""
    running, peer = signed
    for name in ("peer", "default-signing", "default-signing:v1"):
        forger = Peer(name, _Service(running, peer), peer.authority)  # type: ignore[arg-type]
        refused(sent(forger.sign(post(running, "/crypto/encrypt", DATA))))
    public = httpx.Request(
        "GET", running.url + "/keys/default-signing/public", headers={"X-API-Key": running.api_key}
    )
    pem = sent(peer.sign(public)).json()["pem"]
    asked = {"name": "data", "public_key": pem, "any_credential": True}
    assert sent(peer.sign(post(running, "/signers", asked))).status_code == 422


def test_who_starts_a_service_that_wants_signatures_is_told(signed: tuple[Running, Peer]) -> None:
    """The lines to paste have none."""
    assert "requests must be signed" in signed[0].said


def test_the_route_that_is_judged_is_the_route_that_runs(tmp_path: Path) -> None:
    """The exact table and the router choose the same, for every route of the service."""
    app = create_app(load_settings(home=tmp_path, environ={}))
    for route in app.router.routes:
        if not isinstance(route, ServiceRoute):
            continue
        path = route.path.replace("{key_id}", "orders:v3").replace("{credential_id}", "a" * 16)
        path = path.replace("{name}", "peer")
        scope = {
            "type": "http", "method": route.spec.method, "path": path,
            "raw_path": path.encode(), "root_path": "", "headers": [], "query_string": b"",
        }  # fmt: skip
        found = app.table.find(scope)
        matched = next(r for r in app.router.routes if r.matches(scope)[0].name == "FULL")
        assert found is matched is route
    for path in ("/%63rypto/encrypt", "/nowhere"):
        scope = {**scope, "path": path, "raw_path": path.encode()}
        assert app.table.find(scope) is None
    assert SigningPolicy(app.service.settings.server.request_signing) is SigningPolicy.OFF


def test_a_path_that_was_changed_or_is_mounted_has_the_route_that_the_router_takes(
    tmp_path: Path,
) -> None:
    """The exact table knows paths as they were sent; the router's word counts for all others."""
    app = create_app(load_settings(home=tmp_path, environ={}))
    sent_as = {"/svc/crypto/encrypt": "/svc", "/old/encrypt": ""}
    for raw_path, root_path in sent_as.items():
        scope = {
            "type": "http", "method": "POST", "path": f"{root_path}/crypto/encrypt",
            "raw_path": raw_path.encode(), "root_path": root_path, "headers": [],
            "query_string": b"",
        }  # fmt: skip
        found = app.table.find(scope)
        assert found is not None
        assert found.spec.event == "encrypt"


def test_a_signed_request_looks_once_for_its_route_and_reads_its_api_key_once(
    tmp_path: Path,
) -> None:
    """What the signature's policy was decided on is what runs and who is authenticated."""
    peer = Peer("peer")
    with initialise(home=tmp_path) as keyring:
        keyring.provider.signers.add("peer", peer.public_key, any_credential=True)
        _, api_key = keyring.provider.credentials.create("all", ("*",))
    settings = load_settings(home=tmp_path, environ={"MFN_REQUEST_SIGNING": "required"})
    app = create_app(settings, authority=peer.authority)
    calls: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            calls[f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}"] += 1

    async def ask() -> int:
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://a") as client,
        ):
            request = client.build_request(
                "POST", "/crypto/encrypt", json=DATA, headers={"X-API-Key": api_key.text}
            )
            peer.sign(request)
            sys.setprofile(note)
            try:
                return (await client.send(request)).status_code
            finally:
                sys.setprofile(None)

    with ThreadPoolExecutor(1) as thread:  # whose blocking the service forbids
        assert thread.submit(asyncio.run, ask()).result() == 200
    assert calls["verifier._verify_head"] == calls["verifier._check_body"] == 1
    assert calls["routing.find"] == calls["api_keys.parse"] == 1
