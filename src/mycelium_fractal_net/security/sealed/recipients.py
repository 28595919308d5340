"""Sealing to somebody's public key: HPKE in base mode (RFC 9180).

Whoever has the public key can seal; only the holder of the private one opens. Nothing says
who sealed it: sign it too where that matters. A sealed blob is

    0   4   "MFH" 0x01
    4   6   suite: KEM, KDF and AEAD, two bytes each, big-endian; see :mod:`.hpke_suites`
    10  n   enc: the ephemeral public key (RFC 9180 section 4.1): 32, 65, 97 or 1,120
    …       ciphertext, 16 bytes longer than the plaintext

and its HPKE ``info`` is ``"mycelium-fractal-net/hpke/v1" || bytes 0 to 9 || len(info) ||
info || associated data``, the length in 8 bytes, big-endian. HPKE's own ``aad`` is empty:
for a single message RFC 9180 section 8.1 binds either alike. Sizes in bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_der_public_key,
)

from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.byte_io.pem import (
    PRIVATE_KEY,
    PUBLIC_KEY,
    pem_decode,
    pem_encode,
)
from mycelium_fractal_net.security.errors import (
    DecryptionError,
    InvalidInputError,
    InvalidKeyError,
)
from mycelium_fractal_net.security.sealed.addressed_layout import IDENTITY, RECIPIENT
from mycelium_fractal_net.security.sealed.hpke_suites import HpkeSuite, suite_named, suite_of
from mycelium_fractal_net.security.sealed.recipient_text import key_line
from mycelium_fractal_net.security.signatures.schemes import LOAD_ERRORS

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer

_MAGIC: Final = b"MFH\x01"
_HEADER_BYTES: Final = len(_MAGIC) + 6
_LABEL: Final = b"mycelium-fractal-net/hpke/v1"
_TAG_BYTES: Final = 16  # RFC 9180 section 7.3
_MAX_BYTES: Final = 2**31 - 1 - _TAG_BYTES  # what AES-GCM takes at a time in ``cryptography``


class Recipient:
    """The public key of somebody who may open: X25519, P-256, P-384 or the hybrid.

    Equal and hashable by its bytes. Made by :meth:`from_bytes` or :meth:`from_pem`, or found as
    :attr:`RecipientKey.public`. ``algorithm`` names its suite, as ``HPKE-P256``.
    """

    __slots__ = ("_key", "_suite", "algorithm")

    def __init__(self, key: Any) -> None:
        """Of a public key of ``cryptography``. Raises :class:`InvalidKeyError`."""
        self._suite = suite_of(key)
        self._suite.check_public(key)
        self._key = key
        self.algorithm = self._suite.name

    def __repr__(self) -> str:
        return f"Recipient({self._suite.kind})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipient) and self.public_bytes() == other.public_bytes()

    def __hash__(self) -> int:
        return hash(self.public_bytes())

    def __reduce__(self) -> tuple[object, ...]:
        return Recipient.from_bytes, (self.algorithm, self.public_bytes())

    @classmethod
    def from_bytes(cls, algorithm: str, raw: Buffer) -> Recipient:
        """From 32, 65, 97 or 1,216 bytes, as RFC 9180 section 7.1.1 serializes a key of that suite.

        :raises InvalidKeyError: another size, no usable point, or not its one encoding.
        """
        return cls(suite_named(algorithm).load_public(bytes(as_bytes(raw))))

    @classmethod
    def from_pem(cls, pem: str | bytes) -> Recipient:
        """From one PEM block ``PUBLIC KEY`` (RFC 8410, RFC 5480). Raises as :meth:`from_bytes`."""
        der = pem_decode(PUBLIC_KEY, pem)
        try:
            key: Any = load_der_public_key(der)
        except LOAD_ERRORS:
            key = None
        found = cls(key)
        if found.der() != der:
            raise InvalidKeyError("not a public key in its one DER encoding")
        return found

    @property
    def overhead_bytes(self) -> int:
        """A blob is this much longer than its plaintext: 58, 91, 123 or 1,146."""
        return _HEADER_BYTES + self._suite.enc_bytes + _TAG_BYTES

    @property
    def quantum_safe(self) -> bool:
        """Whether what is sealed to it holds against a quantum computer, by what is known."""
        return self._suite.quantum_safe

    def public_bytes(self) -> bytes:
        """The bytes of the key, as :meth:`from_bytes` takes them."""
        return self._suite.public(self._key)

    def der(self) -> bytes:
        """Its SubjectPublicKeyInfo (RFC 8410, RFC 5480), DER.

        Raises :class:`InvalidKeyError` for the hybrid, which has none yet.
        """
        return self._suite.public_der(self._key)

    def line(self) -> str:
        """The key as a line of text, which ``mfn encrypt --to`` takes in a file or as it is."""
        return key_line(RECIPIENT, self.algorithm, self.public_bytes())

    def pem(self) -> bytes:
        """The PEM block ``PUBLIC KEY``."""
        return pem_encode(PUBLIC_KEY, self.der())


class RecipientKey:
    """The private half of a :class:`Recipient`, which opens. Shows no key, cannot be pickled."""

    __slots__ = ("_key", "_suite", "public")

    public: Recipient

    def __init__(self, key: Any) -> None:
        """Of a private key of ``cryptography``. Raises :class:`InvalidKeyError`."""
        self._suite = suite_of(key)
        self._key = key
        self.public = Recipient(key.public_key())

    def __repr__(self) -> str:
        return f"RecipientKey({self._suite.kind})"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a recipient's key is not pickled; private_bytes() hands it out on purpose")

    @classmethod
    def generate(cls, algorithm: str) -> RecipientKey:
        """A fresh key of that suite, from the randomness of OpenSSL."""
        return cls(suite_named(algorithm).generate())

    @classmethod
    def from_private_bytes(cls, algorithm: str, material: Buffer) -> RecipientKey:
        """From the 32 or 48 bytes of :meth:`private_bytes`. Raises :class:`InvalidKeyError`."""
        return cls(suite_named(algorithm).load_private(bytes(as_bytes(material))))

    @classmethod
    def from_pem(cls, pem: str | bytes) -> RecipientKey:
        """From one PEM block ``PRIVATE KEY``, not encrypted, as :meth:`private_pem` writes it.

        :raises InvalidKeyError: it is none.
        """
        der = pem_decode(PRIVATE_KEY, pem)
        try:
            key: Any = load_der_private_key(der, password=None)
        except LOAD_ERRORS:
            key = None
        found = cls(key)
        if found._der() != der:
            raise InvalidKeyError("not an unencrypted private key in its one DER encoding")
        return found

    def private_bytes(self) -> bytes:
        """The private key as RFC 9180 section 7.1.2 serializes it: 32 bytes, of P-384 48."""
        return self._suite.private(self._key)

    def line(self) -> str:
        """The private key as a line of text, which ``mfn decrypt --identity`` takes in a file."""
        return key_line(IDENTITY, self.public.algorithm, self.private_bytes())

    def private_pem(self) -> bytes:
        """The private key as a PEM block ``PRIVATE KEY``, not encrypted."""
        return pem_encode(PRIVATE_KEY, self._der())

    def _der(self) -> bytes:
        return self._suite.private_der(self._key)


def seal_to_recipient(
    recipient: Recipient, plaintext: Buffer, *, info: Buffer = b"", associated_data: Buffer = b""
) -> bytes:
    """Seal ``plaintext`` so that only the holder of the recipient's private key opens it.

    :param info: what it is for; the opener must say the same.
    :param associated_data: authenticated, not encrypted and not part of the blob.
    :returns: the blob, ``recipient.overhead_bytes`` longer than the plaintext; no two are alike.
    :raises InvalidInputError: text was passed, or about 2 GiB or more.
    """
    plaintext = as_bytes(plaintext)
    if len(plaintext) > _MAX_BYTES:
        raise InvalidInputError("at most 2^31 - 17 bytes are sealed to a recipient at a time")
    suite, header = recipient._suite, _header(recipient._suite)
    return header + suite.encrypt(plaintext, recipient._key, _bound(header, info, associated_data))


def open_as_recipient(
    key: RecipientKey, blob: Buffer, *, info: Buffer = b"", associated_data: Buffer = b""
) -> bytes:
    """Open what :func:`seal_to_recipient` made for ``key.public``.

    :raises DecryptionError: it does not open, for whatever reason; one error, one text.
    :raises InvalidInputError: text was passed.
    """
    blob, header = as_bytes(blob), _header(key._suite)
    bound = _bound(header, info, associated_data)
    if len(blob) < key.public.overhead_bytes or blob[:_HEADER_BYTES] != header:
        raise DecryptionError
    try:
        return key._suite.decrypt(memoryview(blob)[_HEADER_BYTES:], key._key, bound)
    except (InvalidTag, InvalidKeyError, ValueError):
        raise DecryptionError from None


def _header(suite: HpkeSuite) -> bytes:
    return _MAGIC + suite.identifier


def _bound(header: bytes, info: Buffer, associated_data: Buffer) -> bytes:
    info = as_bytes(info)
    length = len(info).to_bytes(8, "big")
    return b"".join((_LABEL, header, length, info, as_bytes(associated_data)))
