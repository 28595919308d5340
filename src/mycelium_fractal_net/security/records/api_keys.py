"""The text of an API key: ``mfn_<id>_<secret>``, 64 ASCII characters.

The id is 16 of ``a-z0-9``, which name the credential; the secret is 43 base64url characters of
32 random bytes. Only the secret's digest is kept. A digest without a salt or many rounds is
enough here: nobody guesses 256 random bits.
"""

from __future__ import annotations

import re
import secrets
import string
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from mycelium_fractal_net.security.algorithms.digests import SHA256_BYTES, sha256

DIGEST_BYTES: Final = SHA256_BYTES
_PREFIX: Final = b"mfn_"
_ID_CHARACTERS: Final = 16
_SECRET_BYTES: Final = 32
_ALPHABET: Final = string.ascii_lowercase + string.digits
CREDENTIAL_ID: Final = re.compile(rf"[a-z0-9]{{{_ID_CHARACTERS}}}")
_ID_END: Final = len(_PREFIX) + _ID_CHARACTERS
_KEY_CHARACTERS: Final = _ID_END + 1 + 43  # base64url of 32 bytes, RFC 4648 section 5, unpadded


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A new API key. ``text`` is what its holder sends; show it once, it is stored nowhere.

    ``digest`` is the SHA-256 of the ASCII text of the secret.
    """

    credential_id: str
    text: str = field(repr=False)
    digest: bytes = field(repr=False)


class PresentedKey(NamedTuple):
    """What an API key says that somebody sent: an id, ``b""`` where it is none, and a digest.

    Whether the secret is right is not known yet.
    """

    credential_id: bytes
    digest: bytes


def generate(credential_id: str | None = None) -> ApiKey:
    """A new API key; of the credential of that id, or of a new one under a random id."""
    if credential_id is None:
        credential_id = "".join(secrets.choice(_ALPHABET) for _ in range(_ID_CHARACTERS))
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    digest = sha256(secret.encode("ascii"))
    return ApiKey(credential_id, f"{_PREFIX.decode()}{credential_id}_{secret}", digest)


def parse(api_key: bytes | str) -> PresentedKey:
    """The id and the digest of the secret. Of what is no API key the id is ``b""``.

    Never raises, and digests 43 bytes at most whatever it is given, so that neither an error
    nor the time tells a malformed key from a wrong one.
    """
    if isinstance(api_key, str):
        api_key = api_key.encode("utf-8", "replace")
    digest = sha256(api_key[_ID_END + 1 : _KEY_CHARACTERS])
    framed = (
        len(api_key) == _KEY_CHARACTERS
        and api_key[: len(_PREFIX)] == _PREFIX
        and api_key[_ID_END] == 0x5F
    )
    return PresentedKey(api_key[len(_PREFIX) : _ID_END] if framed else b"", digest)
