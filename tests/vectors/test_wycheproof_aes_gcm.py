"""Wycheproof's AES-GCM vectors, those with the sizes that the product has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from mycelium_fractal_net.security.aes_encryption import decrypt_aes_gcm
from mycelium_fractal_net.security.errors import DecryptionError, InvalidKeyError

from . import wycheproof


def test_every_wycheproof_aes_gcm_vector_is_answered_as_it_says(
    ran: Callable[[str, int], None],
) -> None:
    """256-bit keys with 96-bit nonces open or fail as listed; smaller keys are refused."""
    answers: Counter[str] = Counter()
    for group, test in wycheproof("aes_gcm"):
        key, aad = bytes.fromhex(test["key"]), bytes.fromhex(test["aad"])
        message = bytes.fromhex(test["iv"] + test["ct"] + test["tag"])
        if group["keySize"] != 256:
            with pytest.raises(InvalidKeyError):
                decrypt_aes_gcm(message, key, aad)
            answers["smaller key refused"] += 1
        elif group["ivSize"] != 96:
            # Read as 96 bits, another nonce's bytes shift into the ciphertext.
            with pytest.raises(DecryptionError):
                decrypt_aes_gcm(message, key, aad)
            answers["other nonce size refused"] += 1
        elif test["result"] == "valid":
            assert decrypt_aes_gcm(message, key, aad) == bytes.fromhex(test["msg"]), test["tcId"]
            answers["valid opened"] += 1
        else:
            with pytest.raises(DecryptionError):
                decrypt_aes_gcm(message, key, aad)
            answers["invalid refused"] += 1
    assert answers == {
        "valid opened": 39,
        "invalid refused": 27,
        "other nonce size refused": 39,
        "smaller key refused": 211,
    }
    ran("Wycheproof aes_gcm", answers.total())
