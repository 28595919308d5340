"""What docs/signing.md shows is what is signed, and works as it stands there."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.routing import WebSocketRoute

from mycelium_fractal_net import open_keyring
from mycelium_fractal_net.security.http_signatures.coverage import check_coverage, check_times
from mycelium_fractal_net.security.http_signatures.message_signature import (
    choose_by_tag,
    parse_signatures,
    signature_base,
    verify,
)
from mycelium_fractal_net.security.http_signatures.messages import RequestView
from mycelium_fractal_net.security.http_signatures.plan_profile import (
    canonical_request,
    parse_plan_signature,
    verify_plan,
)
from mycelium_fractal_net.security.request_signing import SignatureVerificationMiddleware
from mycelium_fractal_net.security.signatures.signing_key import SigningKey

if TYPE_CHECKING:
    from tests.support.cli import Mfn

PAGE = (Path(__file__).parents[2] / "docs" / "signing.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(CLIENT,) = re.findall(r"```python client\n(.*?)```", PAGE, re.DOTALL)
SHOWN = dict(re.findall(r"```text ([\w-]+)\n(.*?)\n?```", PAGE, re.DOTALL))
_GUARDS = "SignatureVerificationMiddleware"
SIGNING = "\n".join(block for block in PYTHON if _GUARDS not in block)
APPLICATIONS = "\n".join(block for block in PYTHON if _GUARDS in block)


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """The names that the page's code for clients makes."""
    names: dict[str, Any] = {}
    exec(compile(f"{SIGNING}\n{CLIENT}", "docs/signing.md", "exec"), names)
    return names


def view(request: dict[str, Any], headers: dict[str, str]) -> RequestView:
    """The page's request with its headers, as a server sees it."""
    sent = {"Content-Type": request["content_type"], "X-API-Key": request["api_key"], **headers}
    return RequestView(
        request["method"],
        "https",
        request["authority"],
        request["path"].encode(),
        request["query"].encode(),
        [(name.lower().encode(), value.encode()) for name, value in sent.items()],
    )


def shown(name: str) -> dict[str, str]:
    """Headers as the page shows them."""
    return dict(line.split(": ", 1) for line in SHOWN[name].splitlines())


def test_the_page_shows_what_rfc_9421_signs(page: dict[str, Any]) -> None:
    """The base, byte for byte, and headers that verify; the code of the page makes them."""
    assert shown("rfc9421-headers") == page["signed"]
    message = view(page["request"], page["signed"])
    signature = choose_by_tag(parse_signatures(message))
    check_coverage(signature, message, has_body=True)
    check_times(signature, now=page["created"] + 30, skew=0)
    public = SigningKey.from_private_bytes("Ed25519", page["key"].private_bytes_raw()).public
    verify(signature, message, public)
    base = signature_base(message, signature.covered, signature.text)
    assert SHOWN["rfc9421-base"].encode() == base


def test_the_page_shows_what_the_plans_profile_signs(page: dict[str, Any]) -> None:
    """The ten lines, byte for byte, and four headers that verify."""
    assert shown("plan-headers") == page["signed_by_plan"]
    message = view(page["request"], page["signed_by_plan"])
    given = {
        "api_key_id": "4a6vawwvg1lc7i4q",
        "body_sha256": SHOWN["plan-canonical"].rpartition("\n")[2],
    }
    signature = parse_plan_signature(message)
    public = SigningKey.from_private_bytes("Ed25519", page["key"].private_bytes_raw()).public
    verify_plan(signature, message, public, **given)
    lines = canonical_request(message, timestamp=page["created"], nonce=page["nonce"], **given)
    assert SHOWN["plan-canonical"].encode() == lines
    assert page["canonical_request"](
        page["request"], timestamp=page["created"], nonce=page["nonce"]
    ) == lines  # fmt: skip


def answers(app: Any, *requests: httpx.Request) -> list[httpx.Response]:
    async def run() -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            return [await client.send(request) for request in requests]

    return asyncio.run(run())


def test_the_applications_of_the_page_take_the_requests_of_the_page(
    page: dict[str, Any], mfn: Mfn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both forms of the middleware, both profiles, each request once; rules hold."""
    names = {**page}
    monkeypatch.setenv("MFN_HOME", str(mfn.home))
    exec(compile(APPLICATIONS, "docs/signing.md", "exec"), names)
    with names["keyring"] as keyring:
        made, api_key = keyring.provider.credentials.create("billing", ("*",))
        public = SigningKey.from_private_bytes("Ed25519", page["key"].private_bytes_raw()).public
        keyring.provider.signers.add("billing", public.der(), credentials=(made.credential_id,))
        request = {**page["request"], "api_key": api_key.text}
        now = int(time.time())
        signers = (
            lambda nonce: page["sign_rfc9421"](
                page["key"], "billing", request, created=now, nonce=nonce
            ),
            lambda nonce: page["sign_plan"](page["key"], request, timestamp=now, nonce=nonce),
        )
        for app in (names["app"], names["plain"]):
            for sign in signers:
                sent = httpx.Request(
                    request["method"],
                    f"http://{request['authority']}{request['path']}?{request['query']}",
                    content=request["body"],
                    headers={
                        "Content-Type": request["content_type"],
                        "X-API-Key": request["api_key"],
                        **sign(secrets.token_urlsafe(16)),
                    },
                )
                first, again = answers(app, sent, sent)
                assert first.json() == {"signed_by": "billing", "order": {"amount": 5}}
                assert again.status_code == 401
        for auth in (page["signer"], page["by_plan"]):
            assert order(names["app"], request, auth) == {"amount": 5}
        health = httpx.Request("GET", f"http://{request['authority']}/health")
        assert answers(names["app"], health)[0].json() == {"alive": True}


def order(app: Any, request: dict[str, Any], auth: httpx.Auth) -> Any:
    """The order in the answer to a request that httpx makes and ``auth`` signs."""

    async def run() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), auth=auth) as client:
            return await client.post(
                f"http://{request['authority']}/orders/7",
                json={"amount": 5},
                headers={"X-API-Key": request["api_key"]},
            )

    return asyncio.run(run()).json()["order"]


def accepts_a_websocket(app: Any) -> bool:
    async def run() -> str:
        sent: list[str] = []

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message["type"])

        scope = {"type": "websocket", "path": "/live", "headers": [], "query_string": b""}
        await app(scope, receive, send)
        return sent[0]

    return asyncio.run(run()) == "websocket.accept"


def test_what_the_page_says_of_the_two_forms_is_so(
    page: dict[str, Any], mfn: Mfn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one closes websockets; the other never sees them, and is not in Starlette."""

    async def live(websocket: Any) -> None:
        await websocket.accept()
        await websocket.close()

    names = {**page}
    monkeypatch.setenv("MFN_HOME", str(mfn.home))
    exec(compile(APPLICATIONS, "docs/signing.md", "exec"), names)
    with names["keyring"]:
        names["app"].router.routes.append(WebSocketRoute("/live", live))
        names["plain"].router.routes.append(WebSocketRoute("/live", live))
        assert not accepts_a_websocket(names["app"])
        assert accepts_a_websocket(names["plain"])
    assert not hasattr(names["Starlette"], "middleware")


def test_the_page_shows_the_answer_of_a_refusal(mfn: Mfn) -> None:
    """To the last member."""

    async def nothing(*_: Any) -> None:
        raise AssertionError("a handler ran")

    (block,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    with open_keyring(home=mfn.home) as keyring:
        app = SignatureVerificationMiddleware(nothing, keyring=keyring, authority="a")
        (answer,) = answers(app, httpx.Request("GET", "http://a/"))
    assert (answer.status_code, answer.json()) == (401, json.loads(block))
    assert answer.headers["www-authenticate"].startswith("Signature")
