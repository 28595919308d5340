"""The writer of the old XOR cipher, from its description alone. Only tests ever write it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

OLD_KEY = bytes(range(32))


def write_xor(
    data: str | bytes,
    key: bytes = OLD_KEY,
    *,
    salt: bytes | None = None,
    iv: bytes | None = None,
) -> str:
    """What the old service wrote for ``data``; with its own standard-library arithmetic."""
    plain = data.encode() if isinstance(data, str) else data
    salt = secrets.token_bytes(16) if salt is None else salt
    iv = secrets.token_bytes(16) if iv is None else iv
    derived = hashlib.pbkdf2_hmac("sha256", key, salt, 100_000, 32)
    stream = hashlib.sha256(iv + derived).digest()
    body = bytes(byte ^ stream[i % 32] for i, byte in enumerate(plain))
    mac = hmac.new(derived, salt + iv + body, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(salt + iv + body + mac).decode()
