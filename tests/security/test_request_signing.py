"""The plan's middleware in applications that know nothing of this package."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import pickle
import re
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute

from mycelium_fractal_net.security.errors import (
    ConfigurationError,
    RequestSignatureError,
    StoreUnavailableError,
)
from mycelium_fractal_net.security.request_signing import SIGNER, SignatureVerificationMiddleware
from mycelium_fractal_net.security.signatures.signing_key import SigningKey
from mycelium_fractal_net.security.signed_requests.refusals import Refusals
from mycelium_fractal_net.security.signed_requests.verifier import RequestRefusedError
from tests.support.algorithms import SIGNING
from tests.support.signing import AUTHORITY, COVERED, Peer

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net import Keyring

JSON = {"Content-Type": "application/json"}


async def echo(request: Request) -> PlainTextResponse:
    body = await request.body()
    return PlainTextResponse(f"{request.scope.get(SIGNER)} {body.decode()}")


def application(keyring: Keyring, **options: Any) -> Starlette:
    """Somebody's Starlette application behind the middleware."""
    app = Starlette(
        routes=[
            Route("/orders/{id}", echo, methods=["GET", "POST"]),
            Route("/health", echo),
            Mount("/admin", routes=[Route("/keys", echo, methods=["POST"])]),
        ]
    )
    app.add_middleware(
        SignatureVerificationMiddleware, keyring=keyring, authority=AUTHORITY, **options
    )
    return app


def send(app: Any, *requests: httpx.Request) -> list[httpx.Response]:
    """The answers of an ASGI application to requests, one after the other."""

    async def run() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport) as client:
            return [await client.send(request) for request in requests]

    return asyncio.run(run())


def post(
    path: str = "/orders/7", body: bytes = b'{"a": 1}', api_key: str | None = None
) -> httpx.Request:
    headers = JSON if api_key is None else {**JSON, "X-API-Key": api_key}
    return httpx.Request("POST", f"http://{AUTHORITY}{path}", content=body, headers=headers)


def peer(keyring: Keyring, algorithm: str = SIGNING, **options: Any) -> Peer:
    """A registered signer."""
    made = Peer("peer", SigningKey.generate(algorithm))
    options = options or {"any_credential": True}
    keyring.provider.signers.add("peer", made.public_key, **options)
    return made


def lifetime(created: int, expires: int) -> dict[str, int]:
    """Times of a signature, in seconds from now."""
    now = int(time.time())
    return {"created": now + created, "expires": now + expires}


def refused(response: httpx.Response) -> None:
    """The plan's 401."""
    assert response.status_code == 401, response.text
    assert response.json()["error"] == "Invalid signature"


@pytest.mark.parametrize("algorithm", ["Ed25519", "ECDSA-P256", "ECDSA-P384"])
@pytest.mark.parametrize("profile", ["sign", "sign_plan"])
def test_a_signed_request_is_handed_on_whole(
    keyring: Keyring, algorithm: str, profile: str
) -> None:
    """Both profiles, every algorithm; the application sees the body and who signed it."""
    signed = getattr(peer(keyring, algorithm), profile)(post())
    (answer,) = send(application(keyring), signed)
    assert (answer.status_code, answer.text) == (200, 'peer {"a": 1}')


@pytest.mark.parametrize("profile", ["sign", "sign_plan"])
def test_a_request_is_accepted_once(keyring: Keyring, profile: str) -> None:
    """A replay is refused, also by another process's middleware."""
    signed = getattr(peer(keyring), profile)(post())
    first, again = send(application(keyring), signed, signed)
    assert first.status_code == 200
    refused(again)
    refused(send(application(keyring), signed)[0])


def test_a_request_without_a_signature_is_refused(keyring: Keyring) -> None:
    """Unless the policy says otherwise."""
    refused(send(application(keyring), post())[0])
    assert send(application(keyring, policy="optional"), post())[0].text == 'None {"a": 1}'
    assert send(application(keyring, policy="off"), post())[0].text == 'None {"a": 1}'


@pytest.mark.parametrize("policy", ["required", "optional"])
@pytest.mark.parametrize(
    "forge",
    [
        lambda peer: Peer("peer").sign(post()),
        lambda peer: Peer("peer").sign_plan(post()),
        lambda peer: Peer("nobody", peer.key).sign(post()),
        lambda peer: peer.sign_plan(peer.sign(post())),
        lambda peer: peer.sign(post(), tag="another"),
        lambda peer: peer.sign(post(), nonce=None),
        lambda peer: peer.sign(post(), **lifetime(-400, -100)),
        lambda peer: peer.sign(post(), expires=int(time.time()) + 4000),
        lambda peer: peer.sign(post(), **lifetime(200, 260)),
        lambda peer: peer.sign(post(), alg="ecdsa-p384-sha384"),
        lambda peer: peer.sign(post(), covered=("@method", "@path", "@query")),
        lambda peer: peer.sign(post(), covered=("@authority", "@path", "@query")),
        lambda peer: peer.sign_plan(post(), timestamp=int(time.time()) - 301),
        lambda peer: peer.sign_plan(post(), timestamp=int(time.time()) + 302),
        lambda peer: Peer("peer", peer.key, "other.example.com").sign(post()),
        lambda peer: Peer("peer", peer.key, "other.example.com").sign_plan(post()),
    ],
    ids=[
        "own key", "own key in X-Public-Key", "unknown name", "two profiles", "another tag",
        "no nonce", "expired", "long-lived", "from the future", "another algorithm",
        "no authority", "no method", "old", "early", "another host", "another host, plan",
    ],
)  # fmt: skip
def test_a_forged_or_weak_signature_is_refused(
    keyring: Keyring, policy: str, forge: Callable[[Peer], httpx.Request]
) -> None:
    """Where a signature is optional, one that is there must be right all the same."""
    signed = forge(peer(keyring))
    refused(send(application(keyring, policy=policy), signed)[0])


def changed(request: httpx.Request, **changes: Any) -> httpx.Request:
    """The same request with its headers, but for what is changed."""
    headers = httpx.Headers(request.headers)
    headers.pop("content-length", None)
    for name, value in changes.pop("headers", {}).items():
        headers[name] = value
    return httpx.Request(
        changes.get("method", request.method),
        changes.get("url", request.url),
        content=changes.get("content", request.content),
        headers=headers,
    )


@pytest.mark.parametrize("profile", ["sign", "sign_plan"])
@pytest.mark.parametrize(
    "change",
    [
        {"method": "GET"},
        {"url": f"http://{AUTHORITY}/orders/8"},
        {"url": f"http://{AUTHORITY}/orders/7?x=1"},
        {"url": f"http://{AUTHORITY}/%6Frders/7"},
        {"content": b'{"a": 2}'},
        {"content": b""},
        {"headers": {"Content-Type": "text/plain"}},
        {"headers": {"X-API-Key": "mfn_" + "a" * 16 + "_" + "b" * 43}},
    ],
    ids=["method", "path", "query", "spelling", "body", "no body", "content type", "api key"],
)
def test_what_is_covered_cannot_be_changed(
    keyring: Keyring, profile: str, change: dict[str, Any]
) -> None:
    """And the nonce of the honest request is not burnt by trying."""
    signed = getattr(peer(keyring), profile)(post())
    forged, honest = send(application(keyring), changed(signed, **change), signed)
    refused(forged)
    assert honest.status_code == 200


def another(found: re.Match[str]) -> str:
    """Another character than the last of what was found, of base64 too."""
    return found[0][:-1] + ("B" if found[0][-1] == "A" else "A")


def moved(seconds: int) -> Callable[[re.Match[str]], str]:
    """A time of a signature by that much later, whenever it was made."""
    return lambda found: f"{found[1]}{int(found[2]) + seconds}"


def again(header: str, pattern: str, replacement: Any) -> Callable[[httpx.Request], None]:
    """A change of one thing in a header of a signed request."""

    def change(request: httpx.Request) -> None:
        text, count = re.subn(pattern, replacement, request.headers[header], count=1)
        assert count == 1
        request.headers[header] = text

    return change


@pytest.mark.parametrize(
    ("profile", "change"),
    [
        ("sign", again("signature-input", r"(created=)(\d+)", moved(-9))),
        ("sign", again("signature-input", r"(expires=)(\d+)", moved(30))),
        ("sign", again("signature-input", 'nonce="', 'nonce="x')),
        ("sign", again("signature-input", 'keyid="peer"', 'keyid="other"')),
        ("sign", again("signature-input", 'tag="', 'alg="ed25519";tag="')),
        ("sign", again("signature-input", ' "@query"', "")),
        ("sign", again("signature-input", '"@method" "@authority"', '"@authority" "@method"')),
        ("sign", again("signature-input", ' "content-type"', "")),
        ("sign", again("signature-input", ' "x-more"', "")),
        ("sign", again("x-more", "covered", "changed")),
        ("sign", again("content-digest", "=:[^:]*", f"=:{'A' * 43}=")),
        ("sign", again("signature", "=:.", another)),
        ("sign_plan", again("x-signature-timestamp", r"\d$", lambda m: str(9 - int(m[0])))),
        ("sign_plan", again("x-signature-nonce", "^.", another)),
        ("sign_plan", again("x-signature", "^.", another)),
        ("sign_plan", again("x-public-key", ".*", "OTHER")),
    ],
)  # fmt: skip
def test_no_part_of_a_signature_can_be_changed(
    keyring: Keyring, profile: str, change: Callable[[httpx.Request], None]
) -> None:
    """Its times, nonce, name, what it covers, the digest: each alone, and the nonce stays."""
    signer = peer(keyring)
    other = Peer("other")
    keyring.provider.signers.add("other", other.public_key, any_credential=True)
    request = post()
    request.headers["X-More"] = "covered too"
    covered = ("@method", "@authority", "@path", "@query", "x-more")
    signed = signer.sign_plan(request) if profile == "sign_plan" else signer.sign(
        request, covered=covered
    )  # fmt: skip
    forged = changed(signed)
    change(forged)
    if "OTHER" in forged.headers.get("x-public-key", ""):
        forged.headers["x-public-key"] = base64.b64encode(other.public_key).decode()
    assert forged.headers != signed.headers
    answers = send(application(keyring), forged, signed)
    refused(answers[0])
    assert answers[1].status_code == 200


def test_a_signer_signs_for_the_credentials_it_names(keyring: Keyring) -> None:
    """Another valid API key under a good signature is refused, and so is none."""
    mine, key = keyring.provider.credentials.create("mine", ("*",))
    other, other_key = keyring.provider.credentials.create("other", ("*",))
    signer = peer(keyring, credentials=(mine.credential_id,))
    good = signer.sign(post(api_key=key.text))
    stolen = signer.sign(post(api_key=other_key.text))
    alone = signer.sign(post())
    app = application(keyring)
    answers = send(app, good, stolen, alone)
    assert answers[0].status_code == 200
    refused(answers[1])
    refused(answers[2])
    assert other.credential_id != mine.credential_id


def test_a_credential_that_has_a_signer_works_only_with_it(keyring: Keyring) -> None:
    """Also where the policy is off, and also once the signer is revoked."""
    mine, key = keyring.provider.credentials.create("mine", ("*",))
    _, free = keyring.provider.credentials.create("free", ("*",))
    signer = peer(keyring, credentials=(mine.credential_id,))
    app = application(keyring, policy="off")
    answers = send(
        app, post(api_key=key.text), signer.sign(post(api_key=key.text)), post(api_key=free.text)
    )
    refused(answers[0])
    assert [each.status_code for each in answers[1:]] == [200, 200]
    anybody = Peer("anybody")
    keyring.provider.signers.add("anybody", anybody.public_key, any_credential=True)
    keyring.refresh()
    refused(send(application(keyring, policy="off"), anybody.sign(post(api_key=key.text)))[0])
    free_signed = anybody.sign(post(api_key=free.text))
    assert send(application(keyring), free_signed)[0].status_code == 200
    keyring.provider.signers.revoke("peer")
    keyring.refresh()
    for request in (post(api_key=key.text), signer.sign(post(api_key=key.text))):
        refused(send(application(keyring, policy="off"), request)[0])


def test_rules_are_for_the_route_that_runs(keyring: Keyring) -> None:
    """Into mounts, by method; a path that no route takes gets the strictest policy."""
    rules = {"/health": "off", "GET /orders/{id}": "optional", "/admin/keys": "required"}
    app = application(keyring, policy="off", rules=rules)
    get = httpx.Request("GET", f"http://{AUTHORITY}/orders/7")
    health = httpx.Request("GET", f"http://{AUTHORITY}/health")
    nowhere = httpx.Request("GET", f"http://{AUTHORITY}/nowhere")
    answers = send(app, get, health, post("/admin/keys"), post(), nowhere)
    assert [each.status_code for each in answers] == [200, 200, 401, 401, 401]
    spelt = send(app, post("/%61dmin/keys"), post("/admin//keys"))
    assert [each.status_code for each in spelt] == [401, 401]


def test_a_websocket_is_refused_unless_its_policy_is_off(keyring: Keyring) -> None:
    """It cannot be signed."""

    async def socket(websocket: Any) -> None:
        await websocket.accept()
        await websocket.close()

    async def run(policy: str) -> list[str]:
        app = Starlette(routes=[WebSocketRoute("/live", socket)])
        app.add_middleware(
            SignatureVerificationMiddleware, keyring=keyring, authority=AUTHORITY, policy=policy
        )
        sent: list[str] = []

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message["type"])

        scope = {"type": "websocket", "path": "/live", "headers": [], "query_string": b""}
        await app(scope, receive, send)
        return sent

    assert asyncio.run(run("required")) == ["websocket.close"]
    assert asyncio.run(run("off"))[0] == "websocket.accept"


def test_the_plans_form_works_in_fastapi(keyring: Keyring) -> None:
    """``app.middleware("http")`` with an instance; body and signer reach the route."""
    app = FastAPI()
    app.middleware("http")(SignatureVerificationMiddleware(keyring=keyring, authority=AUTHORITY))
    app.add_route("/orders/{id}", echo, methods=["POST"])
    signer = peer(keyring)
    signed = signer.sign(post())
    answers = send(app, signed, signed, post(), signer.sign_plan(post()))
    assert answers[0].text == 'peer {"a": 1}'
    refused(answers[1])
    refused(answers[2])
    assert answers[3].status_code == 200
    free = FastAPI()
    free.middleware("http")(
        SignatureVerificationMiddleware(keyring=keyring, authority=AUTHORITY, policy="optional")
    )
    free.add_route("/orders/{id}", echo, methods=["GET", "POST"])
    get = httpx.Request("GET", f"http://{AUTHORITY}/orders/7")
    signed_get = signer.sign(httpx.Request("GET", f"http://{AUTHORITY}/orders/7?x=1"))
    assert [each.text for each in send(free, get, signed_get)] == ["None ", "peer "]


def test_a_body_that_is_too_large_is_not_held_in_memory(keyring: Keyring) -> None:
    """413 before all of it was read."""
    signed = peer(keyring).sign(post(body=b"x" * 2000))
    (answer,) = send(application(keyring, max_body_bytes=1000), signed)
    assert answer.status_code == 413


def test_a_client_that_leaves_before_its_body_is_whole_gets_no_handler(keyring: Keyring) -> None:
    """Its head was verified; nothing runs, and nobody is answered."""
    signed = peer(keyring).sign(post(body=b"whole"))
    scope = {
        "type": "http",
        "method": "POST",
        "path": signed.url.path,
        "raw_path": signed.url.raw_path,
        "query_string": b"",
        "headers": [(name.lower(), value) for name, value in signed.headers.raw],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send_nothing(message: Any) -> None:
        raise AssertionError(message)

    asyncio.run(application(keyring)(scope, receive, send_nothing))


def test_the_cause_of_a_silent_store_is_in_the_answer() -> None:
    """In the words that name no host, no user and no file."""
    error = StoreUnavailableError("the key store does not serve: x (mfn@host)", detail="it is full")
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send_on(message: Any) -> None:
        sent.append(message)

    asyncio.run(Refusals().answer(error)({}, receive, send_on))
    assert sent[0]["status"] == 503
    assert b": it is full" in sent[1]["body"]
    assert b"host" not in sent[1]["body"]


def test_a_rule_that_names_no_route_is_told_of_once(
    keyring: Keyring, caplog: pytest.LogCaptureFixture
) -> None:
    """By path, by method, and into mounts; what is mounted as a whole is named by its path."""

    class Endpoint:
        """Takes every method."""

    named = ["/orders/{id}", "POST /orders/{id}", "/health", "/admin/keys", "POST /admin/keys"]
    idle = ["/healthz", "DELETE /orders/{id}", "/keys", "GET /admin/keys", "/orders/7"]
    app = application(keyring, rules=dict.fromkeys([*named, *idle, "PUT /any"], "off"))
    app.router.routes.append(Route("/any", Endpoint))
    send(app, post(), post())
    told = [record.getMessage() for record in caplog.records if "names no route" in record.message]
    assert [each.split("'")[1] for each in told] == idle


def test_where_nonces_cannot_be_stored_nothing_is_accepted(keyring: Keyring) -> None:
    """503, and the request can be made again once they can."""
    signer = peer(keyring)
    signed = signer.sign(post())
    app = application(keyring)
    assert send(app, signer.sign(post()))[0].status_code == 200  # who may sign is known by now
    with keyring.provider.store.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE mfn_request_nonces RENAME TO elsewhere")
    (answer,) = send(app, signed)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "nonce" in answer.json()["detail"]
    with keyring.provider.store.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO mfn_request_nonces")
    assert send(application(keyring), signed)[0].status_code == 200


def test_where_the_store_was_changed_nothing_is_accepted(
    keyring: Keyring, caplog: pytest.LogCaptureFixture
) -> None:
    """503 and no error out of the application; the log names the change."""
    signer = peer(keyring)
    with keyring.provider.store.database.write() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER undo AFTER INSERT ON mfn_request_nonces BEGIN"
            " DELETE FROM mfn_request_nonces; END"
        )
    keyring.freshness.until = 0.0
    (answer,) = send(application(keyring), signer.sign(post()))
    assert answer.status_code == 503
    assert "trigger" in caplog.text
    assert "trigger" not in answer.text


def test_what_cannot_be_configured_is_refused(keyring: Keyring) -> None:
    """An unknown policy, a rule without a path, no keyring, no application."""
    for options in (
        {"keyring": keyring, "authority": AUTHORITY, "policy": "sometimes"},
        {"keyring": keyring, "authority": AUTHORITY, "rules": {"health": "off"}},
        {"authority": AUTHORITY},
        {"keyring": keyring},
    ):
        with pytest.raises(ConfigurationError):
            SignatureVerificationMiddleware(**options)
    bare = SignatureVerificationMiddleware(keyring=keyring, authority=AUTHORITY)
    with pytest.raises(ConfigurationError):
        asyncio.run(bare({}, None, None.__class__))


def test_an_error_of_the_application_is_its_own(keyring: Keyring) -> None:
    """What it raises once a request was verified is not taken for a bad signature."""
    from mycelium_fractal_net.security.errors import InvalidSignatureError

    async def fails(request: Request) -> PlainTextResponse:
        raise InvalidSignatureError

    app = Starlette(routes=[Route("/orders/{id}", fails, methods=["POST"])])
    app.add_middleware(SignatureVerificationMiddleware, keyring=keyring, authority=AUTHORITY)
    with pytest.raises(InvalidSignatureError):
        send(app, peer(keyring).sign(post()))


def test_a_body_may_flow_while_it_is_hashed(keyring: Keyring) -> None:
    """The application gets its parts as they come, and the last only if all of them fit."""
    got: list[bytes] = []

    async def flowing(scope: Any, receive: Any, send_: Any) -> None:
        got.clear()
        more = True
        while more:
            message = await receive()
            got.append(message.get("body", b""))
            more = message.get("more_body", False)
        await PlainTextResponse("done")(scope, receive, send_)

    app = SignatureVerificationMiddleware(
        flowing, keyring=keyring, authority=AUTHORITY, flows=lambda _: True
    )
    signer = peer(keyring)
    assert send(app, signer.sign(post(body=b"whole")))[0].text == "done"
    assert b"".join(got) == b"whole"
    forged = changed(signer.sign(post(body=b"whole")), content=b"other")
    refused(send(app, forged)[0])
    refused(send(app, signer.sign_plan(post(body=b"whole")))[0])
    refused(send(app, signer.sign(post(body=b""), covered=COVERED))[0])
    malformed = post(body=b"whole")
    malformed.headers["Content-Digest"] = "md5=:AAAA:"
    refused(send(app, signer.sign(malformed))[0])


def flowing_application(keyring: Keyring, app: Any) -> SignatureVerificationMiddleware:
    return SignatureVerificationMiddleware(
        app, keyring=keyring, authority=AUTHORITY, flows=lambda _: True
    )


def test_an_application_makes_no_answer_of_a_flowing_body_that_is_wrong(keyring: Keyring) -> None:
    """401 where it catches the error and goes on; its own refusal where it refuses."""
    signer = peer(keyring)

    def answering(status: int) -> Any:
        async def app(scope: Any, receive: Any, send_: Any) -> None:
            with contextlib.suppress(RequestSignatureError):
                while (await receive()).get("more_body"):
                    pass
            await PlainTextResponse("mine", status)(scope, receive, send_)

        return flowing_application(keyring, app)

    forged = [changed(signer.sign(post(body=b"whole")), content=b"other") for _ in range(2)]
    refused(send(answering(200), forged[0])[0])
    (own,) = send(answering(422), forged[1])
    assert (own.status_code, own.text) == (422, "mine")


@pytest.mark.parametrize("catches", [False, True])
def test_an_answer_that_began_is_not_ended_where_the_body_turns_out_wrong(
    keyring: Keyring, catches: bool
) -> None:
    """The server cuts it, and nothing is raised out of the application."""
    signer = peer(keyring)
    answer: list[Any] = []

    async def app(scope: Any, receive: Any, send_: Any) -> None:
        await send_({"type": "http.response.start", "status": 200, "headers": []})
        try:
            await receive()
        except RequestSignatureError:
            if not catches:
                raise
        await send_({"type": "http.response.body", "body": b"all of it"})

    async def run() -> None:
        forged = changed(signer.sign(post(body=b"whole")), content=b"other")
        scope = {
            "type": "http", "method": "POST", "path": "/orders/7", "query_string": b"",
            "headers": [(name.lower(), value) for name, value in forged.headers.raw],
        }  # fmt: skip

        async def receive() -> Any:
            return {"type": "http.request", "body": b"other"}

        async def take(message: Any) -> None:
            answer.append(message["type"])

        await flowing_application(keyring, app)(scope, receive, take)

    asyncio.run(run())
    assert answer == ["http.response.start"]


def test_an_application_that_raises_our_error_by_itself_raises_it(keyring: Keyring) -> None:
    """It is taken for a wrong body only where the body is wrong."""

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        await receive()
        raise RequestSignatureError

    with pytest.raises(RequestSignatureError):
        send(flowing_application(keyring, app), peer(keyring).sign(post()))


def test_blanks_around_the_value_of_a_header_are_none_of_it(keyring: Keyring) -> None:
    """RFC 9110 section 5.5: whoever is on the way may add and remove them."""
    mine, key = keyring.provider.credentials.create("mine", ("*",))
    signer = peer(keyring, credentials=(mine.credential_id,))
    for sign in (signer.sign, signer.sign_plan):
        spaced = sign(post(api_key=key.text))
        spaced.headers = httpx.Headers(
            [(name, b" \t%b\t " % value) for name, value in spaced.headers.raw]
        )
        (answer,) = send(application(keyring), spaced)
        assert answer.status_code == 200, answer.text


def test_a_body_that_nothing_announced_must_be_covered_too(keyring: Keyring) -> None:
    """In HTTP/2 neither a length nor a coding says that one will come."""
    signer = peer(keyring)
    bare = signer.sign(httpx.Request("POST", f"http://{AUTHORITY}/orders/7"))
    bare.headers.pop("content-length")
    smuggled = httpx.Request("POST", bare.url, headers=bare.headers, stream=httpx.ByteStream(b"x"))
    smuggled.headers.pop("transfer-encoding", None)
    answers = send(application(keyring), smuggled, bare)
    refused(answers[0])
    assert answers[1].text == "peer "


def test_an_application_names_the_headers_that_change_what_it_does(keyring: Keyring) -> None:
    """Where one is sent it must be covered, which the plan's profile cannot."""
    signer = peer(keyring)
    app = application(keyring, cover=("X-Tenant",))

    def tenant() -> httpx.Request:
        request = post()
        request.headers["X-Tenant"] = "a"
        return request

    covered = signer.sign(tenant(), covered=(*COVERED, "x-tenant"))
    answers = send(
        app, covered, signer.sign(tenant()), signer.sign_plan(tenant()), signer.sign(post())
    )
    assert [each.status_code for each in answers] == [200, 401, 401, 200]


REASONS: dict[str, tuple[str, Callable[[Peer], httpx.Request]]] = {
    "unsigned": ("it has no signature", lambda _: post()),
    "authority": (
        f"authority (here it is {AUTHORITY})",
        lambda peer: Peer("peer", peer.key, "other.example.com").sign(post()),
    ),
    "authority, plan": (
        f"authority (here it is {AUTHORITY})",
        lambda peer: Peer("peer", peer.key, "other.example.com").sign_plan(post()),
    ),
    "old": ("it was created 40", lambda peer: peer.sign(post(), **lifetime(-400, -100))),
    "old, plan": ("timestamp", lambda peer: peer.sign_plan(post(), timestamp=1)),
    "another tag": ("well formed", lambda peer: peer.sign(post(), tag="other")),
    "two": ("both profiles", lambda peer: peer.sign_plan(peer.sign(post()))),
    "little": ("covers too little", lambda peer: peer.sign(post(), covered=COVERED[1:])),
    "nobody": ("no such signer", lambda peer: Peer("nobody", peer.key).sign(post())),
    "nobody, plan": ("no such signer", lambda _: Peer("nobody").sign_plan(post())),
    "body": (
        "the body is not the one",
        lambda peer: changed(peer.sign(post()), content=b'{"b": 1}'),
    ),
}


@pytest.mark.parametrize("case", REASONS)
def test_the_owner_is_told_why_a_request_was_refused(
    keyring: Keyring, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    """One line, with the id that the answer bears; who asks reads one text for all reasons."""
    reason, make = REASONS[case]
    (answer,) = send(application(keyring), make(peer(keyring)))
    refused(answer)
    (line,) = [each.getMessage() for each in caplog.records if "refused" in each.getMessage()]
    assert reason in line
    assert answer.headers["x-request-id"] in line
    assert reason not in answer.text


def test_a_signature_that_was_used_and_one_for_another_credential_are_told_apart(
    keyring: Keyring, caplog: pytest.LogCaptureFixture
) -> None:
    """The keyid stands in the line as it was sent, and nothing that it holds breaks the line."""
    signer = peer(keyring)
    signed = signer.sign(post())
    stolen = signer.sign(post(api_key="no API key"))
    strange = Peer("x" * 300 + "'").sign(post())
    send(application(keyring), signed, signed, stolen, strange)
    first, second, third = [each.getMessage() for each in caplog.records]
    assert "keyid 'peer': its nonce was used before" in first
    assert "does not sign for this credential" in second
    assert third.endswith(f"keyid '{'x' * 64}': there is no such signer, or it was revoked")


def test_strangers_fill_no_log(keyring: Keyring, caplog: pytest.LogCaptureFixture) -> None:
    """Some lines a second; of the rest the number, once the second is over."""
    app = application(keyring)
    send(app, *[post() for _ in range(20)])
    assert len(caplog.records) == 5
    time.sleep(1.01)
    send(app, post())
    assert "15 more requests were refused" in caplog.text
    assert len(caplog.records) == 7


def test_a_request_without_a_signature_is_told_of_no_nonce(
    keyring: Keyring, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the store does not answer: neither the problem nor the log speaks of a signed one."""
    _, key = keyring.provider.credentials.create("mine", ("*",))
    app = application(keyring, policy="off")
    keyring.freshness.until = 0.0

    def fails() -> None:
        raise StoreUnavailableError("the key store does not answer")

    keyring.freshness.ensure = fails  # type: ignore[method-assign]
    (answer,) = send(app, post(api_key=key.text))
    assert answer.status_code == 503
    assert "nonce" not in answer.text
    assert "signed request" not in caplog.text
    assert "was refused: the key store does not answer" in caplog.text


def test_why_a_request_was_refused_crosses_processes() -> None:
    """As every error does."""
    error = pickle.loads(pickle.dumps(RequestRefusedError("why", "peer")))
    assert (error.reason, error.keyid, str(error)) == (
        "why",
        "peer",
        "the signature does not verify",
    )
