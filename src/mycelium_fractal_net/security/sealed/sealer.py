"""The sealed message: Cobblestone-256 behind a prefix that names the key version.

docs/format.md is the specification. In short::

    sealed     "MFN" 0x01 || handle(8) || salt(24) || commitment(32) || chunks
    envelope   "MFN" 0x02 || handle(8) || wrapped data key(104) || salt || commitment || chunks
    named      "MFN" 0x04 || handle(8) || digest of a name(32) || salt || commitment || chunks

The chunks hold 16 KiB of plaintext each and a 16-byte tag; the last one is shorter and may
be empty. The scheme is c2sp.org/chunked-encryption version 1 (HKDF-Expand-SHA-512 and
AES-256-GCM). Its context is a label, the prefix and the associated data, so that key,
version, form and associated data are all bound.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NoReturn

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag

from mycelium_fractal_net.security.algorithms.digests import sha512
from mycelium_fractal_net.security.byte_io.binary_io import BinaryReader, BinaryWriter, SeekableFile
from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.byte_io.secret_bytes import SecretBytes
from mycelium_fractal_net.security.errors import (
    DecryptionError,
    InvalidInputError,
    InvalidKeyError,
)
from mycelium_fractal_net.security.records.file_names import NAME_DIGEST_BYTES
from mycelium_fractal_net.security.records.keys import HANDLE_BYTES
from mycelium_fractal_net.security.sealed.layout import (
    CHUNK_BYTES,
    KEY_BYTES,
    NAMED_BYTES,
    WRAPPED_KEY_BYTES,
    Form,
    Header,
)
from mycelium_fractal_net.security.sealed.message_key import open_secret
from mycelium_fractal_net.security.sealed.push import Decryptor, Encryptor
from mycelium_fractal_net.security.sealed.reader import SealedReader
from mycelium_fractal_net.security.sealed.stream_engine import (
    Progress,
    open_into,
    rewrap_into,
    seal_into,
)
from mycelium_fractal_net.security.sealed.whole import open_whole, seal_whole
from mycelium_fractal_net.security.sealed.writer import SealedWriter

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer

_SEALED_LABEL: Final = b"mycelium-fractal-net/sealed/v1"
_ENVELOPE_LABEL: Final = b"mycelium-fractal-net/envelope/v1"
_NAMED_LABEL: Final = b"mycelium-fractal-net/named/v1"
_ADDRESSED_LABEL: Final = b"mycelium-fractal-net/addressed/v1"
_DATA_KEY_LABEL: Final = b"mycelium-fractal-net/datakey/v1"


class Sealer:
    """Seals and opens messages of one form under one key. Threads may share it.

    Made by :meth:`sealed`, :meth:`named`, :meth:`envelope`, :meth:`addressed` or :meth:`bare`.
    Sealing never uses a salt twice, and the number of messages under one key is not limited in
    practice.

    ``associated_data`` is authenticated and not part of the message; opening needs the same.
    It, plaintext and message are any contiguous buffer; :class:`InvalidInputError` for others.
    """

    __slots__ = ("_context", "_handle", "_key", "_prefix")

    def __init__(self, key: Buffer, context: bytes, prefix: bytes, handle: bytes | None) -> None:
        if type(key) is not SecretBytes:  # else it is the one copy that there is
            key = SecretBytes(as_bytes(key))
        if len(key) != KEY_BYTES:
            raise InvalidKeyError(f"a key is {KEY_BYTES} bytes")
        if handle is not None and len(handle) != HANDLE_BYTES:
            raise InvalidInputError(f"a handle is {HANDLE_BYTES} bytes")
        self._key = key
        self._context = context
        self._prefix = prefix
        self._handle = handle

    @classmethod
    def sealed(cls, key: Buffer, handle: bytes) -> Sealer:
        """Messages of form 1, under a named key of 32 bytes with that handle."""
        prefix = Header(Form.SEALED, handle).raw
        return cls(key, _SEALED_LABEL + prefix, prefix, handle)

    @classmethod
    def named(cls, key: Buffer, handle: bytes, name: bytes) -> Sealer:
        """Messages bound to a file's name by its digest of 32 bytes, otherwise of form 1."""
        if len(name) != NAME_DIGEST_BYTES:
            raise InvalidInputError(f"the digest of a name is {NAME_DIGEST_BYTES} bytes")
        prefix = Header(Form.NAMED, handle, name=name).raw
        return cls(key, _NAMED_LABEL + prefix, prefix, handle)

    @classmethod
    def envelope(cls, data_key: Buffer, handle: bytes, wrapped: bytes) -> Sealer:
        """Messages of form 2, under a data key of 32 bytes and with its wrapped form in front."""
        if len(wrapped) != WRAPPED_KEY_BYTES:
            raise InvalidInputError(f"a wrapped data key is {WRAPPED_KEY_BYTES} bytes")
        prefix = Header(Form.ENVELOPE, handle, wrapped).raw
        return cls(data_key, _ENVELOPE_LABEL + prefix, prefix, handle)

    @classmethod
    def addressed(cls, data_key: Buffer, header: bytes) -> Sealer:
        """Messages behind that header, which lists recipients: :mod:`.addressed`."""
        # A hash of it: a header may have 300 KB, and each use would go through all of them.
        return cls(data_key, _ADDRESSED_LABEL + sha512(header), header, None)

    @classmethod
    def bare(cls, key: Buffer, context: Buffer) -> Sealer:
        """Cobblestone-256 as it is: no prefix, and ``context`` whole; no associated data."""
        return cls(key, bytes(as_bytes(context)), b"", None)

    def __repr__(self) -> str:
        return f"<Sealer {self._prefix[:NAMED_BYTES].hex() or 'bare'}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Sealer holds a key and is not pickled or copied")

    def seal(self, plaintext: Buffer, associated_data: Buffer = b"") -> bytes:
        """The whole message: ``plaintext`` and 84 bytes more per message, 16 per 16 KiB."""
        if type(plaintext) is not bytes:
            plaintext = as_bytes(plaintext)
        encryptor = Cobblestone256Encryptor(self._key, self._bound(associated_data))
        if len(plaintext) < CHUNK_BYTES:
            return self._prefix + encryptor.update(plaintext) + encryptor.finalize()
        return seal_whole(encryptor, self._prefix, memoryview(plaintext))

    def open(self, message: Buffer, associated_data: Buffer = b"") -> bytes:
        """The plaintext of a whole message. Raises :class:`DecryptionError`."""
        if type(message) is not bytes:
            message = as_bytes(message)
        decryptor = Cobblestone256Decryptor(self._key, self._bound(associated_data))
        prefix = self._prefix
        offset = len(prefix)
        if message[:offset] != prefix:
            raise DecryptionError
        try:
            if len(message) < CHUNK_BYTES:
                return decryptor.update(message[offset:]) + decryptor.finalize()
            return open_whole(decryptor, memoryview(message)[offset:])
        except (InvalidTag, ValueError):
            raise DecryptionError from None

    def open_secret(self, message: Buffer, associated_data: Buffer = b"") -> SecretBytes:
        """:meth:`open` of a key, of at most 16,383 bytes, with no copy of it left behind."""
        message = as_bytes(message)
        offset = len(self._prefix)
        if message[:offset] != self._prefix:
            raise DecryptionError
        return open_secret(self._key, self._bound(associated_data), message[offset:])

    def seal_stream(
        self,
        reader: BinaryReader,
        writer: BinaryWriter,
        associated_data: Buffer = b"",
        progress: Progress | None = None,
    ) -> int:
        """Write the message of all that ``reader`` holds; returns the bytes of plaintext.

        ``progress`` gets the bytes read since its last call. What reader and writer raise passes
        through untouched.
        """
        encryptor = Cobblestone256Encryptor(self._key, self._bound(associated_data))
        return seal_into(encryptor, self._prefix, reader, writer, progress)

    def open_stream(
        self,
        reader: BinaryReader,
        writer: BinaryWriter,
        associated_data: Buffer = b"",
        progress: Progress | None = None,
    ) -> int:
        """Write the plaintext of the message whose prefix was read from ``reader`` already.

        The writer gets authenticated chunks only, but before the end was seen: when this
        raises, throw away what was written. Raises :class:`DecryptionError`. Otherwise as
        :meth:`seal_stream`.
        """
        decryptor = Cobblestone256Decryptor(self._key, self._bound(associated_data))
        return open_into(decryptor, reader, writer, progress)

    def rewrap_stream(
        self,
        newer: Sealer,
        reader: BinaryReader,
        writer: BinaryWriter,
        associated_data: Buffer = b"",
        progress: Progress | None = None,
    ) -> int:
        """Write the message in ``reader``, opened as by :meth:`open_stream`, sealed by ``newer``.

        The associated data stays what it was, and the plaintext in memory.
        """
        bound, newly_bound = self._bound(associated_data), newer._bound(associated_data)
        decryptor = Cobblestone256Decryptor(self._key, bound)
        encryptor = Cobblestone256Encryptor(newer._key, newly_bound)
        return rewrap_into(decryptor, encryptor, newer._prefix, reader, writer, progress)

    def encryptor(self, associated_data: Buffer = b"") -> Encryptor:
        """Seals one message that is pushed in pieces."""
        bound = self._bound(associated_data)
        return Encryptor(Cobblestone256Encryptor(self._key, bound), self._prefix)

    def decryptor(self, associated_data: Buffer = b"") -> Decryptor:
        """Opens one message that is pushed in pieces, from behind its prefix on."""
        return Decryptor(Cobblestone256Decryptor(self._key, self._bound(associated_data)))

    def writer(self, file: BinaryWriter, associated_data: Buffer = b"") -> SealedWriter:
        """Seals one message, written like a file, into ``file``; the prefix is written at once."""
        bound = self._bound(associated_data)
        return SealedWriter(Cobblestone256Encryptor(self._key, bound), self._prefix, file)

    def open_range(self, file: SeekableFile, associated_data: Buffer = b"") -> SealedReader:
        """The plaintext of a file, read by position; ``file`` stands behind the prefix.

        Raises :class:`DecryptionError` unless key, associated data and length are authentic.
        """
        return SealedReader(file, self._key, self._bound(associated_data))

    def wrap_data_key(self, associated_data: Buffer = b"") -> DataKey:
        """A new random data key, in the clear and wrapped under this named key.

        Raises :class:`InvalidInputError` unless the sealer was made by :meth:`sealed`.
        """
        wrapping, handle = self._data_key_sealer(associated_data)
        plaintext = Cobblestone256Encryptor.generate_key()
        return DataKey(plaintext, wrapping.seal(plaintext), handle)

    def unwrap_data_key(self, wrapped: Buffer, associated_data: Buffer = b"") -> bytes:
        """The 32 bytes of a data key that :meth:`wrap_data_key` wrapped.

        Raises :class:`DecryptionError`, and :class:`InvalidInputError` as it does.
        """
        wrapping, _ = self._data_key_sealer(associated_data)
        if len(as_bytes(wrapped)) != WRAPPED_KEY_BYTES:
            raise DecryptionError
        return wrapping.open(wrapped)

    def _data_key_sealer(self, associated_data: Buffer) -> tuple[Sealer, bytes]:
        if self._handle is None or len(self._prefix) != NAMED_BYTES:
            raise InvalidInputError("only a sealer under a named key wraps data keys")
        named = Header(Form.ENVELOPE, self._handle).raw
        context = b"".join((_DATA_KEY_LABEL, named, as_bytes(associated_data)))
        return Sealer.bare(self._key, context), self._handle

    def _bound(self, associated_data: Buffer) -> bytes:
        """The context: what the sealer fixes, and the associated data."""
        if type(associated_data) is not bytes:
            associated_data = as_bytes(associated_data)
        if not associated_data:
            return self._context
        if not self._prefix:
            raise InvalidInputError("a bare sealer has its whole context and no associated data")
        return b"".join((self._context, associated_data))


@dataclass(frozen=True, slots=True, eq=False)
class DataKey:
    """A data key: 32 bytes to seal with, and their wrapped form of 104 bytes to keep."""

    plaintext: bytes = field(repr=False)
    wrapped: bytes = field(repr=False)
    handle: bytes

    @property
    def header(self) -> bytes:
        """The 116 bytes that every message of this data key begins with."""
        return Header(Form.ENVELOPE, self.handle, self.wrapped).raw

    @property
    def sealer(self) -> Sealer:
        """Seals messages that carry this data key, wrapped, in front."""
        return Sealer.envelope(self.plaintext, self.handle, self.wrapped)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a DataKey is not pickled or copied")
