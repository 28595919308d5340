"""Wrapping keys as others do it: with openssl's command line alone (3.0 or newer)."""

from __future__ import annotations

import functools
import secrets
import subprocess
from pathlib import Path
from typing import Final

from mycelium_fractal_net.security.sealed.key_transport import UnwrappingKey

_OAEP: Final = (
    "-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256",
    "-pkeyopt", "rsa_mgf1_md:sha256",
)  # fmt: skip
_KWP: Final = ("enc", "-id-aes256-wrap-pad", "-iv", "A65959A6")  # RFC 5649 section 3


@functools.cache
def key_to_wrap_for(method: str) -> UnwrappingKey:
    """One of that method, which is made once: for RSA that takes a second."""
    return UnwrappingKey.generate(method)


def _openssl(*arguments: str | Path, given: bytes) -> bytes:
    done = subprocess.run(["openssl", *arguments], input=given, capture_output=True, check=True)
    return done.stdout


def openssl_wrap(folder: Path, public_pem: bytes, material: bytes) -> bytes:
    """CKM_RSA_AES_KEY_WRAP for that public key."""
    public = folder / "public.pem"
    public.write_bytes(public_pem)
    ephemeral = secrets.token_bytes(32)
    encrypted = _openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", public, *_OAEP, given=ephemeral)
    return encrypted + _openssl(*_KWP, "-K", ephemeral.hex(), given=material)


def openssl_unwrap(private_pem: Path, wrapped: bytes, modulus: int = 384) -> bytes:
    """What was wrapped for the holder of a private key, whose modulus has that many bytes."""
    ephemeral = _openssl(
        "pkeyutl", "-decrypt", "-inkey", private_pem, *_OAEP, given=wrapped[:modulus]
    )
    return _openssl(*_KWP, "-d", "-K", ephemeral.hex(), given=wrapped[modulus:])
