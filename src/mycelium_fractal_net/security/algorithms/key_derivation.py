"""Keys from passphrases: PBKDF2-HMAC-SHA-256 (RFC 8018 section 5.2).

A passphrase is slow to guess only through its iteration count, so the count is stored beside what
was sealed: a later release with a higher one still opens what an earlier one wrote.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InternalError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import InvalidInputError

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer

KEY_BYTES: Final = 32
MIN_ITERATIONS: Final = 200_000  # the plan's section 6.1, which is the floor here
# One to a few seconds of one core: whoever writes a stored block cannot stop its reader.
MAX_ITERATIONS: Final = 10_000_000
MIN_SALT_BYTES: Final = 16  # SP 800-132 section 5.1
MAX_SALT_BYTES: Final = 64


def derive_from_passphrase(passphrase: str | Buffer, salt: Buffer, iterations: int) -> bytes:
    """A 32-byte key from a passphrase. Takes some 20 to 100 ms for 200,000 iterations.

    :param passphrase: bytes as they are, or text, which is brought to Unicode's form NFC and
        encoded as UTF-8, so that an accented letter is the same from every keyboard.
    :param salt: 16 to 64 bytes, random, one for each key.
    :param iterations: 200,000 (the plan) to 10,000,000; OWASP advises 600,000 since 2023.
    :raises InvalidInputError: the passphrase is empty, or something is out of its range.
    """
    secret = _passphrase_bytes(passphrase)
    salt = bytes(as_bytes(salt))
    if type(iterations) is not int or not MIN_ITERATIONS <= iterations <= MAX_ITERATIONS:
        raise InvalidInputError(
            f"PBKDF2 runs {MIN_ITERATIONS:,} to {MAX_ITERATIONS:,} iterations here"
        )
    if not MIN_SALT_BYTES <= len(salt) <= MAX_SALT_BYTES:
        raise InvalidInputError(f"a salt is {MIN_SALT_BYTES} to {MAX_SALT_BYTES} bytes")
    return pbkdf2(secret, salt, iterations, KEY_BYTES)


def pbkdf2(secret: bytes, salt: bytes, iterations: int, length: int) -> bytes:
    """The function alone, for old counts below the floor.

    Raises :class:`InvalidInputError` where a FIPS module refuses them (SP 800-132 section 5).
    """
    try:
        return PBKDF2HMAC(hashes.SHA256(), length, salt, iterations).derive(secret)
    except InternalError:
        raise InvalidInputError(
            "the FIPS module refuses PBKDF2 with a salt under 16 bytes or under 1,000 iterations"
        ) from None


def _passphrase_bytes(passphrase: str | Buffer) -> bytes:
    if isinstance(passphrase, str):
        try:
            secret = unicodedata.normalize("NFC", passphrase).encode("utf-8")
        except UnicodeEncodeError:  # its text quotes the passphrase
            raise InvalidInputError("the passphrase is not well-formed Unicode") from None
    else:
        secret = bytes(as_bytes(passphrase))
    if not secret:
        raise InvalidInputError("the passphrase is empty")
    return secret
