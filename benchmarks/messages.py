"""Messages in memory: ours beside what they are made of, and beside what others use."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benchmarks.harness import Figure, Work, compare
from mycelium_fractal_net import decrypt_aes_gcm, encrypt_aes_gcm, initialise
from mycelium_fractal_net.security.keyring.keyring import Keyring

SIZES = (64, 1024, 65_536, 1 << 20)
KEY = os.urandom(32)
CONTEXT = os.urandom(42)  # as long as a sealed message's: label and header


def _cobblestone(data: bytes) -> bytes:
    encryptor = Cobblestone256Encryptor(KEY, CONTEXT)
    return encryptor.update(data) + encryptor.finalize()


def _uncobblestone(message: bytes) -> bytes:
    decryptor = Cobblestone256Decryptor(KEY, CONTEXT)
    return decryptor.update(message) + decryptor.finalize()


def peers(data: bytes) -> dict[str, tuple[Work, Work]]:
    """What others use, where it is installed: how each encrypts ``data`` and decrypts it again."""
    fernet = Fernet(Fernet.generate_key())
    token = fernet.encrypt(data)
    found: dict[str, tuple[Work, Work]] = {
        "Fernet": (lambda: fernet.encrypt(data), lambda: fernet.decrypt(token))
    }
    try:
        import tink
        from tink import aead

        aead.register()
        handle = tink.new_keyset_handle(aead.aead_key_templates.AES256_GCM)
        primitive = handle.primitive(aead.Aead)
        tinked = primitive.encrypt(data, b"")
        found["Tink"] = (
            lambda: primitive.encrypt(data, b""),
            lambda: primitive.decrypt(tinked, b""),
        )
    except ImportError:
        pass
    try:
        from nacl.secret import SecretBox

        box = SecretBox(KEY)
        boxed = bytes(box.encrypt(data))
        found["PyNaCl"] = (lambda: box.encrypt(data), lambda: box.decrypt(boxed))
    except ImportError:
        pass
    return found | _aws(data)


def _aws(data: bytes) -> dict[str, tuple[Work, Work]]:
    try:
        import aws_encryption_sdk as sdk
        from aws_encryption_sdk.identifiers import (
            CommitmentPolicy,
            EncryptionKeyType,
            WrappingAlgorithm,
        )
        from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey
        from aws_encryption_sdk.key_providers.raw import RawMasterKeyProvider
    except ImportError:
        return {}

    class Provider(RawMasterKeyProvider):  # type: ignore[misc]
        provider_id = "benchmark"

        def _get_raw_key(self, _: bytes) -> WrappingKey:
            return WrappingKey(
                wrapping_algorithm=WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING,
                wrapping_key=KEY,
                wrapping_key_type=EncryptionKeyType.SYMMETRIC,
            )

    provider = Provider()
    provider.add_master_key(b"key")
    client = sdk.EncryptionSDKClient(
        commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
    )
    message, _ = client.encrypt(source=data, key_provider=provider)
    return {
        "AWS Encryption SDK": (
            lambda: client.encrypt(source=data, key_provider=provider),
            lambda: client.decrypt(source=message, key_provider=provider),
        )
    }


def contenders(keyring: Keyring, size: int) -> dict[str, dict[str, Work]]:
    """Every comparison at one size; the first contender of each is its reference."""
    data = os.urandom(size)
    cached = AESGCM(KEY)
    plain, cobbled = encrypt_aes_gcm(data, KEY), _cobblestone(data)
    raw = keyring.encrypt(data, key_id="bench", format="raw")
    sealed = keyring.encrypt(data, key_id="bench")
    nonce, body = plain[:12], plain[12:]
    others = peers(data)
    return {
        "encrypt_aes_gcm": {
            "AESGCM built per call": lambda: AESGCM(KEY).encrypt(os.urandom(12), data, None),
            "encrypt_aes_gcm": lambda: encrypt_aes_gcm(data, KEY),
        },
        "decrypt_aes_gcm": {
            "AESGCM built per call": lambda: AESGCM(KEY).decrypt(nonce, body, None),
            "decrypt_aes_gcm": lambda: decrypt_aes_gcm(plain, KEY),
        },
        "encrypt": {
            "AESGCM, cached": lambda: cached.encrypt(os.urandom(12), data, None),
            "keyring, raw": lambda: keyring.encrypt(data, key_id="bench", format="raw"),
            "cobblestone, bare": lambda: _cobblestone(data),
            "keyring, sealed": lambda: keyring.encrypt(data, key_id="bench"),
            **{name: encrypt for name, (encrypt, _) in others.items()},
        },
        "decrypt": {
            "AESGCM, cached": lambda: cached.decrypt(nonce, body, None),
            "keyring, raw": lambda: keyring.decrypt(raw, key_id="bench:v1", format="raw"),
            "cobblestone, bare": lambda: _uncobblestone(cobbled),
            "keyring, sealed": lambda: keyring.decrypt(sealed),
            **{name: decrypt for name, (_, decrypt) in others.items()},
        },
        "sealed beside cobblestone": {
            "cobblestone, bare": lambda: _cobblestone(data),
            "keyring, sealed": lambda: keyring.encrypt(data, key_id="bench"),
        },
        "opened beside cobblestone": {
            "cobblestone, bare": lambda: _uncobblestone(cobbled),
            "keyring, sealed": lambda: keyring.decrypt(sealed),
        },
    }


def measure(rounds: int, budget: float) -> dict[str, dict[int, list[Figure]]]:
    """Every comparison at every size."""
    found: dict[str, dict[int, list[Figure]]] = {}
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        keyring = stack.enter_context(initialise(home=home / "home"))
        keyring.provider.keys.create("bench")
        for size in SIZES:
            for name, group in contenders(keyring, size).items():
                found.setdefault(name, {})[size] = compare(group, rounds=rounds, budget=budget)
    return found
