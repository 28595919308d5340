"""AES-SIV: the vectors of Wycheproof and RFC 5297 that have our keys; the others are refused."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from mycelium_fractal_net.security.errors import DecryptionError, InvalidKeyError
from mycelium_fractal_net.security.sealed.deterministic import DeterministicCipher

from . import response_file, wycheproof

if TYPE_CHECKING:
    from collections.abc import Callable

HANDLE = bytes.fromhex("0123456789abcdef")
HEADER = b"MFN\x03" + HANDLE


def test_every_wycheproof_vector_is_answered_as_it_says(ran: Callable[[str, int], None]) -> None:
    """With keys of 64 bytes; shorter ones are refused, which the standard has too."""
    answers: Counter[str] = Counter()
    for group, test in wycheproof("aes_siv_cmac"):
        key, aad, data, made = (bytes.fromhex(test[name]) for name in ("key", "aad", "msg", "ct"))
        if group["keySize"] != 512:
            with pytest.raises(InvalidKeyError):
                DeterministicCipher(key, HANDLE, aad)
            answers["shorter key refused"] += 1
            continue
        cipher = DeterministicCipher(key, HANDLE, aad)
        if test["result"] == "valid":
            assert cipher.seal(data) == HEADER + made, test["tcId"]
            assert cipher.open(HEADER + made) == data, test["tcId"]
            answers["valid made and opened"] += 1
        else:
            with pytest.raises(DecryptionError):
                cipher.open(HEADER + made)
            answers["invalid refused"] += 1
    assert answers == {
        "valid made and opened": 39,
        "invalid refused": 108,
        "shorter key refused": 295,
    }
    ran("Wycheproof aes_siv_cmac", answers.total())


def test_those_of_the_standard_are_made_by_what_we_build_on(
    ran: Callable[[str, int], None],
) -> None:
    """RFC 5297 appendix A: keys of 32 bytes, and in A.2 three components. We take neither."""
    answers: Counter[str] = Counter()
    for record in response_file("ciphers", "AES", "SIV", "openssl.txt"):
        key, data = bytes.fromhex(record["key"]), bytes.fromhex(record["plaintext"])
        parts = [bytes.fromhex(record[n]) for n in ("aad", "aad2", "aad3") if n in record]
        made = bytes.fromhex(record["tag"] + record["ciphertext"])
        assert AESSIV(key).encrypt(data, parts) == made
        if len(key) == 64:
            assert DeterministicCipher(key, HANDLE, *parts).seal(data) == HEADER + made
            answers["made"] += 1
        else:
            with pytest.raises(InvalidKeyError):
                DeterministicCipher(key, HANDLE)
            answers["shorter key refused"] += 1
    assert answers == {"made": 1, "shorter key refused": 3}
    ran("RFC 5297 and OpenSSL aes-siv", answers.total())
