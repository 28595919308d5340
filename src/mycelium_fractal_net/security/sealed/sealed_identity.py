"""A recipient's private key under a passphrase, as a line of text: ``mfn-identity-sealed:``.

What the line encodes, before its check (:mod:`.recipient_text`); sizes in bytes::

    iterations(4) || salt(32) || public key(32, 65, 97 or 1,216) || sealed(104, of P-384 120)

``sealed`` is Cobblestone-256 of the private bytes under PBKDF2-HMAC-SHA-256 of the passphrase; its
context is the label, the kind and the public key, each of the two behind its length in 4 bytes.
The public key stands there so that it can be shown without the passphrase. Until the private key
is opened nothing vouches for it: whoever writes the file can put another one there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from mycelium_fractal_net.security.algorithms.key_derivation import MAX_ITERATIONS, MIN_ITERATIONS
from mycelium_fractal_net.security.errors import InvalidKeyError
from mycelium_fractal_net.security.sealed.addressed_layout import SEALED_IDENTITY
from mycelium_fractal_net.security.sealed.hpke_suites import suite_named
from mycelium_fractal_net.security.sealed.recipient_text import WORDS, key_line
from mycelium_fractal_net.security.sealed.recipients import Recipient, RecipientKey

if TYPE_CHECKING:
    from mycelium_fractal_net.security.sealed.sealer import Sealer

SALT_BYTES: Final = 32
_COUNT_BYTES: Final = 4
_LENGTH_BYTES: Final = 4
_OVERHEAD_BYTES: Final = 72  # salt, commitment and tag of one chunk
_LABEL: Final = b"mycelium-fractal-net/identity/v1"


class SealedIdentity(NamedTuple):
    """One line, taken apart. Nothing of it is authenticated before it is opened."""

    algorithm: str
    iterations: int
    salt: bytes
    public: bytes
    sealed: bytes

    @classmethod
    def of(cls, algorithm: str, raw: bytes) -> SealedIdentity:
        """From the bytes of a line. Raises :class:`InvalidKeyError` for other sizes or counts."""
        suite = suite_named(algorithm)
        at = _COUNT_BYTES + SALT_BYTES
        end = at + suite.public_bytes
        found = cls(
            algorithm,
            int.from_bytes(raw[:_COUNT_BYTES], "big"),
            raw[_COUNT_BYTES:at],
            raw[at:end],
            raw[end:],
        )
        if len(found.sealed) != suite.private_bytes + _OVERHEAD_BYTES:
            raise InvalidKeyError("a private key under a passphrase has another size")
        if not MIN_ITERATIONS <= found.iterations <= MAX_ITERATIONS:
            raise InvalidKeyError(
                f"PBKDF2 runs {MIN_ITERATIONS:,} to {MAX_ITERATIONS:,} iterations here"
            )
        return found

    @property
    def recipient(self) -> Recipient:
        """The public key that the line has. Raises :class:`InvalidKeyError`."""
        return Recipient.from_bytes(self.algorithm, self.public)

    @property
    def context(self) -> bytes:
        """What the private key is bound to."""
        parts = (WORDS[self.algorithm].encode(), self.public)
        return _LABEL + b"".join(len(each).to_bytes(_LENGTH_BYTES, "big") + each for each in parts)

    def line(self) -> str:
        """The line of text."""
        count = self.iterations.to_bytes(_COUNT_BYTES, "big")
        raw = b"".join((count, self.salt, self.public, self.sealed))
        return key_line(SEALED_IDENTITY, self.algorithm, raw)

    def opened(self, sealer: Sealer) -> RecipientKey:
        """The private key, whose public one is that of the line.

        Raises :class:`DecryptionError` for another passphrase, and where the line was changed;
        :class:`InvalidKeyError` where it was sealed beside a public key that is not its own.
        """
        key = RecipientKey.from_private_bytes(self.algorithm, sealer.open_secret(self.sealed))
        if key.public.public_bytes() != self.public:
            raise InvalidKeyError("the private key is not that of the public one beside it")
        return key
