"""Which algorithms may be used: the one door to them, which checks and hands out.

Service code reaches an algorithm only through a :class:`Policy`. The names of ciphers, hashes
and signatures are exact: what is not on the list is refused. MACs and key derivation have a
list of their own, since the plan's list knows none and nothing works without them.

What the door hands out is imported when it is first asked for, so that a command which only
lists keys does not load signature code.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.errors import AlgorithmNotAllowedError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.utils import Buffer

    from mycelium_fractal_net.security.aes_encryption import RawCipher
    from mycelium_fractal_net.security.binary_io import BinaryReader
    from mycelium_fractal_net.security.mac import MacKey
    from mycelium_fractal_net.security.sealed_format import Header
    from mycelium_fractal_net.security.sealing import Sealer
    from mycelium_fractal_net.security.signature_files import SignatureFile
    from mycelium_fractal_net.security.signatures import SigningKey, VerifyingKey

__all__ = [
    "CIPHERS_HASHES_SIGNATURES",
    "FORBIDDEN",
    "MACS_AND_KDFS",
    "Policy",
]

CIPHERS_HASHES_SIGNATURES: Final = frozenset(
    {
        "AES-256-GCM",
        "SHA-256",
        "SHA-384",
        "SHA-512",
        "Ed25519",
        "ECDSA-P256",
        "ECDSA-P384",
        "ML-DSA-65",
        "HPKE-X25519",
    }
)
MACS_AND_KDFS: Final = frozenset({"HMAC-SHA-256", "PBKDF2-SHA256", "HKDF-SHA256", "HKDF-SHA512"})
# The plan's disallowed_algorithms. None of them is here to be used; they stay known by name so
# that a configuration which asks for one is refused for what it is.
FORBIDDEN: Final = frozenset({"MD5", "SHA-1", "RC4", "DES", "3DES"})

_KNOWN: Final = CIPHERS_HASHES_SIGNATURES | MACS_AND_KDFS
# What else must be allowed for a name to be used: sealing derives its keys with SHA-512.
_SEALING: Final = ("AES-256-GCM", "SHA-512")
_KEY_BYTES: Final = 32


class Policy:
    """The algorithms in force. Immutable; every method may be called from any thread.

    Each method that names an algorithm raises :class:`AlgorithmNotAllowedError` where it is
    not allowed.
    """

    __slots__ = ("_allowed",)

    def __init__(
        self,
        allowed: Iterable[str] = CIPHERS_HASHES_SIGNATURES,
        allowed_macs_and_kdfs: Iterable[str] = MACS_AND_KDFS,
        disallowed: Iterable[str] = FORBIDDEN,
    ) -> None:
        """Raises :class:`ConfigurationError` for a name that no release knows or ever allows."""
        exact = _checked("allowed_algorithms", allowed, CIPHERS_HASHES_SIGNATURES)
        derived = _checked("allowed_macs_and_kdfs", allowed_macs_and_kdfs, MACS_AND_KDFS)
        refused = _checked("disallowed_algorithms", disallowed, _KNOWN | FORBIDDEN)
        self._allowed = (exact | derived) - refused

    @classmethod
    def from_settings(
        cls,
        *,
        allowed_algorithms: Iterable[str] | None = None,
        allowed_macs_and_kdfs: Iterable[str] | None = None,
        disallowed_algorithms: Iterable[str] = (),
        fips_mode: bool = False,
    ) -> Policy:
        """The policy of a configuration; None stands for every algorithm of this release.

        Raises :class:`ConfigurationError`, also for ``fips_mode``, which this release has not:
        it fails closed rather than run without it.
        """
        if fips_mode:
            raise ConfigurationError(
                "security.fips_mode (MFN_FIPS_MODE) is not in this release;"
                " it does not start as if it were"
            )
        return cls(
            CIPHERS_HASHES_SIGNATURES if allowed_algorithms is None else allowed_algorithms,
            MACS_AND_KDFS if allowed_macs_and_kdfs is None else allowed_macs_and_kdfs,
            disallowed_algorithms,
        )

    def __repr__(self) -> str:
        return f"Policy({sorted(self._allowed)})"

    def allows(self, name: str) -> bool:
        """Whether that algorithm may be used."""
        return name in self._allowed

    def check(self, *names: str) -> None:
        """Raise :class:`AlgorithmNotAllowedError` unless all of these may be used."""
        for name in names:
            if name not in self._allowed:
                known = "is not allowed by this configuration" if name in _KNOWN else "is unknown"
                raise AlgorithmNotAllowedError(f"the algorithm {name!r} {known}")

    # Encryption -----------------------------------------------------------------------------

    def raw_cipher(self, key: Buffer) -> RawCipher:
        """Plain AES-256-GCM under a 32-byte key."""
        from mycelium_fractal_net.security.aes_encryption import RawCipher

        self.check("AES-256-GCM")
        return RawCipher(key)

    def sealer(self, key: Buffer, handle: bytes) -> Sealer:
        """Seals and opens messages under a named key's version: 32 bytes and its handle."""
        from mycelium_fractal_net.security.sealing import Sealer

        self.check(*_SEALING)
        return Sealer.sealed(key, handle)

    def envelope_sealer(self, data_key: Buffer, handle: bytes, wrapped: bytes) -> Sealer:
        """Seals and opens messages that carry their own wrapped data key."""
        from mycelium_fractal_net.security.sealing import Sealer

        self.check(*_SEALING)
        return Sealer.envelope(data_key, handle, wrapped)

    def bare_sealer(self, key: Buffer, context: Buffer) -> Sealer:
        """Seals without a header, bound to ``context``: how the local master key wraps."""
        from mycelium_fractal_net.security.sealing import Sealer

        self.check(*_SEALING)
        return Sealer.bare(key, context)

    @staticmethod
    def parse_header(message: Buffer) -> Header:
        """The header of a sealed message. Raises :class:`DecryptionError` where it is none."""
        from mycelium_fractal_net.security.sealed_format import parse_header

        return parse_header(message)

    @staticmethod
    def read_header(reader: BinaryReader) -> Header:
        """Read the header and not a byte more. Raises :class:`DecryptionError`."""
        from mycelium_fractal_net.security.sealed_format import read_header

        return read_header(reader)

    @staticmethod
    def sealed_bytes(plain: int) -> int:
        """The size of the sealed message of ``plain`` bytes."""
        from mycelium_fractal_net.security.sealed_format import NAMED_BYTES, sealed_body_bytes

        return NAMED_BYTES + sealed_body_bytes(plain)

    @staticmethod
    def plain_bytes(beginning: Buffer, size: int) -> int:
        """The plaintext's size in a message of ``size`` bytes. Raises :class:`DecryptionError`."""
        from mycelium_fractal_net.security.sealed_format import parse_header, plain_bytes

        return plain_bytes(size - parse_header(beginning).body_offset)

    # Keys -----------------------------------------------------------------------------------

    def generate_key_material(self, algorithm: str) -> bytes:
        """32 random bytes for a symmetric algorithm."""
        self.check(algorithm)
        if algorithm not in ("AES-256-GCM", "HMAC-SHA-256"):
            raise AlgorithmNotAllowedError(f"{algorithm!r} has no symmetric key")
        return secrets.token_bytes(_KEY_BYTES)

    def derive_from_passphrase(self, passphrase: bytes, salt: bytes, *, iterations: int) -> bytes:
        """A 32-byte key from a passphrase by PBKDF2-HMAC-SHA-256 (RFC 8018 section 5.2).

        Raises :class:`InvalidInputError` for a count or salt outside of what is safe.
        """
        from mycelium_fractal_net.security.key_derivation import derive_from_passphrase

        self.check("PBKDF2-SHA256", "SHA-256")
        return derive_from_passphrase(passphrase, salt, iterations)

    # Signatures and MACs --------------------------------------------------------------------

    def generate_signing_key(self, algorithm: str) -> SigningKey:
        """A fresh signing key."""
        from mycelium_fractal_net.security.signatures import SigningKey

        self.check(algorithm)
        return SigningKey.generate(algorithm)

    def signing_key(self, algorithm: str, material: Buffer) -> SigningKey:
        """The signing key whose private encoding that is. Raises :class:`InvalidKeyError`."""
        from mycelium_fractal_net.security.signatures import SigningKey

        self.check(algorithm)
        return SigningKey.from_private_bytes(algorithm, material)

    def verifying_key(self, der: Buffer) -> VerifyingKey:
        """The public key in a DER SubjectPublicKeyInfo. Raises :class:`InvalidKeyError`."""
        from mycelium_fractal_net.security.signatures import VerifyingKey

        return self._allowed_public(VerifyingKey.from_der(der))

    def verifying_key_from_pem(self, pem: str | bytes) -> VerifyingKey:
        """The public key in a PEM file. Raises :class:`InvalidKeyError`."""
        from mycelium_fractal_net.security.signatures import VerifyingKey

        return self._allowed_public(VerifyingKey.from_pem(pem))

    def _allowed_public(self, key: VerifyingKey) -> VerifyingKey:
        self.check(key.algorithm)
        return key

    def prehash(self, reader: BinaryReader) -> bytes:
        """The SHA-512 of a stream, which stands for it in a pre-hashed signature."""
        from mycelium_fractal_net.security.signatures import prehash

        self.check("SHA-512")
        return prehash(reader)

    @staticmethod
    def encode_prehashed_signature(handle: bytes, signature: bytes) -> bytes:
        """The bytes of a ``.sig`` file for a pre-hashed signature."""
        from mycelium_fractal_net.security.signature_files import (
            SignatureMode,
            encode_signature_file,
        )

        return encode_signature_file(handle, SignatureMode.PREHASH, signature)

    @staticmethod
    def parse_signature_file(data: Buffer) -> SignatureFile:
        """The parts of a ``.sig`` file. Raises :class:`InvalidSignatureError`."""
        from mycelium_fractal_net.security.signature_files import parse_signature_file

        return parse_signature_file(data)

    def mac(self, algorithm: str, key: Buffer) -> MacKey:
        """Makes and checks MACs under a 32-byte key."""
        from mycelium_fractal_net.security.mac import MacKey

        self.check(algorithm)
        if algorithm != "HMAC-SHA-256":
            raise AlgorithmNotAllowedError(f"{algorithm!r} makes no MACs")
        return MacKey(key)


def _checked(setting: str, names: Iterable[str], known: frozenset[str]) -> frozenset[str]:
    wanted = frozenset(names)
    if setting != "disallowed_algorithms" and wanted & FORBIDDEN:
        raise ConfigurationError(f"security.{setting} names an algorithm that is broken")
    if not wanted <= known:
        raise ConfigurationError(
            f"security.{setting} names what is not one of: {', '.join(sorted(known))}"
        )
    return wanted
