"""Signatures to and from ``http-message-signatures``, an independent implementation of RFC 9421."""

from __future__ import annotations

import datetime
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import http_message_signatures as theirs
import pytest

from mycelium_fractal_net.security.errors import InvalidSignatureError
from mycelium_fractal_net.security.http_signatures.content_digest import (
    check_content_digest,
    content_digest,
)
from mycelium_fractal_net.security.http_signatures.coverage import (
    check_coverage,
    check_response_coverage,
    check_times,
)
from mycelium_fractal_net.security.http_signatures.message_signature import (
    TAG,
    SignatureParameters,
    choose_by_tag,
    parse_signatures,
    sign,
    verify,
)
from mycelium_fractal_net.security.http_signatures.messages import RequestView, ResponseView
from mycelium_fractal_net.security.policy import Policy
from tests.support.algorithms import SigningKeys

POLICY = Policy()
THEIR_ALGORITHMS: dict[str, type[theirs.HTTPSignatureAlgorithm]] = {
    "Ed25519": theirs.algorithms.ED25519,
    "ECDSA-P256": theirs.algorithms.ECDSA_P256_SHA256,
    "ECDSA-P384": theirs.algorithms.ECDSA_P384_SHA384,
}
KEYS = SigningKeys()
BODY = b'{"data":"aGVsbG8="}'
COVERED = (
    "@method",
    "@authority",
    "@path",
    "@query",
    "content-type",
    "content-digest",
    "x-api-key",
)
URLS = [
    "https://api.example.com/crypto/encrypt",
    "https://API.example.com:443/crypto/encrypt?a=1&b=%20x&b",
    "http://127.0.0.1:8000/",
    "https://[2001:db8::1]:8443/a%2Fb//c?",
]
# Where the other package leaves the host's case and the default port in "@target-uri", we do not:
# a server knows its authority, not what its client typed.
WITH_URI = ("@method", "@target-uri", "content-type", "content-digest", "x-api-key")
CASES = [(url, COVERED) for url in URLS] + [(url, WITH_URI) for url in URLS if url != URLS[1]]
each_algorithm = pytest.mark.parametrize("algorithm", THEIR_ALGORITHMS)


@dataclass
class Message:
    """A request as the other package wants it."""

    url: str = URLS[0]
    method: str = "POST"
    headers: dict[str, str] = field(
        default_factory=lambda: {
            "Content-Type": "application/json",
            "X-API-Key": "mfn_0123456789abcdef_secret",
        }
    )


@dataclass
class Answer:
    """An answer as the other package wants it."""

    request: Message
    status_code: int = 200
    url: str = ""
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


def raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def view(message: Message) -> RequestView:
    """The same request as we want it."""
    parts = urlsplit(message.url)
    return RequestView(
        message.method,
        parts.scheme,
        parts.netloc,
        parts.path.encode(),
        parts.query.encode(),
        raw(message.headers),
    )


def their_keys(algorithm: str) -> theirs.MappingKeyResolver:
    key = KEYS[algorithm]
    return theirs.MappingKeyResolver(
        private_keys={"billing": key.private_pem()}, public_keys={"billing": key.public.pem()}
    )


def their_verifier(algorithm: str) -> theirs.HTTPMessageVerifier:
    return theirs.HTTPMessageVerifier(
        signature_algorithm=THEIR_ALGORITHMS[algorithm], key_resolver=their_keys(algorithm)
    )


def sign_theirs(message: Message | Answer, algorithm: str, *components: str) -> None:
    now = datetime.datetime.now(datetime.UTC)
    theirs.HTTPMessageSigner(
        signature_algorithm=THEIR_ALGORITHMS[algorithm], key_resolver=their_keys(algorithm)
    ).sign(
        message,
        key_id="billing",
        created=now,
        expires=now + datetime.timedelta(seconds=300),
        nonce="b3k2pp5k7z50gnwpyemd00",
        tag=TAG,
        covered_component_ids=components,
        body=BODY,
    )


def sign_ours(
    message: RequestView | ResponseView, algorithm: str, *components: str
) -> dict[str, str]:
    now = int(time.time())
    signature_input, signature = sign(
        message,
        label="sig1",
        components=components,
        parameters=SignatureParameters(
            created=now, expires=now + 300, keyid="billing", nonce="b3k2pp5k7z50gnwpyemd00", tag=TAG
        ),
        signer=KEYS[algorithm].sign_fixed_size,
    )
    return {"Signature-Input": signature_input, "Signature": signature}


@each_algorithm
@pytest.mark.parametrize(("url", "components"), CASES)
def test_we_accept_what_they_sign(algorithm: str, url: str, components: tuple[str, ...]) -> None:
    """A client of theirs, their digest of the body included, at every kind of address."""
    message = Message(url)
    sign_theirs(message, algorithm, *(each for each in components if each != "content-digest"))
    request = view(message)
    signature = choose_by_tag(parse_signatures(request))
    check_coverage(signature, request, has_body=True)
    check_times(signature, now=time.time(), skew=5)
    check_content_digest(request.fields[b"content-digest"], BODY)
    if url.endswith("?") and "@target-uri" in components:
        with pytest.raises(InvalidSignatureError):  # an empty query is none here
            verify(signature, request, KEYS[algorithm].public)
    else:
        verify(signature, request, KEYS[algorithm].public)


@each_algorithm
@pytest.mark.parametrize(("url", "components"), CASES)
def test_they_accept_what_we_sign(algorithm: str, url: str, components: tuple[str, ...]) -> None:
    """A server of theirs, which asks for all that we cover and for the body."""
    message = Message(url.removesuffix("?"))
    message.headers["Content-Digest"] = content_digest(BODY)
    components = (*components, "@scheme", "@request-target")
    message.headers |= sign_ours(view(message), algorithm, *components)
    (result,) = their_verifier(algorithm).verify(
        message, expect_tag=TAG, require_components=components, body=BODY
    )
    assert result.nonce == "b3k2pp5k7z50gnwpyemd00"
    message.headers["Content-Type"] = "text/plain"
    with pytest.raises(theirs.InvalidSignature):
        their_verifier(algorithm).verify(message, expect_tag=TAG, body=BODY)


@each_algorithm
def test_an_answer_bound_to_its_request_is_accepted_both_ways(algorithm: str) -> None:
    """``req`` on derived components and on fields."""
    message = Message()
    message.headers |= {"Content-Digest": content_digest(BODY)}
    message.headers |= sign_ours(view(message), algorithm, *COVERED)
    bound = ("@status", '"@method";req', '"@target-uri";req', '"signature";req', "content-type")

    answer = Answer(message)
    sign_theirs(answer, algorithm, *bound)
    response = ResponseView(200, raw(answer.headers), view(message))
    signature = choose_by_tag(parse_signatures(response))
    check_response_coverage(signature, response, has_body=True)
    verify(signature, response, KEYS[algorithm].public)

    answer = Answer(message)
    plain = ResponseView(200, raw(answer.headers), view(message))
    answer.headers |= sign_ours(plain, algorithm, *bound)
    assert their_verifier(algorithm).verify(answer, expect_tag=TAG, require_components=bound)


def test_one_of_several_signatures_is_ours_to_verify() -> None:
    """Theirs for another application stands beside ours on the same lines."""
    message = Message()
    sign_theirs(message, "Ed25519", *(each for each in COVERED if each != "content-digest"))
    theirs.HTTPMessageSigner(
        signature_algorithm=THEIR_ALGORITHMS["ECDSA-P256"], key_resolver=their_keys("ECDSA-P256")
    ).sign(
        message,
        key_id="billing",
        label="proxy",
        tag="proxy",
        covered_component_ids=('"content-type";bs', '"signature";key="pyhms"'),
        use_existing_digest=True,
        append_if_signature_exists=True,
    )
    request = view(message)
    assert [each.label for each in parse_signatures(request)] == ["pyhms", "proxy"]
    verify(choose_by_tag(parse_signatures(request)), request, KEYS["Ed25519"].public)
