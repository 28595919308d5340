"""The signing half of the keyring: signatures of bytes, streams and files, and MACs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mycelium_fractal_net.security.errors import (
    InvalidSignatureError,
    KeyNotFoundError,
    KeyUsageError,
)
from mycelium_fractal_net.security.keyring.cache import KeyCache
from mycelium_fractal_net.security.keyring.candidates import candidates, check_type
from mycelium_fractal_net.security.records.keys import (
    DEFAULT_KEY_ID,
    Key,
    KeyType,
    KeyUse,
    parse_key_id,
    version_id,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.security.byte_io.binary_io import BinaryReader
    from mycelium_fractal_net.security.byte_io.buffers import Buffer
    from mycelium_fractal_net.security.keyring.key_in_use import KeyInUse
    from mycelium_fractal_net.security.policy import Policy
    from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey


class Signature(bytes):
    """A bare signature; ``key_id`` says which version made it, such as ``release:v1``."""

    key_id: str

    @classmethod
    def made(cls, signature: bytes, key_id: str) -> Signature:
        """``signature`` with the version that made it."""
        signed = cls(signature)
        signed.key_id = key_id
        return signed


class Signing:
    """Signs, verifies and makes MACs with named keys. The base of :class:`Keyring`."""

    policy: Policy
    _cache: KeyCache

    # Signatures ---------------------------------------------------------------------------

    def sign(self, data: Buffer, *, key_id: str | None = None) -> Signature:
        """A bare signature of ``data`` by the newest version of a signing key for data."""
        found = self._signing(key_id)
        return Signature.made(found.signing.sign(data), found.version_id)

    def sign_stream(self, reader: BinaryReader, *, key_id: str | None = None) -> Signature:
        """Sign a stream of any size through SHA-512 (docs/format.md, "Pre-hashed signatures")."""
        found = self._signing(key_id)
        return Signature.made(found.signing.sign_stream(reader), found.version_id)

    def sign_file(self, reader: BinaryReader, *, key_id: str | None = None) -> bytes:
        """The bytes of a ``.sig`` file for what ``reader`` gives, which names its key version."""
        from mycelium_fractal_net.security.signatures.signature_file import (
            SignatureMode,
            encode_signature_file,
        )

        found = self._signing(key_id)
        signature = found.signing.sign_stream(reader)
        return encode_signature_file(found.version.handle, SignatureMode.PREHASH, signature)

    def verify(self, data: Buffer, signature: bytes, *, key_id: str | None = None) -> str:
        """The version that made ``signature`` of ``data``, one of ``key_id``.

        A bare name accepts any version whose state may verify.
        Raises :class:`InvalidSignatureError`.
        """
        return self._verify(key_id, lambda key: key.verify(data, signature))

    def verify_stream(
        self, reader: BinaryReader, signature: bytes, *, key_id: str | None = None
    ) -> str:
        """:meth:`verify` for what :meth:`sign_stream` signed."""
        prehashed = self.policy.prehash(reader)
        return self._verify(key_id, lambda key: key.verify_prehashed(prehashed, signature))

    def verify_file(self, reader: BinaryReader, signature_file: bytes, *, key_id: str) -> str:
        """Verify ``reader`` against a ``.sig`` file; returns the version that signed it.

        The file names a version, and it must be one of ``key_id``.
        Raises :class:`InvalidSignatureError`.
        """
        from mycelium_fractal_net.security.signatures.signature_file import parse_signature_file

        parsed = parse_signature_file(signature_file)
        name, number = parse_key_id(key_id)
        key = self._cache.record(name)
        _check_signs_data(key)
        try:
            version = key.by_handle(parsed.handle)
        except KeyNotFoundError:
            raise InvalidSignatureError from None
        if number is not None and number != version.version:
            raise InvalidSignatureError
        key.check_verify(version)
        found = self._cache.opening(version.handle)
        self._cache.counts.opened(found)
        found.verifying.verify_file(reader, parsed)
        return version_id(name, version.version)

    def _signing(self, key_id: str | None) -> KeyInUse:
        found = self._cache.protecting(key_id or DEFAULT_KEY_ID[KeyType.SIGNING], KeyType.SIGNING)
        _check_signs_data(found.key)
        return found

    def _verify(self, key_id: str | None, verify: Callable[[VerifyingKey], None]) -> str:
        name, number = parse_key_id(key_id or DEFAULT_KEY_ID[KeyType.SIGNING])
        key = self._cache.record(name)
        _check_signs_data(key)
        for version in candidates(key, number, key.check_verify):
            found = self._cache.opening(version.handle)
            try:
                verify(found.verifying)
            except InvalidSignatureError:
                continue
            self._cache.counts.opened(found)
            return found.version_id
        raise InvalidSignatureError

    # Requests -----------------------------------------------------------------------------

    def request_key(self, key_id: str) -> str:
        """The version that signs requests under ``key_id``, such as ``service:v1``.

        Raises :class:`KeyUsageError` for a key that is not of use ``request``.
        """
        key = self._cache.named(key_id)
        _check_signs_requests(key)
        return version_id(key.key_id, key.primary.version)

    def sign_request(self, base: Buffer, *, key_id: str) -> Signature:
        """The signature of a signature base (RFC 9421 section 2.5) by a key for requests.

        64 bytes for Ed25519, ``r || s`` for ECDSA: 64 or 96 bytes.
        """
        found = self._cache.protecting(key_id, KeyType.SIGNING)
        _check_signs_requests(found.key)
        return Signature.made(found.signing.sign_fixed_size(base), found.version_id)

    # MACs ---------------------------------------------------------------------------------

    def mac(self, data: Buffer, *, key_id: str | None = None) -> Signature:
        """The 32-byte HMAC-SHA-256 of ``data`` under the newest version of a key of type ``mac``.

        After a rotation the same data has another MAC. :meth:`verify_mac` knows the older ones; a
        search for the new one among those that are stored finds none.
        """
        found = self._cache.protecting(key_id or DEFAULT_KEY_ID[KeyType.MAC], KeyType.MAC)
        return Signature.made(found.mac_key.tag(data), found.version_id)

    def verify_mac(self, data: Buffer, tag: bytes, *, key_id: str | None = None) -> str:
        """The version that made ``tag`` of ``data``, one of ``key_id``.

        Raises :class:`InvalidSignatureError`.
        """
        name, number = parse_key_id(key_id or DEFAULT_KEY_ID[KeyType.MAC])
        key = self._cache.record(name)
        check_type(key, KeyType.MAC)
        for version in candidates(key, number, key.check_verify):
            if not version.wrapped:
                continue
            found = self._cache.opening(version.handle)
            try:
                found.mac_key.verify(data, tag)
            except InvalidSignatureError:
                continue
            self._cache.counts.opened(found)  # not of those that did not make it
            self._cache.counts.pending(found)  # a MAC needs the key again, unlike a signature
            return found.version_id
        raise InvalidSignatureError


def _check_signs_requests(key: Key) -> None:
    check_type(key, KeyType.SIGNING)
    if key.use is not KeyUse.REQUEST:
        raise KeyUsageError(f"key {key.key_id!r} signs data only; it never signs a request")


def _check_signs_data(key: Key) -> None:
    check_type(key, KeyType.SIGNING)
    if key.use is not KeyUse.DATA:
        # Otherwise whoever may have data signed could have a request signed.
        raise KeyUsageError(f"key {key.key_id!r} signs requests only; it never signs data")
