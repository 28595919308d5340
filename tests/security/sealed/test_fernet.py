"""Fernet tokens are opened as their specification has it, and none is ever made."""

from __future__ import annotations

import base64

import pytest
from cryptography.fernet import Fernet

from mycelium_fractal_net.security.errors import DecryptionError, InvalidKeyError
from mycelium_fractal_net.security.sealed.fernet import FernetOpener

KEY, OTHER = (base64.urlsafe_b64encode(bytes([n]) * 32) for n in (1, 2))
# https://github.com/fernet/spec, generate.json
VECTOR = (
    "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCG"
    "M4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA=="
)
VECTOR_KEY = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="


def test_the_token_of_the_specification_is_opened() -> None:
    """As text and as bytes, by whichever of the keys is its own."""
    for token in (VECTOR, VECTOR.encode()):
        assert FernetOpener([OTHER, VECTOR_KEY]).open(token) == b"hello"


def test_everything_wrong_with_a_token_is_one_error() -> None:
    """Another key, a changed bit, another text."""
    opener = FernetOpener([KEY, OTHER])
    good = Fernet(OTHER).encrypt(b"data")
    assert opener.open(good) == b"data"
    raw = bytearray(base64.urlsafe_b64decode(good))
    raw[30] ^= 1
    for token in (VECTOR, base64.urlsafe_b64encode(raw), good[:-4], b"", "Ü", b"\x80"):
        with pytest.raises(DecryptionError, match=DecryptionError.TEXT):
            opener.open(token)


def test_what_is_no_key_is_refused_and_a_key_is_not_shown() -> None:
    """Neither by the error nor by a repr."""
    for keys in ([], [b"short"], [KEY.decode()[:-2]], [None], ["Ü" * 43]):
        with pytest.raises(InvalidKeyError):
            FernetOpener(keys)  # type: ignore[arg-type]
    assert repr(FernetOpener([KEY])) == "FernetOpener(1)"
