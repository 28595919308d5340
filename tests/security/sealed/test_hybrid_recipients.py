"""HPKE by ML-KEM-768 and X25519 at once: what a stranger makes of it, and what is refused."""

from __future__ import annotations

import copy
import hashlib
import hmac
import pickle

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mycelium_fractal_net.security.errors import (
    AlgorithmNotAllowedError,
    DecryptionError,
    InvalidKeyError,
)
from mycelium_fractal_net.security.sealed import hybrid_keys
from mycelium_fractal_net.security.sealed.recipients import (
    Recipient,
    RecipientKey,
    open_as_recipient,
    seal_to_recipient,
)

HYBRID = "HPKE-MLKEM768-X25519"
SEED = hashlib.sha256(b"a hybrid recipient's test key").digest()


@pytest.fixture(scope="module")
def key() -> RecipientKey:
    return RecipientKey.from_private_bytes(HYBRID, SEED)


def extract(salt: bytes, secret: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), secret, "sha256")


def expand(key: bytes, info: bytes, size: int) -> bytes:
    return hmac.digest(key, info + b"\x01", "sha256")[:size]


def stranger_opens(seed: bytes, blob: bytes, bound: bytes) -> bytes:
    """X-Wing (draft-connolly-cfrg-xwing-kem section 5), then RFC 9180 section 5.1 in base mode."""
    assert blob[:10] == b"MFH\x01" + bytes.fromhex("647a 0001 0002")
    parts = hashlib.shake_256(seed).digest(96)
    mlkem, x25519 = (
        MLKEM768PrivateKey.from_seed_bytes(parts[:64]),
        X25519PrivateKey.from_private_bytes(parts[64:]),
    )
    of_mlkem, of_x25519 = blob[10:1098], blob[1098:1130]
    shared = hashlib.sha3_256(
        mlkem.decapsulate(of_mlkem)
        + x25519.exchange(X25519PublicKey.from_public_bytes(of_x25519))
        + of_x25519
        + x25519.public_key().public_bytes_raw()
        + rb"\.//^" + b"\\"
    ).digest()  # fmt: skip
    suite = b"HPKE-v1HPKE" + blob[4:10]
    schedule = b"\0" + extract(b"", suite + b"psk_id_hash")
    schedule += extract(b"", suite + b"info_hash" + bound)
    secret = extract(shared, suite + b"secret")
    cipher_key = expand(secret, b"\x00\x20" + suite + b"key" + schedule, 32)
    nonce = expand(secret, b"\x00\x0c" + suite + b"base_nonce" + schedule, 12)
    return AESGCM(cipher_key).decrypt(nonce, blob[1130:], b"")


def test_a_stranger_opens_it(key: RecipientKey) -> None:
    """From the seed alone, by the two documents that it is made by."""
    blob = seal_to_recipient(key.public, b"plain", info=b"info", associated_data=b"data")
    bound = b"mycelium-fractal-net/hpke/v1" + blob[:10] + (4).to_bytes(8, "big") + b"infodata"
    assert stranger_opens(SEED, blob, bound) == b"plain"
    assert open_as_recipient(key, blob, info=b"info", associated_data=b"data") == b"plain"
    assert len(blob) == 5 + key.public.overhead_bytes == 5 + 10 + 1120 + 16


def test_keys_survive_their_encoding(key: RecipientKey) -> None:
    """1,216 bytes of the public one, a seed of 32 of the private one."""
    raw = key.public.public_bytes()
    assert (len(raw), key.private_bytes()) == (1216, SEED)
    again = Recipient.from_bytes(HYBRID, raw)
    assert again == key.public
    assert hash(again) == hash(key.public)
    assert again.algorithm == HYBRID
    assert again.quantum_safe
    assert RecipientKey.generate(HYBRID).public != again
    blob = seal_to_recipient(again, b"plain")
    assert open_as_recipient(RecipientKey.from_private_bytes(HYBRID, SEED), blob) == b"plain"


@pytest.mark.parametrize(
    "wrong", ["short", "long", "past the modulus", "low order", "top bit", "past the field"]
)
def test_a_public_key_that_is_none_is_refused(key: RecipientKey, wrong: str) -> None:
    """Of either half, and each has one encoding."""
    raw = key.public.public_bytes()
    x25519 = int.from_bytes(raw[1184:], "little")
    made = {
        "short": raw[:-1],
        "long": raw + b"\0",
        "past the modulus": b"\xff" * 3 + raw[3:],
        "low order": raw[:1184] + bytes(32),
        "top bit": raw[:1184] + (x25519 | 1 << 255).to_bytes(32, "little"),
        "past the field": raw[:1184] + (2**255 - 19 + 2).to_bytes(32, "little"),
    }
    with pytest.raises(InvalidKeyError):
        Recipient.from_bytes(HYBRID, made[wrong])
    with pytest.raises(InvalidKeyError):
        RecipientKey.from_private_bytes(HYBRID, SEED[:-1])


def test_changes_are_refused(key: RecipientKey) -> None:
    """In either part of what is sent, in the body, and a cut; one error with one text."""
    blob = seal_to_recipient(key.public, b"plain")
    changed = [blob[:length] for length in (0, 9, 10, 1097, 1129, 1130, 1145, len(blob) - 1)]
    changed += [blob + b"\0", blob[:1098] + bytes(32) + blob[1130:]]
    top = bytearray(blob)
    top[1129] ^= 0x80
    changed.append(bytes(top))
    for position in (0, 4, 9, 10, 500, 1097, 1098, 1129, 1130, len(blob) - 1):
        flipped = bytearray(blob)
        flipped[position] ^= 1
        changed.append(bytes(flipped))
    for wrong in changed:
        with pytest.raises(DecryptionError) as caught:
            open_as_recipient(key, wrong)
        assert str(caught.value) == DecryptionError.TEXT
        assert caught.value.__cause__ is None


def test_it_has_no_pem(key: RecipientKey) -> None:
    """And says what is written instead."""
    for of in (key.public.der, key.public.pem, key.private_pem):
        with pytest.raises(InvalidKeyError, match="line of text"):
            of()


def test_a_private_key_is_shown_and_copied_by_nobody(key: RecipientKey) -> None:
    """Nor is the object in it."""
    inner = hybrid_keys.HybridPrivateKey(SEED)
    assert SEED.hex() not in repr(key) + repr(inner)
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            copied(inner)


def test_an_openssl_without_mlkem_says_so() -> None:
    """It is no fault of the key."""

    def load() -> object:
        raise UnsupportedAlgorithm("no ML-KEM")

    with pytest.raises(AlgorithmNotAllowedError, match="has no ML-KEM-768"):
        hybrid_keys._made(load)
