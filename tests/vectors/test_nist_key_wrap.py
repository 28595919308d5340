"""NIST's vectors of AES key wrap with padding (SP 800-38F), from ``cryptography-vectors``.

A key comes in under a fresh key of AES that is itself wrapped by RSA: so each vector's key is
wrapped for an RSA key here, and the vector's ciphertext put behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.keywrap import (
    aes_key_unwrap_with_padding,
    aes_key_wrap_with_padding,
)

from mycelium_fractal_net.security.errors import DecryptionError
from mycelium_fractal_net.security.sealed.rsa_recipients import RsaRecipientKey

from . import response_file

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_librarys_key_wrap_with_padding_is_nists(ran: Callable[[str, int], None]) -> None:
    """KWP_AE_256.txt: every key and plaintext give the ciphertext, and back."""
    count = 0
    for record in response_file("keywrap", "kwtestvectors", "KWP_AE_256.txt"):
        key, plain, wrapped = (bytes.fromhex(record[name]) for name in "kpc")
        assert aes_key_wrap_with_padding(key, plain) == wrapped
        assert aes_key_unwrap_with_padding(key, wrapped) == plain
        count += 1
    assert count == 500
    ran("NIST KWP_AE_256", count)


def test_a_key_that_comes_in_is_unwrapped_as_nist_says(ran: Callable[[str, int], None]) -> None:
    """Every fifth of KWP_AD_256.txt: those marked FAIL raise, all others give their plaintext."""
    private = generate_private_key(65_537, 3072)
    ours, oaep = RsaRecipientKey(private), OAEP(MGF1(SHA256()), SHA256(), None)
    passed = failed = 0
    for record in [*response_file("keywrap", "kwtestvectors", "KWP_AD_256.txt")][::5]:
        blob = private.public_key().encrypt(bytes.fromhex(record["k"]), oaep)
        blob += bytes.fromhex(record["c"])
        if "fail" in record:
            with pytest.raises(DecryptionError):
                ours.unwrap(blob)
            failed += 1
        else:
            assert ours.unwrap(blob) == bytes.fromhex(record["p"])
            passed += 1
    assert passed + failed == 100
    assert failed > 10
    ran("NIST KWP_AD_256, every fifth", passed + failed)
