"""Keys from passphrases (PBKDF2, RFC 8018 section 5.2) and from other keys (HKDF, RFC 5869).

A passphrase is slow to guess only through its iteration count. The counts have names that say
who asks for them, and a derived key is stored with its :class:`PassphraseParameters`, so that
a later release with a higher count still opens what an earlier one wrote.
"""

from __future__ import annotations

import json
import secrets
import unicodedata
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.utils import Buffer

from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.byte_io.encodings import b64url_decode, b64url_encode
from mycelium_fractal_net.security.errors import (
    AlgorithmNotAllowedError,
    InvalidInputError,
    InvalidKeyError,
)

PBKDF2_SHA256: Final = "PBKDF2-SHA256"  # the plan's name, its section 6.1
KEY_BYTES: Final = 32
MIN_ITERATIONS: Final = 200_000  # the plan's section 6.1, which is the floor here
# One to a few seconds of one core: whoever writes a stored block cannot stop its reader.
MAX_ITERATIONS: Final = 10_000_000
MIN_SALT_BYTES: Final = 16  # SP 800-132 section 5.1
MAX_SALT_BYTES: Final = 64
_NEW_SALT_BYTES: Final = 32
_MAX_BLOCK_BYTES: Final = 512  # of an encoded parameter block; ours are under 150

_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "SHA-256": hashes.SHA256(),
    "SHA-384": hashes.SHA384(),
    "SHA-512": hashes.SHA512(),
}


@dataclass(frozen=True, slots=True)
class Pbkdf2Profile:
    """An iteration count of PBKDF2-HMAC-SHA-256 and who advises it."""

    name: str
    iterations: int
    source: str


PLAN_2025: Final = Pbkdf2Profile(
    "plan-2025", MIN_ITERATIONS, "security remediation plan of 2025-12-02, section 6.1"
)
OWASP_2023: Final = Pbkdf2Profile(
    "owasp-2023", 600_000, "OWASP Password Storage Cheat Sheet, PBKDF2-HMAC-SHA256, since 2023"
)


def derive_from_passphrase(passphrase: str | Buffer, salt: Buffer, iterations: int) -> bytes:
    """A 32-byte key from a passphrase with PBKDF2-HMAC-SHA-256.

    :param passphrase: bytes as they are, or text, which is brought to Unicode's form NFC and
        encoded as UTF-8, so that an accented letter is the same from every keyboard.
    :param salt: 16 to 64 bytes, random, one for each key.
    :param iterations: 200,000 (:data:`PLAN_2025`) to 10,000,000; :data:`OWASP_2023` has 600,000.
    :raises InvalidInputError: the passphrase is empty, or something is out of its range.

    Takes some 20 to 100 ms for 200,000 iterations, during which other threads run.
    """
    secret = _passphrase_bytes(passphrase)
    salt = bytes(as_bytes(salt))
    _check_parameters(iterations, salt)
    return _pbkdf2(secret, salt, iterations, KEY_BYTES)


@dataclass(frozen=True, slots=True)
class PassphraseParameters:
    """What must be stored beside whatever a passphrase protects, to derive its key again.

    :raises InvalidInputError: the count or the salt is out of its range.
    """

    iterations: int
    salt: bytes

    def __post_init__(self) -> None:
        _check_parameters(self.iterations, self.salt)

    @classmethod
    def new(cls, profile: Pbkdf2Profile = OWASP_2023) -> PassphraseParameters:
        """Parameters with the count of ``profile`` and a fresh random salt of 32 bytes."""
        return cls(profile.iterations, secrets.token_bytes(_NEW_SALT_BYTES))

    @property
    def profile(self) -> Pbkdf2Profile | None:
        """The named profile with this count, None where there is none."""
        for known in (PLAN_2025, OWASP_2023):
            if known.iterations == self.iterations:
                return known
        return None

    def derive(self, passphrase: str | Buffer) -> bytes:
        """As :func:`derive_from_passphrase`."""
        return derive_from_passphrase(passphrase, self.salt, self.iterations)

    def to_dict(self) -> dict[str, str | int]:
        """For JSON: ``kdf``, ``iterations``, and ``salt`` in base64url without padding."""
        return {
            "kdf": PBKDF2_SHA256,
            "iterations": self.iterations,
            "salt": b64url_encode(self.salt),
        }

    @classmethod
    def from_dict(cls, block: Any) -> PassphraseParameters:
        """What :meth:`to_dict` gave, with no member more or less.

        :raises InvalidInputError: it is none, or its numbers are out of range.
        :raises AlgorithmNotAllowedError: it names another function.
        """
        if not isinstance(block, dict) or set(block) != {"kdf", "iterations", "salt"}:
            raise InvalidInputError("not a block of passphrase parameters")
        if block["kdf"] != PBKDF2_SHA256:
            raise AlgorithmNotAllowedError(f"passphrases go through {PBKDF2_SHA256} alone")
        try:
            salt = b64url_decode(block["salt"])
        except InvalidKeyError:
            raise InvalidInputError("the salt is not base64url without padding") from None
        return cls(block["iterations"], salt)

    def encode(self) -> bytes:
        """The block as bytes: JSON in ASCII, members in the order of :meth:`to_dict`, no blanks."""
        return json.dumps(self.to_dict(), separators=(",", ":")).encode("ascii")

    @classmethod
    def decode(cls, data: Buffer) -> PassphraseParameters:
        """What :meth:`encode` gave. What decodes encodes to the same bytes again.

        :raises InvalidInputError: it is none.
        :raises AlgorithmNotAllowedError: it names another function.
        """
        data = bytes(as_bytes(data))
        try:
            block = json.loads(data[: _MAX_BLOCK_BYTES + 1])
        except (ValueError, RecursionError):
            raise InvalidInputError("not a block of passphrase parameters") from None
        parameters = cls.from_dict(block)
        if parameters.encode() != data:
            raise InvalidInputError("the block of passphrase parameters is not in its one form")
        return parameters


def hkdf(
    secret: Buffer,
    *,
    salt: Buffer | None = None,
    info: Buffer = b"",
    length: int = KEY_BYTES,
    hash: str = "SHA-256",
) -> bytes:
    """Derive ``length`` bytes from a secret with HKDF, extract and expand (RFC 5869).

    :param secret: key material with enough entropy; not a passphrase, which needs PBKDF2.
    :param salt: random or absent; None is as many zeros as the hash is long (section 2.2).
    :param info: what the key is for; different ``info`` gives keys that tell nothing of each other.
    :param length: 1 to 255 times the size of the hash (section 2.3).
    :param hash: ``SHA-256``, ``SHA-384`` or ``SHA-512``.
    :raises InvalidInputError: the secret is empty, the length out of range, or text was passed.
    :raises AlgorithmNotAllowedError: another hash.
    """
    algorithm = _HASHES.get(hash)
    if algorithm is None:
        raise AlgorithmNotAllowedError(f"HKDF takes one of {', '.join(_HASHES)}")
    if not _is_between(length, 1, 255 * algorithm.digest_size):
        raise InvalidInputError("HKDF gives 1 byte to 255 times the size of its hash")
    secret = as_bytes(secret)
    if not len(secret):
        raise InvalidInputError("there is nothing to derive from: the secret is empty")
    salt = None if salt is None else bytes(as_bytes(salt))
    return HKDF(algorithm, length, salt, bytes(as_bytes(info))).derive(secret)


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


def _is_between(value: Any, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def _check_parameters(iterations: int, salt: bytes) -> None:
    if not _is_between(iterations, MIN_ITERATIONS, MAX_ITERATIONS):
        raise InvalidInputError(
            f"PBKDF2 runs {MIN_ITERATIONS:,} to {MAX_ITERATIONS:,} iterations here"
        )
    if not (isinstance(salt, bytes) and MIN_SALT_BYTES <= len(salt) <= MAX_SALT_BYTES):
        raise InvalidInputError(f"a salt is {MIN_SALT_BYTES} to {MAX_SALT_BYTES} bytes")


def _pbkdf2(secret: bytes, salt: bytes, iterations: int, length: int) -> bytes:
    """The function without the floor, which published vectors lie below."""
    return PBKDF2HMAC(hashes.SHA256(), length, salt, iterations).derive(secret)
