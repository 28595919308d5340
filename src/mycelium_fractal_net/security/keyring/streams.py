"""The streaming half of the keyring: messages of any size, in constant memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mycelium_fractal_net.security.errors import KeyStateError
from mycelium_fractal_net.security.records.keys import KeyState, parse_key_id
from mycelium_fractal_net.security.records.open_options import PLAIN
from mycelium_fractal_net.security.sealed.layout import parse_header, read_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.security.byte_io.binary_io import (
        BinaryReader,
        BinaryWriter,
        SeekableFile,
    )
    from mycelium_fractal_net.security.byte_io.buffers import Buffer
    from mycelium_fractal_net.security.keyring.opening import MessageKeys
    from mycelium_fractal_net.security.records.file_names import FileName
    from mycelium_fractal_net.security.records.keys import Key, KeyVersion
    from mycelium_fractal_net.security.records.open_options import OpenOptions
    from mycelium_fractal_net.security.sealed.push import Decryptor, Encryptor
    from mycelium_fractal_net.security.sealed.reader import SealedReader
    from mycelium_fractal_net.security.sealed.writer import SealedWriter

    Progress = Callable[[int], None]


class Streams:
    """Seals, opens and rewraps streams with named keys. A base of :class:`Keyring`."""

    _keys: MessageKeys

    def encrypt_stream(
        self,
        reader: BinaryReader,
        writer: BinaryWriter,
        *,
        key_id: str | None = None,
        associated_data: Buffer = b"",
        name: FileName | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Seal all that ``reader`` gives, in constant memory; returns the plaintext's bytes.

        With ``name``, the message is bound to that, and opens only where it is given again.
        """
        sealer = self._keys.sealing(key_id).sealer_of(b"" if name is None else name.digest)
        return sealer.seal_stream(reader, writer, associated_data, progress)

    def decrypt_stream(
        self,
        reader: BinaryReader,
        writer: BinaryWriter,
        options: OpenOptions = PLAIN,
        *,
        key_id: str | None = None,
        progress: Progress | None = None,
    ) -> int:
        """Open what ``reader`` gives; returns the plaintext's bytes.

        ``writer`` gets authenticated chunks only, but a cut shows at the end: until this
        returns, what was written is a part. Raises :class:`DecryptionError`.
        """
        _, sealer = self._keys.opener(read_header(reader), key_id, options)
        return sealer.open_stream(reader, writer, options.associated_data, progress)

    def encryptor(
        self, *, key_id: str | None = None, associated_data: Buffer = b""
    ) -> tuple[Encryptor, str]:
        """Seals what it is fed, piece by piece; and the version that it seals under."""
        found = self._keys.sealing(key_id)
        return found.sealer.encryptor(associated_data), found.version_id

    def decryptor(
        self, beginning: Buffer, options: OpenOptions = PLAIN, *, key_id: str | None = None
    ) -> tuple[Decryptor, str, int]:
        """Opens what it is fed of a message that begins with ``beginning``.

        Returns it, the version that opens, and how many bytes of ``beginning`` were used: feed
        it what comes after them. It gives authenticated chunks only; until it is finalised what
        it gave is a part. Raises :class:`DecryptionError`.
        """
        header = parse_header(beginning)
        found, sealer = self._keys.opener(header, key_id, options)
        return sealer.decryptor(options.associated_data), found.version_id, len(header.raw)

    def check_sealing(self, version_id: str) -> None:
        """Raise where that version may not go on sealing what it began; counts no use.

        It need not be the newest any more. Raises :class:`KeyNotFoundError` and
        :class:`KeyStateError`.
        """
        _, version = self._version(version_id)
        if version.state is not KeyState.ACTIVE:
            raise KeyStateError(f"{version_id} protects nothing more: it is {version.state}")

    def check_opening(self, version_id: str, options: OpenOptions = PLAIN) -> None:
        """Raise where that version may not go on opening what it began; counts no use.

        Raises :class:`KeyNotFoundError` and :class:`KeyStateError`.
        """
        key, version = self._version(version_id)
        key.check_decrypt(version, allow_compromised=options.allow_compromised)

    def _version(self, version_id: str) -> tuple[Key, KeyVersion]:
        name, number = parse_key_id(version_id)
        key = self._keys.cache.record(name)
        return key, key.latest if number is None else key.version(number)

    def rewrap_stream(
        self,
        reader: BinaryReader,
        writer: BinaryWriter,
        options: OpenOptions = PLAIN,
        *,
        progress: Progress | None = None,
    ) -> int:
        """:meth:`rewrap` for streams. Until this returns, what was written is worth nothing."""
        header = read_header(reader)
        found, opener = self._keys.opener(header, None, options, moves=True)
        newest = self._keys.sealing(found.key.key_id).sealer_of(header.name)
        return opener.rewrap_stream(newest, reader, writer, options.associated_data, progress)

    def open_writer(
        self,
        file: BinaryWriter,
        *,
        key_id: str | None = None,
        associated_data: Buffer = b"",
        name: FileName | None = None,
    ) -> SealedWriter:
        """A binary file that seals what is written to it, into ``file``, in constant memory.

        ``file`` has the whole message once it was closed. An exception in its ``with`` block
        leaves ``file`` with a part that opens for nobody. ``name`` as in :meth:`encrypt_stream`.
        """
        found = self._keys.sealing(key_id)
        sealer = found.sealer_of(b"" if name is None else name.digest)
        writer = sealer.writer(file, associated_data)
        writer.version_id = found.version_id
        return writer

    def open_reader(self, file: SeekableFile, options: OpenOptions = PLAIN) -> SealedReader:
        """A seekable binary file of a sealed file's plaintext, which decrypts what it touches.

        Reading n bytes reads and authenticates the chunks of 16 KiB that they lie in. The
        commitment and the final chunk are checked first, so a cut file yields nothing. ``file``
        stands at the message, which ends where the file ends, and is not closed with the reader.
        Raises :class:`DecryptionError`.
        """
        _, sealer = self._keys.opener(read_header(file), None, options)
        return sealer.open_range(file, options.associated_data)
