"""Wycheproof's vectors for HMAC-SHA-256, PBKDF2 and the library's AES key wrap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap,
    aes_key_unwrap_with_padding,
    aes_key_wrap,
    aes_key_wrap_with_padding,
)

from mycelium_fractal_net.security.algorithms.key_derivation import (
    derive_from_passphrase,
    pbkdf2,
)
from mycelium_fractal_net.security.algorithms.mac import MacKey
from mycelium_fractal_net.security.errors import InvalidInputError, InvalidSignatureError

from . import wycheproof


def test_every_wycheproof_hmac_vector_of_our_sizes_is_answered_as_it_says(
    ran: Callable[[str, int], None],
) -> None:
    """256-bit keys with whole tags; a truncated tag is refused whatever Wycheproof says of it."""
    answers: Counter[str] = Counter()
    for group, test in wycheproof("hmac_sha256"):
        if group["keySize"] != 256:
            answers["other key size"] += 1
            continue
        key, message = MacKey(bytes.fromhex(test["key"])), bytes.fromhex(test["msg"])
        if test["result"] == "valid" and group["tagSize"] == 256:
            key.verify(message, bytes.fromhex(test["tag"]))
            answers["valid"] += 1
        else:
            with pytest.raises(InvalidSignatureError):
                key.verify(message, bytes.fromhex(test["tag"]))
            answers["refused"] += 1
    assert answers == {"valid": 27, "refused": 135, "other key size": 12}
    ran("Wycheproof hmac_sha256", answers["valid"] + answers["refused"])


def test_every_wycheproof_pbkdf2_vector_derives_as_it_says(ran: Callable[[str, int], None]) -> None:
    """Through the function below the floor; the public one takes none of these counts or salts."""
    count = 0
    for _, test in wycheproof("pbkdf2_hmacsha256"):
        password, salt = bytes.fromhex(test["password"]), bytes.fromhex(test["salt"])
        iterations = test["iterationCount"]
        assert pbkdf2(password, salt, iterations, test["dkLen"]).hex() == test["dk"], test["tcId"]
        with pytest.raises(InvalidInputError):
            derive_from_passphrase(password, salt, iterations)
        count += 1
    assert count == 60
    ran("Wycheproof pbkdf2_hmacsha256", count)


@pytest.mark.parametrize(
    ("name", "wrap", "unwrap"),
    [
        ("aes_wrap", aes_key_wrap, aes_key_unwrap),
        ("aes_kwp", aes_key_wrap_with_padding, aes_key_unwrap_with_padding),
    ],
)
def test_the_librarys_key_wrap_agrees_with_wycheproof(
    name: str,
    wrap: Callable[[bytes, bytes], bytes],
    unwrap: Callable[[bytes, bytes], bytes],
    ran: Callable[[str, int], None],
) -> None:
    """Nothing here wraps with it yet; this says what the library that custodians lean on does."""
    count = 0
    for _, test in wycheproof(name):
        key, message = bytes.fromhex(test["key"]), bytes.fromhex(test["msg"])
        wrapped = bytes.fromhex(test["ct"])
        if test["result"] == "valid":
            assert wrap(key, message) == wrapped
            assert unwrap(key, wrapped) == message
        else:
            # "acceptable" are 8-byte keys, which RFC 3394 does not have and the library refuses.
            with pytest.raises(InvalidUnwrap):
                unwrap(key, wrapped)
        count += 1
    assert count > 0
    ran(f"Wycheproof {name}", count)
