"""Who signed a request, as it is decided in front of every route, step by step."""

from __future__ import annotations

import asyncio
import base64
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mycelium_fractal_net.security.directories.signers import SignerDirectory
from mycelium_fractal_net.security.http_signatures.content_digest import content_digest
from mycelium_fractal_net.security.http_signatures.messages import RequestView
from mycelium_fractal_net.security.key_store import NonceStore
from mycelium_fractal_net.security.key_store.freshness import Freshness
from mycelium_fractal_net.security.signed_requests.replay import ReplayGuard, nonce_digest
from mycelium_fractal_net.security.signed_requests.verifier import (
    RequestRefusedError,
    RequestVerifier,
    SignedHead,
    bears_signature,
    credential_id_of,
)
from tests.support.signing import AUTHORITY, Peer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mycelium_fractal_net.security.key_providers import LocalKeyProvider

NOW = 1_800_000_000
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def peer(local_provider: LocalKeyProvider) -> Peer:
    """A registered signer, for requests with any credential or none."""
    found = Peer("billing")
    local_provider.signers.add("billing", found.public_key, any_credential=True)
    return found


@pytest.fixture
def verifier(local_provider: LocalKeyProvider) -> Iterator[Callable[..., RequestVerifier]]:
    """Makes verifiers with a clock that stands; keyword arguments are theirs."""
    guard = ReplayGuard(NonceStore(local_provider.store.database))
    signers = SignerDirectory(local_provider, Freshness(local_provider.store))

    def make(**options: Any) -> RequestVerifier:
        given = {"authority": AUTHORITY, "clock": lambda: float(NOW), **options}
        return RequestVerifier(signers, guard, **given)

    yield make
    guard.close()


def request(body: bytes = b"{}", **headers: str) -> httpx.Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Request("POST", f"http://{AUTHORITY}/x?a=1", content=body, headers=JSON | named)


def verified(
    verifier: RequestVerifier, peer: Peer, sent: httpx.Request, body: bytes | None = None
) -> str:
    """The signer's name; ``body`` is what came where it is not what was sent."""

    async def run() -> str:
        view = peer.view(sent)
        head = await verifier.verify_head(view)
        return await verifier.finish(view, head, sent.content if body is None else body)

    return asyncio.run(run())


def refused(
    verifier: RequestVerifier, peer: Peer, sent: httpx.Request, body: bytes | None = None
) -> RequestRefusedError:
    with pytest.raises(RequestRefusedError) as caught:
        verified(verifier, peer, sent, body)
    assert str(caught.value) == "the signature does not verify"  # whatever it was
    return caught.value


def refusal(
    verifier: RequestVerifier, peer: Peer, sent: httpx.Request, body: bytes | None = None
) -> str:
    return refused(verifier, peer, sent, body).reason


def without(sent: httpx.Request, name: str) -> httpx.Request:
    """The request as it was signed, without that header."""
    del sent.headers[name]
    return sent


def body_only(peer: Peer, body: bytes, **headers: str) -> httpx.Request:
    """A request by the plan's first sketch."""
    return request(
        body,
        X_Signature=base64.b64encode(peer.key.sign_fixed_size(body)).decode(),
        X_Public_Key=base64.b64encode(peer.public_key).decode(),
        **headers,
    )


def test_a_signature_over_the_body_alone_is_for_development(
    verifier: Callable[..., RequestVerifier], peer: Peer
) -> None:
    """It is taken where that was asked for, of a registered key, for its own body, and again."""
    sent = body_only(peer, b'{"a":1}')
    assert refusal(verifier(), peer, sent)
    open_to_it = verifier(body_only=True)
    for _ in range(2):  # nothing in it tells one from the other
        assert verified(open_to_it, peer, sent) == "billing"
    assert refusal(open_to_it, peer, sent, b'{"a":2}')
    assert refusal(open_to_it, peer, body_only(Peer("stranger"), b"{}"))
    assert refusal(open_to_it, peer, body_only(peer, b"{}", X_Signature_Timestamp=str(NOW)))
    whole = peer.sign_plan(request(), timestamp=NOW)
    assert verified(open_to_it, peer, whole) == "billing"
    assert refusal(open_to_it, peer, whole)  # which has a nonce


def test_each_profile_is_held_to_its_body_and_its_nonce(
    verifier: Callable[..., RequestVerifier], peer: Peer
) -> None:
    """Another body is refused and takes no nonce; what was taken is refused the next time."""
    kept = verifier()
    for sent in (
        peer.sign(request(), created=NOW, expires=NOW + 60),
        peer.sign_plan(request(), timestamp=NOW),
    ):
        assert refusal(kept, peer, sent, b"{ }")
        assert verified(kept, peer, sent) == "billing"
        assert "its nonce was used before" in refusal(kept, peer, sent)


def test_a_body_that_nothing_announced_is_refused_where_nothing_covers_it(
    verifier: Callable[..., RequestVerifier], peer: Peer
) -> None:
    """In HTTP/2 one may come without a length."""
    sent = peer.sign(httpx.Request("GET", f"http://{AUTHORITY}/x"), created=NOW, expires=NOW + 60)
    assert refusal(verifier(), peer, sent, b"{}")
    assert verified(verifier(), peer, sent, b"") == "billing"


def test_a_body_that_nothing_announced_is_taken_where_the_signature_covers_it(
    verifier: Callable[..., RequestVerifier], peer: Peer
) -> None:
    """Its digest and its type are signed, whether a length was sent or not."""
    sent = without(peer.sign(request(), created=NOW, expires=NOW + 60), "Content-Length")
    assert "covered body" not in refusal(verifier(), peer, sent, b"{ }")
    assert verified(verifier(), peer, sent) == "billing"


def test_a_body_that_is_announced_has_to_be_covered(
    verifier: Callable[..., RequestVerifier], peer: Peer
) -> None:
    """It is said before the body is there."""
    bare = httpx.Request("POST", f"http://{AUTHORITY}/x", headers={"Content-Length": "2"})
    sent = peer.sign(bare, created=NOW, expires=NOW + 60)
    with pytest.raises(RequestRefusedError) as caught:
        asyncio.run(verifier().verify_head(peer.view(sent)))
    assert caught.value.reason == COVERS_TOO_LITTLE


def test_a_nonce_is_kept_until_its_request_has_expired(
    verifier: Callable[..., RequestVerifier], peer: Peer
) -> None:
    """Else it is forgotten too early, and the request is sent once more."""

    def head(sent: httpx.Request) -> SignedHead:
        return asyncio.run(verifier().verify_head(peer.view(sent)))

    nonce = "b3k2pp5k7z50gnwpyemd00"
    digest = nonce_digest(sha256(peer.public_key).digest(), nonce)
    by_rfc = peer.sign(request(), created=NOW, expires=NOW + 60, nonce=nonce)
    assert head(by_rfc).nonce == (digest, NOW + 60)
    by_plan = peer.sign_plan(request(), timestamp=NOW - 7, nonce=nonce)
    assert head(by_plan).nonce == (digest, NOW - 7 + 300)


@pytest.mark.parametrize("name", ["Signature", "Signature-Input", "X-Signature", "X-Public-Key"])
def test_a_header_of_either_profile_alone_is_a_signature(
    verifier: Callable[..., RequestVerifier], peer: Peer, name: str
) -> None:
    """One that is broken: such a request never passes for one that was not signed."""
    sent = request(b"{}", **{name.replace("-", "_"): "AA=="})
    assert bears_signature(peer.view(sent))
    assert refusal(verifier(), peer, sent)
    assert not bears_signature(peer.view(request()))


COVERS_TOO_LITTLE = (
    "it covers too little, or has no keyid, no nonce, or not 300 seconds at most from created to"
    " expires"
)
DIFFERS = (
    "the signature is not of this request as it came: made by another key, or for another method,"
    f" authority (here it is {AUTHORITY}), path, query or covered header"
)
MALFORMED = "it bears no well formed signature with the tag mycelium-fractal-net"
NOT_FOR_CREDENTIAL = "the signer does not sign for this credential, or for none"
OTHER_BODY = "the body is not the one that was signed"
UNKNOWN = "there is no such signer, or it was revoked"


def bound_peer(provider: LocalKeyProvider) -> Peer:
    """A signer for one credential, which none of these requests has."""
    found = Peer("bound")
    credential, _ = provider.credentials.create("x", ("*",))
    provider.signers.add("bound", found.public_key, credentials=(credential.credential_id,))
    return found


def test_a_refusal_says_why_and_whose_to_whoever_serves(
    verifier: Callable[..., RequestVerifier], peer: Peer, local_provider: LocalKeyProvider
) -> None:
    """By RFC 9421: what to look for, and the signer as the request names it."""
    bound = bound_peer(local_provider)
    times = {"created": NOW, "expires": NOW + 60}
    kept = verifier()
    for signer, sent, body, wanted in (
        (peer, request(Signature="a=:AA==:", Signature_Input="a=()"), None, (MALFORMED, "")),
        (peer, peer.sign(request(), **times, keyid=None), None, (COVERS_TOO_LITTLE, "")),
        (peer, peer.sign(request(), **times, nonce=None), None, (COVERS_TOO_LITTLE, "billing")),
        (peer, peer.sign(request(), created=NOW, expires=NOW + 301), None,
         (COVERS_TOO_LITTLE, "billing")),
        (peer, peer.sign(request(), created=NOW + 99, expires=NOW + 100), None,
         ("it was created -99 s ago and holds for 100 s, by this clock", "billing")),
        (peer, Peer("stranger").sign(request(), **times), None, (UNKNOWN, "stranger")),
        (bound, bound.sign(request(), **times), None, (NOT_FOR_CREDENTIAL, "bound")),
        (bound, bound.sign(request(X_API_Key="nokey"), **times), None,
         (NOT_FOR_CREDENTIAL, "bound")),
        (peer, peer.sign(request(X_API_Key="nokey"), **times), None,
         (NOT_FOR_CREDENTIAL, "billing")),
        (peer, Peer("billing").sign(request(), **times), None, (DIFFERS, "billing")),
        (peer, peer.sign(request(), **times), b"{ }", (OTHER_BODY, "billing")),
    ):  # fmt: skip
        found = refused(kept, signer, sent, body)
        assert (found.reason, found.keyid) == wanted


def test_a_refusal_by_the_plans_profile_says_why_and_whose(
    verifier: Callable[..., RequestVerifier], peer: Peer, local_provider: LocalKeyProvider
) -> None:
    """The signer is named once its key was found."""
    bound = bound_peer(local_provider)
    kept = verifier(cover=("x-tenant",))
    uncovered = "a header was sent that the plan's profile does not cover"
    late = "its timestamp is not that of this clock, by 300 s and more"
    for signer, sent, body, wanted in (
        (peer, request(X_Signature="AA=="), None, ("its four headers are not well formed", "")),
        (peer, peer.sign_plan(request(), timestamp=NOW - 301), None, (late, "")),
        (peer, Peer("x").sign_plan(request(), timestamp=NOW), None, (UNKNOWN, "")),
        (bound, bound.sign_plan(request(), timestamp=NOW), None, (NOT_FOR_CREDENTIAL, "bound")),
        (peer, peer.sign_plan(request(X_Tenant="a"), timestamp=NOW), None, (uncovered, "billing")),
        (peer, peer.sign_plan(request(), timestamp=NOW), b"{ }", (DIFFERS, "billing")),
        (peer, peer.sign_plan(peer.sign(request()), timestamp=NOW), None,
         ("it bears signatures of both profiles", "")),
    ):  # fmt: skip
        found = refused(kept, signer, sent, body)
        assert (found.reason, found.keyid) == wanted


@pytest.mark.parametrize(
    ("created", "expires", "good"),
    [(0, 60, True), (30, 90, True), (31, 91, False), (-90, -30, True), (-91, -31, False)],
)
def test_clocks_may_be_30_seconds_apart_either_way(
    verifier: Callable[..., RequestVerifier], peer: Peer, created: int, expires: int, good: bool
) -> None:
    """Unless something else is asked for; a refusal says by how much, by this clock."""
    sent = peer.sign(request(), created=NOW + created, expires=NOW + expires)
    if good:
        assert verified(verifier(), peer, sent) == "billing"
    else:
        said = refusal(verifier(), peer, sent)
        assert f"created {-created} s ago and holds for {expires} s" in said
    assert verified(verifier(skew_seconds=40), Peer("billing", peer.key), peer.sign(
        request(), created=NOW + created, expires=NOW + expires
    )) == "billing"  # fmt: skip


@pytest.mark.parametrize(
    ("ahead", "good"), [(0, True), (299, True), (-299, True), (301, False), (-301, False)]
)
def test_the_plans_timestamp_may_be_300_seconds_apart(
    verifier: Callable[..., RequestVerifier], peer: Peer, ahead: int, good: bool
) -> None:
    """Either way."""
    sent = peer.sign_plan(request(), timestamp=NOW + ahead)
    if good:
        assert verified(verifier(), peer, sent) == "billing"
    else:
        assert "its timestamp is not that of this clock" in refusal(verifier(), peer, sent)


def test_what_an_application_has_covered_the_plans_profile_cannot_cover(
    verifier: Callable[..., RequestVerifier], peer: Peer
) -> None:
    """A header that changes what a route does; the RFC's profile signs it."""
    kept = verifier(cover=("x-tenant",))
    plain = peer.sign_plan(request(), timestamp=NOW)
    assert verified(kept, peer, plain) == "billing"
    assert refusal(kept, peer, peer.sign_plan(request(X_Tenant="one"), timestamp=NOW))
    times = {"created": NOW, "expires": NOW + 60}
    covered = ("@method", "@authority", "@path", "@query", "x-tenant")
    assert refusal(kept, peer, peer.sign(request(X_Tenant="one"), **times))
    sent = peer.sign(request(X_Tenant="one"), covered=covered, **times)
    assert verified(kept, peer, sent) == "billing"


def test_a_credential_that_no_text_names_is_nobodys() -> None:
    """Whatever bytes stand in the place of its id, they are an id that no credential has."""
    view = RequestView("GET", "http", AUTHORITY, b"/", b"", [(b"x-api-key", b"mfn_%b_%b" % (
        b"\xff" * 16, b"x" * 43))])  # fmt: skip
    assert credential_id_of(view) == "\N{REPLACEMENT CHARACTER}" * 16


def test_both_profiles_on_one_request_are_refused(
    verifier: Callable[..., RequestVerifier], peer: Peer
) -> None:
    """Which of them counts would be for whoever reads it to say."""
    sent = peer.sign_plan(peer.sign(request(), created=NOW, expires=NOW + 60), timestamp=NOW)
    assert "both profiles" in refusal(verifier(), peer, sent)


def test_a_stream_is_signed_over_its_digest_and_its_type(
    verifier: Callable[..., RequestVerifier], peer: Peer
) -> None:
    """The plan's profile signs the body itself; a stream's nonce is taken before its body comes."""

    async def flowing(sent: httpx.Request, body: bytes) -> str:
        kept = verifier()
        name, digest = await kept.begin_flow(await kept.verify_head(peer.view(sent)))
        digest.update(body)
        digest.check()
        return name

    sent = peer.sign(request(), created=NOW, expires=NOW + 60)
    assert asyncio.run(flowing(sent, b"{}")) == "billing"
    with pytest.raises(RequestRefusedError) as caught:
        asyncio.run(flowing(sent, b"{}"))
    assert caught.value.reason == "its nonce was used before"
    bare = httpx.Request("GET", f"http://{AUTHORITY}/x")
    with_digest = peer.sign(bare, created=NOW, expires=NOW + 60)
    with_digest.headers["Content-Digest"] = content_digest(b"{}")  # by whoever sends it on
    for wrong in (
        peer.sign_plan(request(), timestamp=NOW),
        peer.sign(httpx.Request("GET", f"http://{AUTHORITY}/x"), created=NOW, expires=NOW + 60),
        with_digest,
    ):
        with pytest.raises(RequestRefusedError) as caught:
            asyncio.run(flowing(wrong, b"{}"))
        assert caught.value.reason.startswith("a stream is signed by RFC 9421")
        assert caught.value.keyid == "billing"
