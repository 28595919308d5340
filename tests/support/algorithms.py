"""Algorithms as the mode of this process has them, so that a test holds in FIPS mode too."""

from __future__ import annotations

from typing import Final

from mycelium_fractal_net.security.policy import Policy
from mycelium_fractal_net.security.records.keys import ALGORITHMS, KeyType
from mycelium_fractal_net.security.sealed.recipients import RecipientKey
from mycelium_fractal_net.security.signatures.signing_key import SigningKey

SIGNING: Final = next(filter(Policy().allows, ALGORITHMS[KeyType.SIGNING]))
"""What a signing key is made for where nobody says: Ed25519, in FIPS mode ECDSA-P256."""

HPKE: Final = next(filter(Policy().allows, ("HPKE-X25519", "HPKE-P256")))
"""A suite of HPKE, and by which method a key is wrapped with it."""
WRAPPING: Final = {"HPKE-X25519": "hpke", "HPKE-P256": "hpke-p256"}[HPKE]


class SigningKeys(dict[str, SigningKey]):
    """A key of each algorithm, made when a test asks for it: it may be refused."""

    def __missing__(self, algorithm: str) -> SigningKey:
        self[algorithm] = Policy().generate_signing_key(algorithm)
        return self[algorithm]


class RecipientKeys(dict[str, RecipientKey]):
    """One of each suite of HPKE, made when a test asks for it."""

    def __missing__(self, suite: str) -> RecipientKey:
        self[suite] = RecipientKey.generate(suite)
        return self[suite]
