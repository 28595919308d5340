"""The plan's profile: ``X-Signature`` with ``X-Public-Key`` over a canonical request."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mycelium_fractal_net.security.errors import InvalidInputError, InvalidSignatureError
from mycelium_fractal_net.security.http_signatures.messages import RequestView
from mycelium_fractal_net.security.http_signatures.plan_profile import (
    TIMESTAMP_SECONDS,
    PlanSignature,
    bears_plan_signature,
    canonical_request,
    check_timestamp,
    parse_body_signature,
    parse_plan_signature,
    sign_plan,
    verify_plan,
)
from mycelium_fractal_net.security.policy import Policy
from tests.support.algorithms import SIGNING, SigningKeys

POLICY = Policy()
ALGORITHMS = ["Ed25519", "ECDSA-P256", "ECDSA-P384"]
KEYS = SigningKeys()
NOW = 1_800_000_000
NONCE = "b3k2pp5k7z50gnwpyemd00"
KEY_ID = "0123456789abcdef"
BODY_SHA256 = hashlib.sha256(b"body").hexdigest()
Headers = list[tuple[bytes, bytes]]
CONTENT_TYPE: Headers = [(b"content-type", b"application/json")]


def request(
    method: str = "POST",
    authority: str = "api.example.com",
    path: bytes = b"/crypto/encrypt",
    query: bytes = b"a=1",
    headers: Headers = CONTENT_TYPE,
) -> RequestView:
    return RequestView(method, "https", authority, path, query, headers)


def signed(algorithm: str = SIGNING, message: RequestView | None = None) -> Headers:
    """The four headers of a request, as a server gets them."""
    key = KEYS[algorithm]
    made = sign_plan(
        message or request(),
        api_key_id=KEY_ID,
        timestamp=NOW,
        nonce=NONCE,
        body_sha256=BODY_SHA256,
        public_key=key.public.der(),
        signer=key.sign_fixed_size,
    )
    return [(name.lower().encode(), value.encode()) for name, value in made]


def with_header(headers: Headers, name: bytes, value: bytes | None) -> Headers:
    rest = [header for header in headers if header[0] != name]
    return rest if value is None else [*rest, (name, value)]


def accepted(
    message: RequestView,
    algorithm: str = SIGNING,
    api_key_id: str | None = KEY_ID,
    body_sha256: str = BODY_SHA256,
) -> bool:
    try:
        signature = parse_plan_signature(message)
        check_timestamp(signature, now=NOW)
        verify_plan(
            signature,
            message,
            KEYS[algorithm].public,
            api_key_id=api_key_id,
            body_sha256=body_sha256,
        )
    except InvalidSignatureError:
        return False
    return True


def test_the_canonical_request_is_ten_lines() -> None:
    """What is absent is a dash; an empty query is an empty line; there is no last line feed."""
    assert canonical_request(
        request(),
        api_key_id=KEY_ID,
        timestamp=NOW,
        nonce=NONCE,
        body_sha256=BODY_SHA256,
    ).split(b"\n") == [
        b"mycelium-fractal-net/request/v1",
        b"POST",
        b"api.example.com",
        b"/crypto/encrypt",
        b"a=1",
        b"0123456789abcdef",
        b"application/json",
        b"1800000000",
        b"b3k2pp5k7z50gnwpyemd00",
        BODY_SHA256.encode(),
    ]
    empty = hashlib.sha256().hexdigest()
    assert canonical_request(
        request("GET", "API.example.com:443", b"", b"", []),
        api_key_id=None,
        timestamp=0,
        nonce=NONCE,
        body_sha256=empty,
    ).split(b"\n")[1:8] == [b"GET", b"api.example.com", b"/", b"", b"-", b"-", b"0"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_signed_request_is_accepted(algorithm: str) -> None:
    """By each algorithm, ECDSA as ``r || s``."""
    headers = [*CONTENT_TYPE, *signed(algorithm)]
    message = request(headers=headers)
    assert bears_plan_signature(message)
    assert accepted(message, algorithm)
    signature = base64.b64decode(message.fields[b"x-signature"])
    assert len(signature) == {"Ed25519": 64, "ECDSA-P256": 64, "ECDSA-P384": 96}[algorithm]


def test_an_ed25519_key_may_be_sent_as_its_32_bytes() -> None:
    """Which the plan's clients do; it is the same signer."""
    raw = KEYS["Ed25519"].public.der()[-32:]
    headers = with_header(signed(), b"x-public-key", base64.b64encode(raw))
    message = request(headers=[*CONTENT_TYPE, *headers])
    assert parse_plan_signature(message).public_key == KEYS["Ed25519"].public.der()
    assert accepted(message)


def test_a_key_for_no_message_is_refused() -> None:
    """ML-DSA's does not even fit into the header; P-256's names another signer."""
    message = request(headers=[*CONTENT_TYPE, *signed("ML-DSA-65")])
    assert not accepted(message, "ML-DSA-65")
    ours = request(headers=[*CONTENT_TYPE, *signed()])
    assert not accepted(ours, "ECDSA-P256")
    key = KEYS["ML-DSA-65"].public
    signature = PlanSignature(b"", key.der(), NOW, NONCE)
    with pytest.raises(InvalidSignatureError):
        verify_plan(signature, ours, key, api_key_id=KEY_ID, body_sha256=BODY_SHA256)


CHANGES: dict[str, Callable[[Headers], RequestView]] = {
    "method": lambda h: request(method="PUT", headers=h),
    "authority": lambda h: request(authority="api.example.org", headers=h),
    "path": lambda h: request(path=b"/crypto/decrypt", headers=h),
    "path, encoded": lambda h: request(path=b"/%63rypto/encrypt", headers=h),
    "path and query": lambda h: request(path=b"/crypto/encrypt?a=1", query=b"", headers=h),
    "query": lambda h: request(query=b"", headers=h),
    "content type": lambda h: request(headers=with_header(h, b"content-type", b"text/plain")),
    "no content type": lambda h: request(headers=with_header(h, b"content-type", None)),
    "dash for a content type": lambda h: request(headers=with_header(h, b"content-type", b"-")),
    "timestamp": lambda h: request(headers=with_header(h, b"x-signature-timestamp", b"1800000001")),
    "nonce": lambda h: request(headers=with_header(h, b"x-signature-nonce", b"x" * 22)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_signed_line_that_is_changed_is_refused(change: str) -> None:
    """Each in turn; nothing moves from one line to the next either."""
    headers = [*CONTENT_TYPE, *signed()]
    assert accepted(request(headers=headers))
    assert not accepted(CHANGES[change](headers))


def test_another_credential_or_body_is_refused() -> None:
    """Also none, and one that is a dash."""
    message = request(headers=[*CONTENT_TYPE, *signed()])
    for key_id in (None, "fedcba9876543210", "-", "", "a\nb", "\N{EURO SIGN}"):
        assert not accepted(message, api_key_id=key_id)
    for digest in (hashlib.sha256().hexdigest(), BODY_SHA256.upper(), "", BODY_SHA256 + "\n"):
        assert not accepted(message, body_sha256=digest)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"x-signature", b""),
        (b"x-signature", b"AAAA"),
        (b"x-signature", b"!"),
        (b"x-signature", b"A" * 132),
        (b"x-public-key", b""),
        (b"x-public-key", b"AB=="),
        (b"x-public-key", b"A" * 164),
        (b"x-public-key", base64.b64encode(bytes(32))),
        (b"x-public-key", base64.b64encode(KEYS["ECDSA-P384"].public.der())),
        (b"x-signature-timestamp", b""),
        (b"x-signature-timestamp", b"01800000000"),
        (b"x-signature-timestamp", b"+1800000000"),
        (b"x-signature-timestamp", b"1800000000.0"),
        (b"x-signature-timestamp", b"1800000000\n"),
        (b"x-signature-timestamp", b"1" * 13),
        (b"x-signature-timestamp", "\N{ARABIC-INDIC DIGIT ONE}".encode()),
        (b"x-signature-nonce", b"x" * 21),
        (b"x-signature-nonce", b"x" * 65),
        (b"x-signature-nonce", b"x" * 22 + b"="),
        (b"x-signature-nonce", b"x" * 22 + b"\n"),
        (b"x-signature-nonce", b"+" * 22),
    ],
)
def test_a_header_that_is_not_as_it_must_be_is_refused(name: bytes, value: bytes) -> None:
    """One spelling of each, within bounds."""
    headers = [*CONTENT_TYPE, *signed()]
    assert not accepted(request(headers=with_header(headers, name, value)))


def test_blanks_around_a_header_are_none_of_it() -> None:
    """And nothing else is taken for a blank: no line break, no letter."""
    headers = [*CONTENT_TYPE, *signed()]
    for name, value in headers:
        assert accepted(request(headers=with_header(headers, name, b" \t" + value + b"\t ")))
        assert not accepted(request(headers=with_header(headers, name, value + b"\n")))
        assert not accepted(request(headers=with_header(headers, name, value + b"X")))


@pytest.mark.parametrize("name", [name for name, _ in signed()])
def test_a_header_that_is_missing_or_doubled_is_refused(name: bytes) -> None:
    """Three of them are no signature, and still not an unsigned request."""
    headers = [*CONTENT_TYPE, *signed()]
    value = dict(headers)[name]
    incomplete = request(headers=with_header(headers, name, None))
    assert bears_plan_signature(incomplete)
    assert not accepted(incomplete)
    assert not accepted(request(headers=[*headers, (name, value)]))
    assert not bears_plan_signature(request())


@pytest.mark.parametrize("distance", [0, 1, -1])
def test_a_timestamp_holds_for_300_seconds_either_way(distance: int) -> None:
    """And not a second longer."""
    assert TIMESTAMP_SECONDS == 300
    signature = PlanSignature(b"", b"", NOW, NONCE)
    for side in (TIMESTAMP_SECONDS, -TIMESTAMP_SECONDS):
        if abs(side + distance) <= TIMESTAMP_SECONDS:
            check_timestamp(signature, now=NOW + side + distance)
        else:
            with pytest.raises(InvalidSignatureError):
                check_timestamp(signature, now=NOW + side + distance)
    with pytest.raises(InvalidSignatureError):
        check_timestamp(signature, now=float("nan"))


@pytest.mark.parametrize(
    ("message", "nonce"),
    [
        (request(path=b"/a\nb"), NONCE),
        (request(method="GET\nPUT"), NONCE),
        (request(headers=[(b"content-type", b"a\nb")]), NONCE),
        (request(headers=[(b"content-type", b"-")]), NONCE),
        (request(headers=[(b"content-type", b"")]), NONCE),
        (request(headers=[(b"content-type", b"a/b\n")]), NONCE),
        (request(headers=[(b"content-type", b"\xe9")]), NONCE),
        (request(), "short"),
        (request(), "\N{LATIN SMALL LETTER E WITH ACUTE}" * 22),
    ],
)
def test_what_cannot_stand_on_its_line_is_not_signed(message: RequestView, nonce: str) -> None:
    """It is the caller's mistake, and said as such."""
    with pytest.raises(InvalidInputError):
        sign_plan(
            message,
            api_key_id=None,
            timestamp=NOW,
            nonce=nonce,
            body_sha256=BODY_SHA256,
            public_key=b"",
            signer=KEYS[SIGNING].sign_fixed_size,
        )


LINES = st.tuples(
    st.sampled_from(["GET", "POST"]),
    st.sampled_from([b"", b"/", b"/a", b"/-"]),
    st.sampled_from([b"", b"-", b"a", b"?"]),
    st.sampled_from([None, "a", "0123456789abcdef"]),
    st.sampled_from([None, b"a", b"a/b; c=d"]),
    st.integers(0, 3),
)


@given(LINES, LINES)
def test_two_requests_have_one_canonical_form_only_if_they_are_one(
    one: tuple[str, bytes, bytes, str | None, bytes | None, int],
    other: tuple[str, bytes, bytes, str | None, bytes | None, int],
) -> None:
    """But for the empty path, which is the slash."""

    def form(parts: tuple[str, bytes, bytes, str | None, bytes | None, int]) -> bytes:
        method, path, query, key_id, kind, timestamp = parts
        headers = [] if kind is None else [(b"content-type", kind)]
        return canonical_request(
            request(method, path=path, query=query, headers=headers),
            api_key_id=key_id,
            timestamp=timestamp,
            nonce=NONCE,
            body_sha256=BODY_SHA256,
        )

    same = (one[0], one[1] or b"/", *one[2:]) == (other[0], other[1] or b"/", *other[2:])
    assert (form(one) == form(other)) is same


class TestBodyOnly:
    """The plan's first sketch: ``X-Signature`` and ``X-Public-Key`` alone."""

    KEY = base64.b64encode(KEYS[SIGNING].public.der())
    SIGNATURE = base64.b64encode(bytes(64))

    def headers(self, signature: bytes, key: bytes) -> Headers:
        return [(b"x-signature", signature), (b"x-public-key", key)]

    def test_signature_and_key_are_read(self) -> None:
        """The key as DER, whichever way it was sent."""
        expected = bytes(64), KEYS["Ed25519"].public.der()
        for key in (base64.b64encode(expected[1]), base64.b64encode(expected[1][-32:])):
            message = request(headers=self.headers(self.SIGNATURE, key))
            assert parse_body_signature(message) == expected

    @pytest.mark.parametrize(
        "headers",
        [
            [(b"x-signature", SIGNATURE)],
            [(b"x-public-key", KEY)],
            [(b"x-signature", SIGNATURE), (b"x-public-key", b"AB==")],
            [(b"x-signature", b"AB=="), (b"x-public-key", KEY)],
            [(b"x-signature", b"A" * 132), (b"x-public-key", KEY)],
            [(b"x-signature", SIGNATURE), (b"x-public-key", b"A" * 164)],
            [
                (b"x-signature", SIGNATURE),
                (b"x-public-key", KEY),
                (b"x-signature-timestamp", b"1800000000"),
            ],
        ],
    )
    def test_anything_else_is_refused(self, headers: Headers) -> None:
        """A timestamp among it: then the whole request must have been signed."""
        with pytest.raises(InvalidSignatureError):
            parse_body_signature(request(headers=headers))


def test_what_was_read_is_not_changed_any_more() -> None:
    """A signature that was verified is the one that was read."""
    signature = PlanSignature(b"signature", b"key", NOW, NONCE)
    with pytest.raises(AttributeError):
        signature.nonce = "another"  # type: ignore[misc]
