"""The streaming half of the keyring: messages of any size, in constant memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.errors import DecryptionError, KeyNotFoundError
from mycelium_fractal_net.security.keyring.cache import KeyCache
from mycelium_fractal_net.security.records.keys import (
    DEFAULT_KEY_ID,
    KeyState,
    KeyType,
    parse_key_id,
)

if TYPE_CHECKING:
    from cryptography.utils import Buffer

    from mycelium_fractal_net.security.byte_io.binary_io import (
        BinaryReader,
        BinaryWriter,
        SeekableFile,
    )
    from mycelium_fractal_net.security.keyring.key_in_use import KeyInUse
    from mycelium_fractal_net.security.policy import Policy
    from mycelium_fractal_net.security.sealed.format import Header
    from mycelium_fractal_net.security.sealed.push import Decryptor, Encryptor
    from mycelium_fractal_net.security.sealed.reader import SealedReader
    from mycelium_fractal_net.security.sealed.sealer import Sealer

__all__ = ["Permit", "Streams"]

Permit = Callable[[str], bool]
"""Whether a key of that name may be used. A message of one that may not be is like a message
whose key is not there."""
_ENCRYPTION: Final = KeyType.ENCRYPTION


class Streams:
    """Seals, opens and rewraps streams with named keys. A base of :class:`Keyring`."""

    policy: Policy
    _cache: KeyCache
    _parse_header: Callable[[Buffer], Header]

    def encrypt_stream(
        self,
        reader: BinaryReader,
        writer: BinaryWriter,
        *,
        key_id: str | None = None,
        associated_data: Buffer = b"",
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """Seal all that ``reader`` gives, in constant memory; returns the plaintext's bytes."""
        found = self._cache.protecting(key_id or DEFAULT_KEY_ID[_ENCRYPTION], _ENCRYPTION)
        return found.sealer.seal_stream(reader, writer, associated_data, progress)

    def decrypt_stream(
        self,
        reader: BinaryReader,
        writer: BinaryWriter,
        *,
        key_id: str | None = None,
        associated_data: Buffer = b"",
        data_key_associated_data: Buffer = b"",
        progress: Callable[[int], None] | None = None,
        allow_compromised: bool = False,
    ) -> int:
        """Open what ``reader`` gives; returns the plaintext's bytes.

        ``writer`` gets authenticated chunks only, but a cut shows at the end: until this
        returns, what was written is a part. Raises :class:`DecryptionError`.
        """
        header = self.policy.read_header(reader)
        found = self._opening(header.handle, key_id, allow_compromised)
        sealer = self._sealer_for(found, header, data_key_associated_data)
        self._cache.count_opened(found)
        return sealer.open_stream(reader, writer, associated_data, progress)

    def encryptor(
        self, *, key_id: str | None = None, associated_data: Buffer = b""
    ) -> tuple[Encryptor, str]:
        """Seals what it is fed, piece by piece; and the version that it seals under."""
        found = self._cache.protecting(key_id or DEFAULT_KEY_ID[_ENCRYPTION], _ENCRYPTION)
        return found.sealer.encryptor(associated_data), found.version_id

    def decryptor(
        self,
        beginning: Buffer,
        *,
        key_id: str | None = None,
        associated_data: Buffer = b"",
        data_key_associated_data: Buffer = b"",
        allow_compromised: bool = False,
        permit: Permit | None = None,
    ) -> tuple[Decryptor, str, int]:
        """Opens what it is fed of a message that begins with ``beginning``.

        Returns it, the version that opens, and how many bytes of ``beginning`` were used: feed
        it what comes after them. It gives authenticated chunks only; until it is finalised what
        it gave is a part. Raises :class:`DecryptionError`.
        """
        header = self._parse_header(beginning)
        found = self._opening(header.handle, key_id, allow_compromised, permit)
        sealer = self._sealer_for(found, header, data_key_associated_data)
        self._cache.count_opened(found)
        return sealer.decryptor(associated_data), found.version_id, len(header.raw)

    def rewrap_stream(
        self,
        reader: BinaryReader,
        writer: BinaryWriter,
        *,
        associated_data: Buffer = b"",
        data_key_associated_data: Buffer = b"",
        progress: Callable[[int], None] | None = None,
        allow_compromised: bool = False,
    ) -> int:
        """:meth:`rewrap` for streams. Until this returns, what was written is worth nothing."""
        header = self.policy.read_header(reader)
        found = self._opening(header.handle, None, allow_compromised)
        opener = self._sealer_for(found, header, data_key_associated_data)
        self._cache.count_opened(found)
        newest = self._cache.protecting(found.key.key_id, _ENCRYPTION)
        return opener.rewrap_stream(newest.sealer, reader, writer, associated_data, progress)

    def open_reader(
        self,
        file: SeekableFile,
        *,
        associated_data: Buffer = b"",
        data_key_associated_data: Buffer = b"",
        allow_compromised: bool = False,
    ) -> SealedReader:
        """A seekable view of a sealed file's plaintext; decrypts only the chunks it touches.

        The commitment and the final chunk are checked first, so a cut file yields nothing.
        """
        header = self.policy.read_header(file)
        found = self._opening(header.handle, None, allow_compromised)
        sealer = self._sealer_for(found, header, data_key_associated_data)
        self._cache.count_opened(found)
        return sealer.open_range(file, associated_data)

    # Beneath ------------------------------------------------------------------------------

    def _opening(
        self,
        handle: bytes,
        key_id: str | None,
        allow_compromised: bool,
        permit: Permit | None = None,
    ) -> KeyInUse:
        """The version that a message names, if it may open it."""
        try:
            found = self._cache.opening(handle)
        except KeyNotFoundError:
            raise DecryptionError from None
        if found.key.key_type is not _ENCRYPTION:
            raise DecryptionError
        if permit is not None and not permit(found.key.key_id):
            raise DecryptionError
        if key_id is not None:
            name, number = parse_key_id(key_id)
            if name != found.key.key_id or number not in (None, found.version.version):
                raise DecryptionError
        if found.version.state is not KeyState.ACTIVE:
            self._cache.count_pending(found)
            found.key.check_decrypt(found.version, allow_compromised=allow_compromised)
        return found

    def _sealer_for(
        self, found: KeyInUse, header: Header, data_key_associated_data: Buffer
    ) -> Sealer:
        if not header.wrapped:
            return found.sealer
        data_key = found.sealer.unwrap_data_key(header.wrapped, data_key_associated_data)
        return self.policy.envelope_sealer(data_key, header.handle, header.wrapped)
