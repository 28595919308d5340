"""Keys of the hybrid KEM MLKEM768-X25519, which is X-Wing: 0x647a among HPKE's (RFC 9180 7.1).

The key objects of ``cryptography`` do not serialize. What is kept of a key is therefore what
draft-connolly-cfrg-xwing-kem writes: of a public key ML-KEM's 1,184 bytes and X25519's 32, of a
private one a seed of 32 bytes. SHAKE256 makes 96 of the seed (its section 5.2): 64 for ML-KEM-768
(FIPS 203 section 7.1, d and z), 32 for X25519.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final, NoReturn

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from mycelium_fractal_net.security.errors import AlgorithmNotAllowedError, InvalidKeyError

if TYPE_CHECKING:
    from collections.abc import Callable

SEED_BYTES: Final = 32
X25519_BYTES: Final = 32
CIPHERTEXT_BYTES: Final = 1088  # FIPS 203 table 3, as the next
MLKEM_BYTES: Final = 1184
PUBLIC_BYTES: Final = MLKEM_BYTES + X25519_BYTES
_MLKEM_SEED_BYTES: Final = 64


class HybridPublicKey:
    """A public key of 1,216 bytes. Raises :class:`InvalidKeyError` for what is none."""

    __slots__ = ("key", "raw")

    def __init__(self, raw: bytes) -> None:
        mlkem = _made(lambda: MLKEM768PublicKey.from_public_bytes(raw[:MLKEM_BYTES]))
        x25519 = _made(lambda: X25519PublicKey.from_public_bytes(raw[MLKEM_BYTES:]))
        self.raw = raw
        self.key = hpke.MLKEM768X25519PublicKey(mlkem, x25519)


class HybridPrivateKey:
    """A private key, made of its seed of 32 bytes. Shows no key, cannot be pickled."""

    __slots__ = ("_public", "key", "seed")

    def __init__(self, seed: bytes) -> None:
        shake = hashes.Hash(hashes.SHAKE256(_MLKEM_SEED_BYTES + X25519_BYTES))
        shake.update(seed)
        parts = shake.finalize()
        mlkem = _made(lambda: MLKEM768PrivateKey.from_seed_bytes(parts[:_MLKEM_SEED_BYTES]))
        x25519 = X25519PrivateKey.from_private_bytes(parts[_MLKEM_SEED_BYTES:])
        self.seed = seed
        self.key = hpke.MLKEM768X25519PrivateKey(mlkem, x25519)
        halves = mlkem.public_key(), x25519.public_key()
        self._public = b"".join(half.public_bytes_raw() for half in halves)

    def __repr__(self) -> str:
        return "HybridPrivateKey(MLKEM768-X25519)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a HybridPrivateKey is not pickled or copied")

    @classmethod
    def generate(cls) -> HybridPrivateKey:
        """A fresh one."""
        return cls(secrets.token_bytes(SEED_BYTES))

    def public_key(self) -> HybridPublicKey:
        """Its public half."""
        return HybridPublicKey(self._public)


def _made(load: Callable[[], Any]) -> Any:
    try:
        return load()
    except UnsupportedAlgorithm:
        raise AlgorithmNotAllowedError("the OpenSSL of this machine has no ML-KEM-768") from None
    except ValueError:
        raise InvalidKeyError("not a usable key of MLKEM768-X25519") from None
