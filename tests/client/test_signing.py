"""`RequestSigner`: any request of httpx, signed so that the service and others accept it."""

from __future__ import annotations

import asyncio
import os
import re
from typing import TYPE_CHECKING, Any

import http_message_signatures
import httpx
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from mycelium_fractal_net import initialise, open_keyring
from mycelium_fractal_net.client import AsyncClient, Client, RequestSigner
from mycelium_fractal_net.security.errors import (
    AlgorithmNotAllowedError,
    InvalidInputError,
    InvalidKeyError,
    KeyUsageError,
    NotPermittedError,
    ServiceUnavailableError,
)
from mycelium_fractal_net.security.http_signatures.content_digest import check_content_digest
from mycelium_fractal_net.security.http_signatures.coverage import check_coverage, check_times
from mycelium_fractal_net.security.http_signatures.message_signature import (
    choose_by_tag,
    parse_signatures,
    verify,
)
from mycelium_fractal_net.security.http_signatures.messages import RequestView
from mycelium_fractal_net.security.http_signatures.plan_profile import (
    parse_plan_signature,
    verify_plan,
)
from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.signatures.signing_key import SigningKey
from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey
from tests.support.algorithms import SIGNING
from tests.support.client import API_KEY, answering, problem
from tests.support.service import start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.service import Running

ALGORITHMS = ["Ed25519", "ECDSA-P256", "ECDSA-P384"]
BIG = 12 * 1024 * 1024
KEY = SigningKey.generate(SIGNING)


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service that asks for signatures, by a key of ours or by one of another keyring."""
    home = tmp_path_factory.mktemp("signed") / "home"
    with initialise(home=home) as keyring:
        keyring.provider.signers.add("peer", KEY.public.der(), any_credential=True)
        keyring.provider.keys.create("service", "signing", use="request")
        public = VerifyingKey.from_pem(keyring.public_key("service").pem)
        keyring.provider.signers.add("keyring", public.der(), any_credential=True)
    running = start(home, env={"MFN_REQUEST_SIGNING": "required"})
    yield running
    assert running.stop() == 0


def caught(
    auth: httpx.Auth, method: str = "POST", url: str = "https://a.example/x?b=c", **more: Any
) -> httpx.Request:
    """What leaves a client of httpx that signs by ``auth``."""
    sent: list[httpx.Request] = []

    def take(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200)

    with httpx.Client(transport=httpx.MockTransport(take), auth=auth) as client:
        client.request(method, url, **more)
    return sent[0]


def view(request: httpx.Request) -> RequestView:
    path, _, query = request.url.raw_path.partition(b"?")
    headers = [(name.lower(), value) for name, value in request.headers.raw]
    return RequestView(request.method, "https", request.headers["host"], path, query, headers)


# Against the service --------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["rfc9421", "plan"])
def test_a_client_that_signs_is_served(signed: Running, profile: Any) -> None:
    """Every request anew, with and without a body; one that does not sign is not."""
    auth = RequestSigner(KEY.private_pem(), "peer", profile=profile)
    with Client(signed.url, signed.api_key, auth=auth) as remote:
        for _ in range(3):
            assert remote.decrypt(remote.encrypt(b"hello")) == b"hello"
        assert remote.show_key("service").key_id == "service"
        remote.rotate_key("default-mac")  # a body of no bytes
        with remote.local() as lease:
            assert lease.decrypt(lease.encrypt(b"x")) == b"x"
    with Client(signed.url, signed.api_key) as unsigned:
        assert unsigned.health().ready
        with pytest.raises(NotPermittedError, match="signature"):
            unsigned.encrypt(b"hello")
    stranger = RequestSigner(SigningKey.generate(SIGNING), "peer", profile=profile)
    with Client(signed.url, signed.api_key, auth=stranger) as other:
        with pytest.raises(NotPermittedError, match="signature"):
            other.encrypt(b"hello")
    assert "PRIVATE" not in repr(auth)


def test_files_are_signed_by_a_digest_that_goes_ahead(signed: Running, tmp_path: Path) -> None:
    """In constant memory, in both directions."""
    source = tmp_path / "a"
    source.write_bytes(os.urandom(BIG))
    with Client(signed.url, signed.api_key, auth=RequestSigner(KEY, "peer")) as remote:
        remote.encrypt_stream(source, tmp_path / "b")
        remote.decrypt_stream(tmp_path / "b", tmp_path / "c")
        with source.open("rb") as reader:  # no file that is read twice: held in memory
            remote.encrypt_stream(reader, tmp_path / "d")
    assert (tmp_path / "c").read_bytes() == source.read_bytes()
    with Client(signed.url, signed.api_key) as unsigned, pytest.raises(NotPermittedError):
        unsigned.encrypt_stream(source, tmp_path / "e")


def test_a_stream_that_was_read_for_its_digest_is_not_sent_again(tmp_path: Path) -> None:
    """What came of a second attempt would be the message of nothing."""
    (tmp_path / "a").write_bytes(b"data")
    auth = RequestSigner(KEY, "peer")
    with Client("http://127.0.0.2:9", API_KEY, auth=auth) as nobody:
        with (tmp_path / "a").open("rb") as reader, pytest.raises(ServiceUnavailableError):
            nobody.encrypt_stream(reader, tmp_path / "b")


def test_a_key_of_a_keyring_signs(signed: Running) -> None:
    """One of use `request`, also once it was rotated, and never one for data."""
    with open_keyring(home=signed.home) as keyring:
        auth = RequestSigner.from_keyring(keyring, "service", key_id="keyring")
        with Client(signed.url, signed.api_key, auth=auth) as remote:
            assert remote.decrypt(remote.encrypt(b"hello")) == b"hello"

        async def work() -> bytes:
            async with AsyncClient(signed.url, signed.api_key, auth=auth) as waited:
                return await waited.decrypt(await waited.encrypt(b"awaited"))

        assert asyncio.run(work()) == b"awaited"
        plan = RequestSigner.from_keyring(keyring, "service", profile="plan")
        with Client(signed.url, signed.api_key, auth=plan) as remote:
            assert remote.encrypt(b"hello")
        named = caught(RequestSigner.from_keyring(keyring, "service"))
        assert 'keyid="service:v1"' in named.headers["signature-input"]
        with pytest.raises(KeyUsageError):
            caught(RequestSigner.from_keyring(keyring, "default-signing"))


# Against any service --------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("more", [
    {}, {"json": {"a": 1}}, {"content": iter([b"piece", b"s"]), "headers": {"Content-Type": "a/b"}},
    {"headers": {"X-API-Key": API_KEY, "Authorization": "Bearer t", "X-Extra": "e",
                 "X-Associated-Data": "cm93"}},
], ids=["bare", "json", "pieces", "headers"])  # fmt: skip
def test_a_signature_covers_what_it_must(algorithm: str, more: Any) -> None:
    """And it verifies, within its time, under the key alone."""
    key = SigningKey.generate(algorithm)
    auth = RequestSigner(key, "me", cover=["X-Extra"], lifetime=30, clock=lambda: 1_000_000.0)
    if "content" in more:
        more = {**more, "content": iter([b"piece", b"s"])}
    request = caught(auth, **more)
    seen = view(request)
    signature = choose_by_tag(parse_signatures(seen))
    check_coverage(signature, seen, has_body=bool(request.content))
    check_times(signature, now=1_000_030, skew=0)
    verify(signature, seen, key.public)
    for name in ("authorization", "x-api-key", "x-extra", "x-associated-data"):
        assert (name in signature.covered.names) == (name in request.headers)
    if request.content:
        check_content_digest(request.headers["content-digest"].encode(), request.content)


@pytest.mark.parametrize("algorithm", ALGORITHMS[:2])
def test_another_library_accepts_it(algorithm: str) -> None:
    """`http-message-signatures`, which knows nothing of us."""
    key = SigningKey.generate(algorithm)
    request = caught(RequestSigner(key, "me"), json={"a": 1})
    algorithms = http_message_signatures.algorithms

    class Keys(http_message_signatures.HTTPSignatureKeyResolver):
        def resolve_public_key(self, key_id: str) -> Any:
            assert key_id == "me"
            return load_pem_public_key(key.public.pem())

    verifier = http_message_signatures.HTTPMessageVerifier(
        signature_algorithm=algorithms.ED25519
        if algorithm == "Ed25519"
        else algorithms.ECDSA_P256_SHA256,
        key_resolver=Keys(),
    )
    (found,) = verifier.verify(request)
    assert found.parameters["tag"] == "mycelium-fractal-net"


def test_the_plans_profile_verifies(tmp_path: Path) -> None:
    """With the id of an API key, and without one."""
    for headers, key_id in (({"X-API-Key": API_KEY}, "a" * 16), ({}, None)):
        request = caught(RequestSigner(KEY, "me", profile="plan"), content=b"x", headers=headers)
        seen = view(request)
        digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
        verify_plan(
            parse_plan_signature(seen), seen, KEY.public, api_key_id=key_id, body_sha256=digest
        )


def test_every_attempt_is_signed_anew() -> None:
    """A nonce that was stored would make the service refuse the second one."""
    busy = problem("store-unavailable", 503)
    good = httpx.Response(200, json={"ciphertext": "eA==", "key_id": "a:v1"})
    remote, requests = answering(busy, busy, good, auth=RequestSigner(KEY, "me"))
    with remote:
        remote.encrypt(b"x")
    inputs = [each.headers["signature-input"] for each in requests]
    assert len({re.search('nonce="([^"]+)"', each)[1] for each in inputs}) == 3  # type: ignore[index]
    assert all(each.count("sig1=") == 1 for each in inputs)


def test_a_signature_that_was_there_is_replaced() -> None:
    """Of a request that is sent a second time by hand."""
    auth = RequestSigner(KEY, "me")
    with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200))) as client:
        request = client.build_request("GET", "https://a.example/")
        for _ in range(2):
            client.send(request, auth=auth)
    verify(choose_by_tag(parse_signatures(view(request))), view(request), KEY.public)


@pytest.mark.parametrize(
    "wrong", [{"profile": "other"}, {"lifetime": 0}, {"lifetime": 301}], ids=str
)
def test_a_signer_that_nobody_would_accept_is_refused(wrong: Any) -> None:
    """When it is made, and not with every request."""
    with pytest.raises(InvalidInputError):
        RequestSigner(KEY, "me", **wrong)


@pytest.mark.parametrize(
    "body", [{"content": b"x"}, {"content": iter([b"x"])}], ids=["whole", "parts"]
)
def test_a_body_without_its_type_is_not_signed(body: Any) -> None:
    """No service of ours takes it, so it is an error here and not a refusal for ever."""
    with pytest.raises(InvalidInputError, match="Content-Type"):
        caught(RequestSigner(KEY, "me"), **body)
    assert caught(RequestSigner(KEY, "me", profile="plan"), content=b"x").headers["x-signature"]


def test_a_policy_decides_with_which_algorithms_requests_are_signed() -> None:
    """When the signer is made: FIPS signs with ECDSA, and an Ed25519 key does not slip through."""
    policy = Policy(disallowed=(SIGNING,))
    for key in (KEY, KEY.private_pem()):
        with pytest.raises(AlgorithmNotAllowedError):
            RequestSigner(key, "me", policy=policy)
    allowed = SigningKey.generate("ECDSA-P384")
    seen = view(caught(RequestSigner(allowed, "me", policy=policy)))
    verify(choose_by_tag(parse_signatures(seen)), seen, allowed.public)


def test_a_key_that_signs_no_requests_is_refused() -> None:
    """RFC 9421 has no name for its algorithm."""
    with pytest.raises(InvalidKeyError):
        RequestSigner(SigningKey.generate("ML-DSA-65"), "me")
    with pytest.raises(InvalidKeyError):
        RequestSigner(b"no PEM", "me")
    with pytest.raises(InvalidInputError) as unsigned:
        caught(RequestSigner(KEY, "me", profile="plan"), headers={"X-API-Key": "secret"})
    assert "secret" not in str(unsigned.value)
