"""What the FIPS module of this process does and refuses, asked of it through ``cryptography``.

For a process of its own, since it has to be set up before anything imports ``cryptography``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable


def asked() -> dict[str, Callable[[], object]]:
    """Each algorithm of the table in docs/fips.md, and a use of it that is otherwise good."""
    from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4, TripleDES
    from cryptography.hazmat.primitives import hashes, hmac, keywrap
    from cryptography.hazmat.primitives.asymmetric import (
        ec,
        ed25519,
        mldsa,
        mlkem,
        padding,
        rsa,
    )  # fmt: skip
    from cryptography.hazmat.primitives.ciphers import Cipher, aead, modes
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
    from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    from mycelium_fractal_net.security.sealed.recipients import (
        RecipientKey,
        open_as_recipient,
        seal_to_recipient,
    )

    key, nonce, salt = bytes(range(32)), bytes(12), bytes(range(16))
    sha256, sha384 = hashes.SHA256(), hashes.SHA384()

    def oaep() -> bytes:
        pad = padding.OAEP(padding.MGF1(sha256), sha256, None)
        private = rsa.generate_private_key(65_537, 3072)
        return private.decrypt(private.public_key().encrypt(key, pad), pad)

    def hpke(suite: str) -> bytes:
        private = RecipientKey.generate(suite)
        return open_as_recipient(private, seal_to_recipient(private.public, key))

    def encrypted(cipher: Cipher[None] | Cipher[modes.CBC]) -> bytes:
        return cipher.encryptor().update(bytes(16))

    return {
        "AES-256-GCM": lambda: aead.AESGCM(key).encrypt(nonce, b"", None),
        "SHA-256": lambda: hashes.Hash(sha256).finalize(),
        "SHA-384": lambda: hashes.Hash(sha384).finalize(),
        "SHA-512": lambda: hashes.Hash(hashes.SHA512()).finalize(),
        "ECDSA-P256": lambda: ec.generate_private_key(ec.SECP256R1()).sign(b"", ec.ECDSA(sha256)),
        "ECDSA-P384": lambda: ec.generate_private_key(ec.SECP384R1()).sign(b"", ec.ECDSA(sha384)),
        "HMAC-SHA-256": lambda: hmac.HMAC(key, sha256).finalize(),
        "PBKDF2-SHA256": lambda: PBKDF2HMAC(sha256, 32, salt, 1000).derive(key),
        "HKDF-SHA256": lambda: HKDF(sha256, 32, salt, None).derive(key),
        "HKDF-SHA384": lambda: HKDF(sha384, 32, salt, None).derive(key),
        "HKDF-SHA512": lambda: HKDFExpand(hashes.SHA512(), 32, None).derive(key),
        "HPKE-P256": lambda: hpke("HPKE-P256"),
        "HPKE-P384": lambda: hpke("HPKE-P384"),
        "RSA-OAEP-256": oaep,
        "AES-256-KWP": lambda: keywrap.aes_key_wrap_with_padding(key, key),
        "Ed25519": lambda: ed25519.Ed25519PrivateKey.generate().sign(b""),
        "ML-DSA-65": lambda: mldsa.MLDSA65PrivateKey.generate().sign(b""),
        "HPKE-X25519": lambda: hpke("HPKE-X25519"),
        "HPKE-MLKEM768-X25519": lambda: hpke("HPKE-MLKEM768-X25519"),
        "MD5": lambda: hashes.Hash(hashes.MD5()),
        "SHA-1": lambda: hashes.Hash(hashes.SHA1()).finalize(),
        "RC4": lambda: encrypted(Cipher(ARC4(key), None)),
        "3DES": lambda: encrypted(Cipher(TripleDES(key[:24]), modes.CBC(bytes(8)))),
        "AES-256-KW": lambda: keywrap.aes_key_wrap(key, key),
        "AES-256-SIV": lambda: aead.AESSIV(key + key).encrypt(b"a", []),
        "ChaCha20-Poly1305": lambda: aead.ChaCha20Poly1305(key).encrypt(nonce, b"", None),
        "ECDSA-secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()).sign(
            b"", ec.ECDSA(sha256)
        ),
        "ML-KEM-768": lambda: mlkem.MLKEM768PrivateKey.generate().public_key().encapsulate(),
        "scrypt": lambda: Scrypt(salt, 32, 2, 8, 1).derive(key),
        "Argon2id": lambda: Argon2id(
            salt=salt, length=32, iterations=1, lanes=1, memory_cost=8
        ).derive(key),
    }


def answers() -> dict[str, bool]:
    """By name, whether the module did it."""
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm

    found: Final[dict[str, bool]] = {}
    for name, use in asked().items():
        try:
            use()
        except (InternalError, UnsupportedAlgorithm, ValueError):
            found[name] = False
        else:
            found[name] = True
    return found


def main() -> None:
    """Set FIPS mode up, and print the answers as JSON."""
    import mycelium_fractal_net.fips

    mycelium_fractal_net.fips.start()
    print(json.dumps(answers()))
