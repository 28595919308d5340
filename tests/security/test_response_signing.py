"""Signed answers, each bound to the request that it answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from mycelium_fractal_net import initialise
from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    InvalidSignatureError,
    KeyUsageError,
)
from mycelium_fractal_net.security.http_signatures.content_digest import check_content_digest
from mycelium_fractal_net.security.http_signatures.coverage import check_response_coverage
from mycelium_fractal_net.security.http_signatures.message_signature import (
    choose_by_tag,
    parse_signatures,
    verify,
)
from mycelium_fractal_net.security.http_signatures.messages import ResponseView
from mycelium_fractal_net.security.response_signing import ResponseSigningMiddleware
from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey
from tests.support.service import b64, start
from tests.support.signing import AUTHORITY, Peer

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

    from mycelium_fractal_net import Keyring


async def small(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def empty(request: Request) -> PlainTextResponse:
    return PlainTextResponse("", status_code=204)


async def large(request: Request) -> StreamingResponse:
    async def parts() -> Any:
        for _ in range(5):
            yield b"x" * 1000

    return StreamingResponse(parts())


def application(keyring: Keyring, **options: Any) -> Starlette:
    if not keyring.provider.store.keys.has("service"):
        keyring.provider.keys.create("service", "signing", use="request", publish=True)
    app = Starlette(routes=[Route("/s", small), Route("/e", empty), Route("/l", large)])
    app.add_middleware(
        ResponseSigningMiddleware,
        keyring=keyring, key_id="service", authority=AUTHORITY, **options,
    )  # fmt: skip
    return app


def get(app: Any, request: httpx.Request) -> httpx.Response:
    async def run() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            return await client.send(request)

    return asyncio.run(run())


def verified(answer: httpx.Response, request: httpx.Request, key: VerifyingKey) -> str | None:
    """The ``keyid`` of an answer whose signature is one of it, bound to that request."""
    headers = [(name.lower(), value) for name, value in answer.headers.raw]
    peer = Peer("x", authority=request.url.netloc.decode())
    view = ResponseView(answer.status_code, headers, peer.view(request))
    signature = choose_by_tag(parse_signatures(view))
    check_response_coverage(signature, view, has_body=bool(answer.content))
    verify(signature, view, key)
    if answer.content:
        check_content_digest(view.fields[b"content-digest"], answer.content)
    return signature.parameters.keyid


@pytest.mark.parametrize("path", ["/s", "/e", "/nowhere"])
def test_an_answer_is_signed_for_its_request(keyring: Keyring, path: str) -> None:
    """With and without a body, and errors too; the key is found in the JWKS by its version id."""
    app = application(keyring)
    request = httpx.Request("GET", f"http://{AUTHORITY}{path}?a=1")
    answer = get(app, request)
    (jwk,) = keyring.published_keys()
    key = VerifyingKey.from_jwk({n: v for n, v in jwk.items() if n != "kid"})
    assert verified(answer, request, key) == "service:v1" == jwk["kid"]
    other = httpx.Request("GET", f"http://{AUTHORITY}{path}?a=2")
    with pytest.raises(InvalidSignatureError):
        verified(answer, other, key)


def test_the_answer_to_a_signed_request_is_bound_to_its_signature(keyring: Keyring) -> None:
    """Whose nonce makes it one of a kind."""
    app = application(keyring)
    peer = Peer("peer")
    request = peer.sign(httpx.Request("GET", f"http://{AUTHORITY}/s"))
    answer = get(app, request)
    key = VerifyingKey.from_pem(keyring.public_key("service").pem)
    verified(answer, request, key)
    again = peer.sign(httpx.Request("GET", f"http://{AUTHORITY}/s"))
    with pytest.raises(InvalidSignatureError):
        verified(answer, again, key)


def test_what_is_too_long_to_be_held_passes_unsigned(keyring: Keyring) -> None:
    """Whole, and so does what flows."""
    request = httpx.Request("GET", f"http://{AUTHORITY}/l")
    for options in ({"max_body_bytes": 2500}, {"flows": lambda _: True}):
        answer = get(application(keyring, **options), request)
        assert answer.content == b"x" * 5000
        assert "signature" not in answer.headers
    assert "signature" in get(application(keyring), request).headers


def test_only_a_key_for_requests_signs_them(keyring: Keyring) -> None:
    """And it signs no data: the two never meet."""
    keyring.provider.keys.create("service", "signing", use="request")
    assert keyring.request_key("service") == "service:v1"
    signature = keyring.sign_request(b"base", key_id="service")
    assert (signature.key_id, len(signature)) == ("service:v1", 64)
    with pytest.raises(KeyUsageError):
        keyring.sign(b"data", key_id="service")
    for refused in (
        lambda: keyring.sign_request(b"base", key_id="release"),
        lambda: keyring.request_key("release"),
        lambda: keyring.request_key("orders"),
    ):
        with pytest.raises(KeyUsageError):
            refused()
    with pytest.raises(ConfigurationError):
        ResponseSigningMiddleware(Starlette(), keyring=keyring, key_id="service", authority="")


def test_the_service_signs_its_answers(tmp_path: Path) -> None:
    """Each but streams, with the key that the settings name; one of another use stops the start."""
    import json

    home = tmp_path / "home"
    config = tmp_path / "config.json"
    server = {
        "production": False, "request_signing": "off", "sign_answers_with": "service",
        "body_only_signatures": True,
    }  # fmt: skip
    config.write_text(json.dumps({"server": server, "security": {"tls": {"required": False}}}))
    peer = Peer("peer")
    with initialise(home=home) as keyring:
        keyring.provider.keys.create("service", "signing", use="request", publish=True)
        key = VerifyingKey.from_pem(keyring.public_key("service").pem)
        _, free = keyring.provider.credentials.create("free", ("*",))
        mine, api_key = keyring.provider.credentials.create("mine", ("*",))
        keyring.provider.signers.add("peer", peer.public_key, credentials=(mine.credential_id,))
    running = start(home, env={"MFN_CONFIG": str(config)})
    try:
        with running.client(free.text) as client:
            for path in ("/health/live", "/nowhere", "/keys"):
                request = client.build_request("GET", path)
                assert verified(client.send(request), request, key) == "service:v1"
            octets = {"Content-Type": "application/octet-stream"}
            stream = client.post("/crypto/encrypt/stream", content=b"x" * 50_000, headers=octets)
            assert stream.status_code == 200
            assert "signature" not in stream.headers
            # The plan's first form, by a registered key, as the settings allow for development.
            body = b'{"data": "aGVsbG8="}'
            headers = {
                "Content-Type": "application/json", "X-API-Key": api_key.text,
                "X-Public-Key": b64(peer.public_key),
                "X-Signature": b64(peer.key.sign_fixed_size(body)),
            }  # fmt: skip
            sent = client.post("/crypto/encrypt", content=body, headers=headers)
            assert sent.status_code == 200, sent.text
            for changed in (
                {"X-Signature": b64(bytes(64))},
                {"X-Public-Key": b64(Peer("other").public_key)},
                {"X-Signature-Timestamp": "1"},
                {"X-Public-Key": "A" * 200},
            ):
                answer = client.post("/crypto/encrypt", content=body, headers=headers | changed)
                assert answer.status_code == 401, changed
    finally:
        assert running.stop() == 0
