"""The text of an API key: made, read, and never shown."""

from __future__ import annotations

import hashlib
import re

import pytest

from mycelium_fractal_net.security.records import api_keys

FORM = re.compile(r"mfn_[a-z0-9]{16}_[A-Za-z0-9_-]{43}")


def test_a_new_key_has_the_documented_form_and_its_digest() -> None:
    """Prefix, id and 256-bit secret; the digest is SHA-256 of the secret's text."""
    key = api_keys.generate()
    assert FORM.fullmatch(key.text)
    secret = key.text.split("_", 2)[2]
    assert key.digest == hashlib.sha256(secret.encode()).digest()
    assert len(key.digest) == api_keys.DIGEST_BYTES
    assert key.text[4:20] == key.credential_id


def test_no_two_keys_are_alike() -> None:
    """Neither ids nor secrets repeat."""
    made = [api_keys.generate() for _ in range(50)]
    assert len({key.credential_id for key in made}) == 50
    assert len({key.digest for key in made}) == 50


def test_a_new_secret_is_made_for_an_id_that_is_there() -> None:
    """Rotation keeps the id and shares nothing else."""
    first = api_keys.generate()
    second = api_keys.generate(first.credential_id)
    assert second.credential_id == first.credential_id
    assert second.digest != first.digest


def test_a_key_does_not_show_itself() -> None:
    """Its repr, which ends up in logs, holds the id alone."""
    key = api_keys.generate()
    assert repr(key) == f"ApiKey(credential_id={key.credential_id!r})"


def test_a_key_is_read_back_from_bytes_and_from_text() -> None:
    """Both give the id and the digest that was stored."""
    key = api_keys.generate()
    expected = (key.credential_id.encode(), key.digest)
    assert api_keys.parse(key.text) == expected
    assert api_keys.parse(key.text.encode()) == expected


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: text[:-1],
        lambda text: text + "A",
        lambda text: text.replace("mfn_", "mfx_"),
        lambda text: text[:20] + "-" + text[21:],
        lambda text: " " + text[:-1],
        lambda text: text.upper(),
        lambda text: text[:-1] + "é",
        lambda text: text[:-1] + "\ud800\ud800",
        lambda text: "x" * 100_000,
    ],
)
def test_what_is_no_key_has_no_id_and_raises_nothing(change) -> None:  # type: ignore[no-untyped-def]
    """Cut, extended, of another prefix or frame: all are malformed, none is an error."""
    credential_id, digest = api_keys.parse(change(api_keys.generate().text))
    assert credential_id == b""
    assert len(digest) == api_keys.DIGEST_BYTES


def test_a_long_text_is_not_digested_whole() -> None:
    """A megabyte in a header costs no more than a key."""
    key = api_keys.generate()
    assert api_keys.parse(key.text + "x" * 1_000_000)[1] == key.digest
