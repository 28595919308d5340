"""NIST CAVP vectors for AES-256-GCM, from ``cryptography-vectors``.

The product draws its own nonces, so encryption is checked through decryption: what CAVP says
is the encryption must open to the plaintext, and nothing else does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from mycelium_fractal_net.security.aes_encryption import decrypt_aes_gcm
from mycelium_fractal_net.security.errors import DecryptionError

from . import response_file


def _records(name: str) -> Iterator[dict[str, str]]:
    """Those with the plan's sizes: nonces of 96 and tags of 128 bits."""
    for record in response_file("ciphers", "AES", "GCM", name):
        if "key" in record and record["ivlen"] == "96" and record["taglen"] == "128":
            yield record


def _open(record: dict[str, str]) -> bytes:
    message = bytes.fromhex(record["iv"] + record["ct"] + record["tag"])
    return decrypt_aes_gcm(message, bytes.fromhex(record["key"]), bytes.fromhex(record["aad"]))


def test_every_cavp_encryption_opens_to_its_plaintext(ran: Callable[[str, int], None]) -> None:
    """gcmEncryptExtIV256.rsp: nonce, ciphertext and tag, put together, give the plaintext."""
    count = 0
    for record in _records("gcmEncryptExtIV256.rsp"):
        assert _open(record) == bytes.fromhex(record["pt"])
        count += 1
    assert count == 375
    ran("NIST CAVP gcmEncryptExtIV256", count)


def test_every_cavp_decryption_is_answered_as_cavp_says(ran: Callable[[str, int], None]) -> None:
    """gcmDecrypt256.rsp: the records marked FAIL raise, all others give their plaintext."""
    passed = failed = 0
    for record in _records("gcmDecrypt256.rsp"):
        if "fail" in record:
            with pytest.raises(DecryptionError):
                _open(record)
            failed += 1
        else:
            assert _open(record) == bytes.fromhex(record["pt"])
            passed += 1
    assert (passed, failed) == (184, 191)
    ran("NIST CAVP gcmDecrypt256", passed + failed)
