"""Signing and verifying: the keys, their encodings, and ``.sig`` files."""

from mycelium_fractal_net.security.signatures.signing_key import SigningKey
from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey

__all__ = ["SigningKey", "VerifyingKey"]
