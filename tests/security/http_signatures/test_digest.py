"""``Content-Digest``: made, checked at once, and checked over a body that flows."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mycelium_fractal_net.security.errors import InvalidInputError, InvalidSignatureError
from mycelium_fractal_net.security.http_signatures.content_digest import (
    BodyDigest,
    check_content_digest,
    content_digest,
    content_digest_of,
)

BODY = b'{"hello": "world"}'
ALGORITHMS = ["sha-256", "sha-512"]
GOOD_256 = content_digest(BODY).encode()
GOOD_512 = content_digest(BODY, "sha-512").encode()
BAD_256 = content_digest(BODY + b"\n").encode()
BAD_512 = content_digest(BODY + b"\n", "sha-512").encode()


def test_a_digest_of_pieces_is_that_of_the_whole() -> None:
    """By SHA-256 where nothing else is asked for."""
    assert content_digest_of([BODY[:5], BODY[5:]]).encode() == GOOD_256
    assert content_digest_of([BODY[:5], BODY[5:]], "sha-512").encode() == GOOD_512


def fits(field: bytes, body: bytes) -> bool:
    """Whether the field fits; both checks must say the same."""
    try:
        check_content_digest(field, body)
        at_once = True
    except InvalidSignatureError:
        at_once = False
    try:
        flowing = BodyDigest(field)
        for place in range(0, len(body), 7):
            flowing.update(body[place : place + 7])
        flowing.check()
    except InvalidSignatureError:
        assert not at_once
    else:
        assert at_once
    return at_once


def test_the_example_of_rfc_9530() -> None:
    """Appendix D.1: the digest of that body with its line feed."""
    assert content_digest(b'{"hello": "world"}\n') == (
        "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
    )


@given(st.binary(max_size=200), st.sampled_from(ALGORITHMS))
def test_what_was_made_fits_its_body_and_no_other(body: bytes, algorithm: str) -> None:
    """An empty body has a digest too."""
    field = content_digest(body, algorithm).encode()
    assert fits(field, body)
    assert not fits(field, body + b"x")
    name = algorithm.replace("-", "")
    expected = base64.b64encode(hashlib.new(name, body).digest()).decode()
    assert field.decode() == f"{algorithm}=:{expected}:"


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (GOOD_256 + b", " + GOOD_512, True),
        (GOOD_512 + b"," + GOOD_256, True),
        (GOOD_256 + b", " + BAD_512, False),
        (BAD_256 + b", " + GOOD_512, False),
        (b"md5=:AAAA:, " + GOOD_256, True),
        (GOOD_256 + b", unixsum=::", True),
        (b"md5=:AAAA:, " + BAD_256, False),
        (b"md5=:CY9rzUYh03PK3k6DJie09g==:", False),
        (b"sha=:AAAA:", False),
        (b"sha-256=::", False),
        (b"sha-256=:AAAA:", False),
        (GOOD_256.replace(b"sha-256", b"sha-512"), False),
        (GOOD_256 + b"," + GOOD_256, False),
        (GOOD_256.replace(b"=:", b":"), False),
        (GOOD_256.upper(), False),
        (GOOD_256 + b";p", False),
        (b"", False),
    ],
)
def test_every_known_algorithm_must_be_right_and_one_must_be_known(
    field: bytes, expected: bool
) -> None:
    """Unknown ones say nothing, not even beside none that is known."""
    assert fits(field, BODY) is expected


def test_another_algorithm_is_not_made() -> None:
    """MD5 and SHA-1 are registered, and broken."""
    with pytest.raises(InvalidInputError):
        content_digest(BODY, "md5")
