"""Wycheproof's vectors for Ed25519 and for ECDSA on P-256 and P-384."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from mycelium_fractal_net.security.errors import InvalidSignatureError
from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey

from . import wycheproof


@pytest.mark.parametrize(
    ("name", "algorithm", "expected"),
    [
        ("ed25519", "Ed25519", {"valid": 88, "invalid": 63}),
        ("ecdsa_secp256r1_sha256", "ECDSA-P256", {"valid": 174, "invalid": 310}),
        ("ecdsa_secp384r1_sha384", "ECDSA-P384", {"valid": 194, "invalid": 310}),
    ],
)
def test_every_wycheproof_signature_is_answered_as_it_says(
    name: str, algorithm: str, expected: dict[str, int], ran: Callable[[str, int], None]
) -> None:
    """Valid ones verify; malleated, lax, cut and out-of-range ones are refused."""
    answers: Counter[str] = Counter()
    for group, test in wycheproof(name):
        key = VerifyingKey.from_der(bytes.fromhex(group["publicKeyDer"]))
        assert key.algorithm == algorithm
        message, signature = bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"])
        if test["result"] == "valid":
            key.verify(message, signature)
        else:
            with pytest.raises(InvalidSignatureError):
                key.verify(message, signature)
        answers[test["result"]] += 1
    assert answers == expected
    ran(f"Wycheproof {name}", answers.total())


def test_wycheproofs_keys_are_the_same_in_der_pem_and_jwk(ran: Callable[[str, int], None]) -> None:
    """A group's key reads as one key in each encoding it is given in, and is written alike."""
    seen = 0
    for name in ("ed25519", "ecdsa_secp256r1_sha256", "ecdsa_secp384r1_sha384"):
        pems = {group["publicKeyPem"]: group for group, _ in wycheproof(name)}
        for pem, group in pems.items():
            key = VerifyingKey.from_der(bytes.fromhex(group["publicKeyDer"]))
            assert VerifyingKey.from_pem(pem) == key
            assert key.pem().decode() == pem
            if "publicKeyJwk" in group:
                assert VerifyingKey.from_jwk(group["publicKeyJwk"]) == key
            seen += 1
    assert seen > 100
    ran("Wycheproof public keys", seen)
