"""Which algorithms may be used: the one door to them, which checks and hands out.

Service code reaches an algorithm only through a :class:`Policy`.

What the door hands out is imported when it is first asked for, so that a command which only
lists keys does not load signature code.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from mycelium_fractal_net.security.algorithms.names import (
    BUILT_ON,
    CIPHERS_HASHES_SIGNATURES,
    FORBIDDEN,
    IN_FIPS_MODE,
    KNOWN,
    MACS_AND_KDFS,
    NOT_IN_FIPS_MODE,
    SEALING,
    in_force,
)
from mycelium_fractal_net.security.errors import (
    AlgorithmNotAllowedError,
    ConfigurationError,
    DecryptionError,
    InvalidKeyError,
    MfnError,
)
from mycelium_fractal_net.security.fips import process as fips_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mycelium_fractal_net.security.aes_encryption import RawCipher
    from mycelium_fractal_net.security.algorithms.mac import MacKey
    from mycelium_fractal_net.security.byte_io.binary_io import BinaryReader
    from mycelium_fractal_net.security.byte_io.buffers import Buffer, Octets
    from mycelium_fractal_net.security.byte_io.secret_bytes import SecretBytes
    from mycelium_fractal_net.security.records.index_fields import IndexField
    from mycelium_fractal_net.security.sealed.addressed_layout import AddressedHeader
    from mycelium_fractal_net.security.sealed.blind_index import FieldKey, IndexKey
    from mycelium_fractal_net.security.sealed.deterministic import (
        DeterministicCipher,
        DeterministicKey,
    )
    from mycelium_fractal_net.security.sealed.fernet import FernetOpener
    from mycelium_fractal_net.security.sealed.key_transport import UnwrappingKey, WrappingKey
    from mycelium_fractal_net.security.sealed.recipient_text import IdentityLine
    from mycelium_fractal_net.security.sealed.recipients import Recipient, RecipientKey
    from mycelium_fractal_net.security.sealed.sealed_identity import SealedIdentity
    from mycelium_fractal_net.security.sealed.sealer import DataKey, Sealer
    from mycelium_fractal_net.security.signatures.external_key import ExternalSigningKey
    from mycelium_fractal_net.security.signatures.signing_key import SigningKey
    from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey

_KEY_BYTES: Final = 32
_Key = TypeVar("_Key")
_SYMMETRIC: Final = {"AES-256-GCM": 32, "HMAC-SHA-256": 32, "AES-256-SIV": 64}  # bytes of a key


@dataclass(frozen=True, slots=True, init=False)
class Policy:
    """The algorithms in force. Immutable; every method may be called from any thread.

    Each method that names an algorithm raises :class:`AlgorithmNotAllowedError` where it, or
    something that it is built on, is not allowed.
    """

    algorithms: frozenset[str]
    """The names of what may be used."""
    fips_mode: bool
    """Whether nothing outside of FIPS 140-3 is ever loaded."""

    def __init__(
        self,
        allowed: Iterable[str] | None = None,
        allowed_macs_and_kdfs: Iterable[str] | None = None,
        disallowed: Iterable[str] = (),
        *,
        fips_mode: bool = False,
    ) -> None:
        """None stands for every algorithm there is, in its mode.

        A process that was proven to run on a FIPS provider has no other policies than those of
        FIPS mode, whether they were asked for or not.
        Raises :class:`ConfigurationError` for a name that no release knows or ever allows, or that
        is not of FIPS mode, and :class:`FipsModeError` where this process was not proven.
        """
        if fips_mode:
            fips_process.require()
        fips_mode = fips_mode or fips_process.proven() is not None
        exact, derived = CIPHERS_HASHES_SIGNATURES, MACS_AND_KDFS
        if fips_mode:
            exact, derived = exact & IN_FIPS_MODE.keys(), derived & IN_FIPS_MODE.keys()
        exact = exact if allowed is None else frozenset(allowed)
        derived = derived if allowed_macs_and_kdfs is None else frozenset(allowed_macs_and_kdfs)
        refused = frozenset(disallowed)
        names = in_force(exact, derived, refused)
        if fips_mode:
            for name in sorted((exact | derived) - refused - IN_FIPS_MODE.keys()):
                raise ConfigurationError(f"security.fips_mode: {NOT_IN_FIPS_MODE[name]}")
        object.__setattr__(self, "algorithms", names)
        object.__setattr__(self, "fips_mode", fips_mode)

    def __repr__(self) -> str:
        return f"Policy({sorted(self.algorithms)})"

    def allows(self, name: str) -> bool:
        """Whether that algorithm may be used."""
        return name in self.algorithms

    def check(self, *names: str) -> None:
        """Raise :class:`AlgorithmNotAllowedError` unless all of these may be used."""
        for name in names:
            if name not in self.algorithms:
                raise AlgorithmNotAllowedError(self.why_not(name))

    def why_not(self, name: str) -> str:
        """In a sentence: why that may not be used, and in FIPS mode what to take instead."""
        if name in FORBIDDEN:
            return f"the algorithm {name} is broken and never allowed"
        if name not in KNOWN:  # and not shown: it may be anything
            return f"no such algorithm; there are {', '.join(sorted(KNOWN))}"
        if self.fips_mode and name in NOT_IN_FIPS_MODE:
            return NOT_IN_FIPS_MODE[name]
        for part in BUILT_ON.get(name, ()):
            if part not in self.algorithms:
                return f"{name} is built on {part}, which this configuration does not allow"
        return f"the algorithm {name} is not allowed by this configuration"

    def _check_sealing(self) -> None:
        for name in SEALING:
            if name not in self.algorithms:
                raise AlgorithmNotAllowedError(
                    f"sealing needs {name}, which this configuration does not allow"
                )

    # Encryption -----------------------------------------------------------------------------

    def raw_cipher(self, key: Buffer) -> RawCipher:
        """Plain AES-256-GCM under a 32-byte key."""
        from mycelium_fractal_net.security.aes_encryption import RawCipher

        self.check("AES-256-GCM")
        return RawCipher(key)

    def sealer(self, key: Buffer, handle: bytes, name: bytes = b"") -> Sealer:
        """Seals and opens messages under a named key's version: 32 bytes and its handle.

        With ``name``, those that are bound to a file's name of that digest.
        """
        from mycelium_fractal_net.security.sealed.sealer import Sealer

        self._check_sealing()
        return Sealer.named(key, handle, name) if name else Sealer.sealed(key, handle)

    def envelope_sealer(self, data_key: Buffer, handle: bytes, wrapped: bytes) -> Sealer:
        """Seals and opens messages that carry their own wrapped data key."""
        from mycelium_fractal_net.security.sealed.sealer import Sealer

        self._check_sealing()
        return Sealer.envelope(data_key, handle, wrapped)

    def data_key(self, plaintext: Buffer, header: Buffer) -> DataKey:
        """A data key from its 32 bytes and the 116 that each of its messages begins with.

        Raises :class:`InvalidKeyError` for another size, :class:`DecryptionError` for another
        header.
        """
        from mycelium_fractal_net.security.byte_io.buffers import as_bytes
        from mycelium_fractal_net.security.sealed.layout import parse_header
        from mycelium_fractal_net.security.sealed.sealer import DataKey

        self._check_sealing()
        parsed = parse_header(header)
        made = DataKey(bytes(as_bytes(plaintext)), parsed.wrapped, parsed.handle)
        if made.header != header:
            raise DecryptionError
        _ = made.sealer
        return made

    def bare_sealer(self, key: Buffer, context: Buffer) -> Sealer:
        """Seals without a header, bound to ``context``: how the local master key wraps."""
        from mycelium_fractal_net.security.sealed.sealer import Sealer

        self._check_sealing()
        return Sealer.bare(key, context)

    def seal_to_recipient(
        self,
        recipient: Recipient,
        plaintext: Buffer,
        *,
        info: Buffer = b"",
        associated_data: Buffer = b"",
    ) -> bytes:
        """Seal to a public key by HPKE (RFC 9180): X25519, P-256, P-384 or the hybrid."""
        from mycelium_fractal_net.security.sealed.recipients import seal_to_recipient

        self.check(recipient.algorithm)
        return seal_to_recipient(recipient, plaintext, info=info, associated_data=associated_data)

    def open_as_recipient(
        self,
        key: RecipientKey,
        blob: Buffer,
        *,
        info: Buffer = b"",
        associated_data: Buffer = b"",
    ) -> bytes:
        """Open what was sealed to ``key.public``. Raises :class:`DecryptionError`."""
        from mycelium_fractal_net.security.sealed.recipients import open_as_recipient

        self.check(key.public.algorithm)
        return open_as_recipient(key, blob, info=info, associated_data=associated_data)

    def sealer_for(self, recipients: Iterable[Recipient], name: bytes = b"") -> Sealer:
        """Seals a message that all of these open, under a fresh data key.

        With ``name``, one that is bound to a file's name of that digest. Take one for each message.
        Raises :class:`InvalidInputError` for none, for more than 255, and where only some are
        hybrid.
        """
        from mycelium_fractal_net.security.sealed.addressed import sealer_for

        self._check_sealing()
        listed = list(recipients)
        self.check(*(each.algorithm for each in listed))
        return sealer_for(listed, self.random_key(), name)

    def opener_by(self, keys: Iterable[RecipientKey], header: AddressedHeader) -> Sealer:
        """Opens the message with that header by whichever of the keys is one of its recipients'.

        Raises :class:`DecryptionError` where none is.
        """
        from mycelium_fractal_net.security.sealed.addressed import opener_by

        self._check_sealing()
        listed = list(keys)
        self.check(*(each.public.algorithm for each in listed))
        return opener_by(listed, header)

    def fernet_opener(self, keys: Iterable[str | bytes]) -> FernetOpener:
        """Opens the Fernet tokens of other packages; nothing makes one.

        Raises :class:`ConfigurationError` in FIPS mode, before any of it is loaded, and
        :class:`InvalidKeyError`.
        """
        if self.fips_mode:
            raise ConfigurationError(
                "Fernet tokens are never opened in FIPS mode (security.fips_mode): take the"
                " column over where that is off"
            )
        from mycelium_fractal_net.security.sealed.fernet import FernetOpener

        self.check("HMAC-SHA-256", "SHA-256")
        return FernetOpener(keys)

    # Keys of recipients ---------------------------------------------------------------------

    def generate_recipient_key(self, algorithm: str | None = None) -> RecipientKey:
        """A fresh key to be sealed to: HPKE-X25519 where nobody says, in FIPS mode HPKE-P256."""
        from mycelium_fractal_net.security.sealed.hpke_suites import SUITES
        from mycelium_fractal_net.security.sealed.recipients import RecipientKey

        found = algorithm or next(filter(self.allows, SUITES), "HPKE-X25519")
        self.check(found)
        return RecipientKey.generate(found)

    def recipients_in(self, content: Buffer | str) -> list[Recipient]:
        """The public keys in a file of lines, or the one in PEM. Raises InvalidKeyError."""
        from mycelium_fractal_net.security.byte_io.pem import BEGIN
        from mycelium_fractal_net.security.sealed.addressed_layout import RECIPIENT
        from mycelium_fractal_net.security.sealed.recipient_text import text_of
        from mycelium_fractal_net.security.sealed.recipients import Recipient

        text = text_of(content)
        if BEGIN not in text:
            return [Recipient.from_bytes(*each) for each in self._allowed_lines(text, RECIPIENT)]
        found = Recipient.from_pem(text)
        self.check(found.algorithm)
        return [found]

    def identities_in(
        self, content: Buffer | str, passphrase: Callable[[], bytes] | None = None
    ) -> list[RecipientKey]:
        """The private keys in a file of lines, or the one in PEM. Raises InvalidKeyError.

        ``passphrase`` is asked once, where a line is under one; all in a file are under the same.
        """
        secret: bytes | None = None

        def opened(line: IdentityLine) -> RecipientKey:
            nonlocal secret
            if passphrase is None:
                raise InvalidKeyError(f"line {line.number} is under a passphrase; give that")
            secret = passphrase() if secret is None else secret
            return self._opened_identity(line, secret)

        return self._identities(content, lambda key: key, opened)

    def public_identities_in(self, content: Buffer | str) -> list[Recipient]:
        """The public keys of the private ones in such a file; for those no passphrase is needed.

        Of a line under a passphrase it is the one beside it, which nothing vouches for.
        """
        from mycelium_fractal_net.security.sealed.sealed_identity import SealedIdentity

        def shown(line: IdentityLine) -> Recipient:
            return SealedIdentity.of(line.algorithm, line.raw).recipient

        return self._identities(content, lambda key: key.public, shown)

    def seal_identity(self, key: RecipientKey, passphrase: bytes, iterations: int) -> str:
        """The line of a private key under a passphrase (PBKDF2, iterations of 200,000 or more)."""
        from mycelium_fractal_net.security.sealed.sealed_identity import SealedIdentity

        algorithm, public = key.public.algorithm, key.public.public_bytes()
        self.check(algorithm)
        salt = bytes(self.random_key())  # by an approved generator: SP 800-132 section 5.1
        empty = SealedIdentity(algorithm, iterations, salt, public, b"")
        sealer = self._identity_sealer(empty, passphrase)
        return empty._replace(sealed=sealer.seal(key.private_bytes())).line()

    def _identities(
        self,
        content: Buffer | str,
        of_plain: Callable[[RecipientKey], _Key],
        of_sealed: Callable[[IdentityLine], _Key],
    ) -> list[_Key]:
        from mycelium_fractal_net.security.byte_io.pem import BEGIN
        from mycelium_fractal_net.security.sealed.recipient_text import (
            parse_identity_lines,
            text_of,
        )
        from mycelium_fractal_net.security.sealed.recipients import RecipientKey

        text = text_of(content)
        if BEGIN in text:
            found = RecipientKey.from_pem(text)
            self.check(found.public.algorithm)
            return [of_plain(found)]
        lines = parse_identity_lines(text)
        self.check(*(each.algorithm for each in lines))
        return [
            of_sealed(each)
            if each.sealed
            else of_plain(RecipientKey.from_private_bytes(each.algorithm, each.raw))
            for each in lines
        ]

    def _opened_identity(self, line: IdentityLine, passphrase: bytes) -> RecipientKey:
        from mycelium_fractal_net.security.sealed.sealed_identity import SealedIdentity

        found = SealedIdentity.of(line.algorithm, line.raw)
        try:
            return found.opened(self._identity_sealer(found, passphrase))
        except DecryptionError:
            raise InvalidKeyError(
                f"line {line.number} does not open with that passphrase; give the one it has"
            ) from None

    def _identity_sealer(self, found: SealedIdentity, passphrase: bytes) -> Sealer:
        derived = self.derive_from_passphrase(passphrase, found.salt, iterations=found.iterations)
        return self.bare_sealer(derived, found.context)

    def _allowed_lines(self, text: str, label: str) -> list[tuple[str, bytes]]:
        from mycelium_fractal_net.security.sealed.recipient_text import parse_key_lines

        found = parse_key_lines(text, label)
        # Before one is loaded, which FIPS modules may refuse without saying why.
        self.check(*(algorithm for algorithm, _ in found))
        return found

    # Keys on their way ----------------------------------------------------------------------

    def wrapping_key(self, content: Buffer) -> WrappingKey:
        """The public key in a file, PEM or DER, for whose holder a key is wrapped.

        Raises :class:`InvalidKeyError`.
        """
        from mycelium_fractal_net.security.sealed.key_transport import (
            METHODS,
            WrappingKey,
            der_of_file,
            is_x25519,
        )

        der = der_of_file(content)
        if is_x25519(der):  # before it is loaded, which FIPS modules may refuse without saying why
            self.check("HPKE-X25519")
        found = WrappingKey.from_file(der)
        self.check(*METHODS[found.method])
        return found

    def wrap_method(self) -> str:
        """The method by which others wrap keys for us where none is named: the first allowed one.

        Raises :class:`AlgorithmNotAllowedError` where none is.
        """
        from mycelium_fractal_net.security.sealed.key_transport import METHODS

        for method, names in METHODS.items():
            if self.algorithms.issuperset(names):
                return method
        raise AlgorithmNotAllowedError(
            f"keys are wrapped by {', '.join(METHODS)}, of which this configuration allows none"
        )

    def generate_unwrapping_key(self, method: str) -> UnwrappingKey:
        """A fresh key for which others wrap a key, by one of ``WRAP_METHODS``."""
        from mycelium_fractal_net.security.sealed.key_transport import METHODS, UnwrappingKey

        self.check(*METHODS.get(method, ()))
        return UnwrappingKey.generate(method)

    def unwrapping_key(self, method: str, material: Buffer) -> UnwrappingKey:
        """The one whose private bytes these are. Raises :class:`InvalidKeyError`."""
        from mycelium_fractal_net.security.sealed.key_transport import METHODS, UnwrappingKey

        self.check(*METHODS.get(method, ()))
        return UnwrappingKey.from_private_bytes(method, material)

    def material_to_keep(self, algorithm: str, transported: Buffer) -> tuple[Octets, bytes | None]:
        """What of a key that was made elsewhere is kept, and its public key if it has one.

        Bytes of a symmetric key are as they are; of a signing key it is what is in its DER
        PKCS #8. Raises :class:`InvalidKeyError` for anything but a key of that algorithm.
        """
        from mycelium_fractal_net.security.byte_io.buffers import as_bytes

        self.check(algorithm)
        if algorithm in _SYMMETRIC:
            material = as_bytes(transported)
            if len(material) != _SYMMETRIC[algorithm]:
                raise InvalidKeyError(
                    f"a key of {algorithm} is exactly {_SYMMETRIC[algorithm]} bytes"
                )
            return material, None
        from mycelium_fractal_net.security.signatures.signing_key import SigningKey

        signing = SigningKey.from_any_pkcs8(algorithm, transported)
        return signing.private_bytes(), signing.public.der()

    def material_to_transport(self, algorithm: str, kept: Octets) -> Octets:
        """The reverse: symmetric bytes as they are, or DER PKCS #8."""
        self.check(algorithm)
        return kept if algorithm in _SYMMETRIC else self.signing_key(algorithm, kept).private_der()

    # Keys -----------------------------------------------------------------------------------

    def generate_key_material(self, algorithm: str) -> SecretBytes:
        """Random bytes for a symmetric algorithm: 32, for AES-256-SIV 64."""
        self.check(algorithm)
        if algorithm not in _SYMMETRIC:
            raise AlgorithmNotAllowedError(f"{algorithm} has no symmetric key")
        return self.random_key(_SYMMETRIC[algorithm])

    def random_key(self, size: int = _KEY_BYTES) -> SecretBytes:
        """``size`` random bytes to be a key: of the FIPS module's generator, where there is one."""
        from mycelium_fractal_net.security.byte_io.secret_bytes import SecretBytes

        if self.fips_mode:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            return SecretBytes(AESGCM.generate_key(8 * size))
        return SecretBytes(secrets.token_bytes(size))

    def derive_from_passphrase(self, passphrase: bytes, salt: bytes, *, iterations: int) -> bytes:
        """A 32-byte key from a passphrase by PBKDF2-HMAC-SHA-256 (RFC 8018 section 5.2).

        Raises :class:`InvalidInputError` for a count or salt outside of what is safe.
        """
        from mycelium_fractal_net.security.algorithms.key_derivation import derive_from_passphrase

        self.check("PBKDF2-SHA256")
        return derive_from_passphrase(passphrase, salt, iterations)

    def pbkdf2(self, secret: bytes, salt: bytes, iterations: int) -> bytes:
        """32 bytes by PBKDF2-HMAC-SHA-256 with any count: for what is opened and never made."""
        from mycelium_fractal_net.security.algorithms.key_derivation import pbkdf2

        self.check("PBKDF2-SHA256")
        return pbkdf2(secret, salt, iterations, _KEY_BYTES)

    # Signatures and MACs --------------------------------------------------------------------

    def generate_signing_key(self, algorithm: str) -> SigningKey:
        """A fresh signing key."""
        from mycelium_fractal_net.security.signatures.signing_key import SigningKey

        self.check(algorithm)
        return SigningKey.generate(algorithm)

    def signing_key(self, algorithm: str, material: Buffer) -> SigningKey:
        """The signing key whose private encoding that is. Raises :class:`InvalidKeyError`."""
        from mycelium_fractal_net.security.signatures.signing_key import SigningKey

        self.check(algorithm)
        return SigningKey.from_private_bytes(algorithm, material)

    def external_signing_key(
        self,
        public_key: Buffer,
        ask: Callable[[bytes], bytes],
        refusal: Callable[[Callable[[VerifyingKey], None]], MfnError],
    ) -> ExternalSigningKey:
        """Signs by asking whoever has the private key; see :class:`ExternalSigningKey`."""
        from mycelium_fractal_net.security.signatures.external_key import ExternalSigningKey

        return ExternalSigningKey(self.verifying_key(public_key), ask, refusal)

    def usable_signing_key(self, key: SigningKey | str | bytes) -> SigningKey:
        """That key, or the one in its PEM: PKCS #8, not encrypted.

        Raises :class:`InvalidKeyError`.
        """
        from mycelium_fractal_net.security.signatures.signing_key import SigningKey

        found = key if isinstance(key, SigningKey) else SigningKey.from_pem(key)
        self.check(found.algorithm)
        return found

    def verifying_key(self, der: Buffer) -> VerifyingKey:
        """The public key in a DER SubjectPublicKeyInfo. Raises :class:`InvalidKeyError`."""
        from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey

        return self._allowed_public(VerifyingKey.from_der(der))

    def verifying_key_from_pem(self, pem: str | bytes) -> VerifyingKey:
        """The public key in a PEM file. Raises :class:`InvalidKeyError`."""
        from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey

        return self._allowed_public(VerifyingKey.from_pem(pem))

    def verifying_key_from_jwk(self, jwk: Mapping[str, object] | str | bytes) -> VerifyingKey:
        """The public key in a JWK, as its members or in JSON. Raises :class:`InvalidKeyError`."""
        from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey

        if isinstance(jwk, str | bytes):
            return self._allowed_public(VerifyingKey.from_jwk_text(jwk))
        return self._allowed_public(VerifyingKey.from_jwk(jwk))

    def read_verifying_key(self, content: bytes) -> VerifyingKey:
        """The public key in a file, PEM, JWK or DER. Raises :class:`InvalidKeyError`."""
        beginning = content.removeprefix(b"\xef\xbb\xbf").lstrip()[:4]
        if beginning[:1] == b"{":
            return self.verifying_key_from_jwk(content)
        if b"-----BEGIN " in content or beginning[:1] != b"0":  # of DER, a SEQUENCE
            return self.verifying_key_from_pem(content)
        return self.verifying_key(content)

    def _allowed_public(self, key: VerifyingKey) -> VerifyingKey:
        self.check(key.algorithm)
        return key

    def prehash(self, reader: BinaryReader) -> bytes:
        """The SHA-512 of a stream, which stands for it in a pre-hashed signature."""
        from mycelium_fractal_net.security.signatures.prehash import prehash

        self.check("SHA-512")
        return prehash(reader)

    def mac(self, algorithm: str, key: Buffer) -> MacKey:
        """Makes and checks MACs under a 32-byte key."""
        from mycelium_fractal_net.security.algorithms.mac import MacKey

        self.check(algorithm)
        if algorithm != "HMAC-SHA-256":
            raise AlgorithmNotAllowedError(f"{algorithm} makes no MACs")
        return MacKey(key)

    # Lookups --------------------------------------------------------------------------------

    def index_key(self, algorithm: str, key: Buffer) -> IndexKey:
        """Makes the tags of a blind index under a 32-byte key."""
        from mycelium_fractal_net.security.sealed.blind_index import IndexKey

        self.check(algorithm)
        return IndexKey(key)

    def field_key(self, key: Buffer, field: IndexField) -> FieldKey:
        """Makes the tags of one field, under the 32 bytes that an index key made for it."""
        from mycelium_fractal_net.security.sealed.blind_index import FieldKey

        self.check("HMAC-SHA-256")
        return FieldKey(key, field)

    def deterministic_key(self, key: Buffer, handle: bytes) -> DeterministicKey:
        """Makes the keys of deterministic messages of a version: of 64 bytes and its handle."""
        from mycelium_fractal_net.security.sealed.deterministic import DeterministicKey

        self.check("AES-256-SIV", "HKDF-SHA512")
        return DeterministicKey(key, handle)

    def deterministic_cipher(
        self, key: Buffer, handle: bytes, associated_data: Buffer
    ) -> DeterministicCipher:
        """Seals equal data as equal messages, under the 64 bytes of one associated data."""
        from mycelium_fractal_net.security.sealed.deterministic import DeterministicCipher

        self.check("AES-256-SIV")
        return DeterministicCipher(key, handle, associated_data)
