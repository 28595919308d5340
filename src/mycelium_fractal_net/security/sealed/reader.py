"""Random access to a sealed file: only the chunks that are touched are read and decrypted.

``cryptography.cobblestone`` cannot seek, so c2sp.org/chunked-encryption is composed from its text,
here and in :mod:`.message_key`. The tests hold it byte for byte against ``cobblestone`` and the
Wycheproof vectors.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag

from mycelium_fractal_net.security.byte_io.binary_io import (
    SeekableFile,
    is_regular_file,
    read_fully,
)
from mycelium_fractal_net.security.errors import DecryptionError
from mycelium_fractal_net.security.sealed.layout import (
    CHUNK_BYTES,
    HEAD_BYTES,
    MAX_CHUNKS,
    SEALED_CHUNK_BYTES,
    TAG_BYTES,
    plain_bytes,
)
from mycelium_fractal_net.security.sealed.message_key import message_key

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from mycelium_fractal_net.security.byte_io.buffers import Octets

_CHUNKS_PER_READ: Final = 16  # 256 KiB, which stay in the processor's cache
_CHUNKS_PER_REQUEST: Final = 256  # 4 MiB, of what may lie behind a network: few requests


class SealedReader(io.RawIOBase):
    """The plaintext of a sealed file, read-only and seekable.

    ``file`` stands at the salt, and the message ends where the file ends. Opening checks the
    commitment, which authenticates key and context, and the final chunk, which authenticates
    the length: of a file that was cut nothing is ever returned. Each read then authenticates
    the chunks that it returns. A chunk that nobody reads is not checked.

    Raises :class:`DecryptionError`, on opening or reading, for whatever is wrong with the
    bytes; after one in a read, every read raises. What ``file`` raises passes through.
    Closing forgets the key and leaves ``file`` open. Not for several threads at once.
    """

    def __init__(self, file: SeekableFile, key: Octets, context: bytes) -> None:
        super().__init__()
        self._file = file
        self._position = 0
        self._dead = False
        self._start = file.tell()
        file.seek(0, os.SEEK_END)
        self._sealed_bytes = file.tell() - self._start - HEAD_BYTES
        # The final chunk is the short one; a message that ends with a full chunk has no size.
        self._size = plain_bytes(HEAD_BYTES + self._sealed_bytes)
        self._last = self._size // CHUNK_BYTES
        if self._last >= MAX_CHUNKS:
            raise DecryptionError
        self._key = message_key(key, context, self._fetch(0, HEAD_BYTES))
        self._most = _CHUNKS_PER_READ if is_regular_file(file) else _CHUNKS_PER_REQUEST
        self._run(self._last, 1, 1, memoryview(bytearray()))  # which keeps it

    def __repr__(self) -> str:
        return f"<SealedReader of {self._size} bytes>"

    @property
    def size(self) -> int:
        """The bytes of plaintext, authenticated."""
        return self._size

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The position in the plaintext."""
        self._check()
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move and return the position. ValueError for one before the start."""
        self._check()
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}
        if whence not in bases:
            raise ValueError("whence must be 0, 1 or 2")
        if bases[whence] + offset < 0:
            raise ValueError("there is nothing before the start")
        self._position = bases[whence] + offset
        return self._position

    def read(self, size: int | None = -1, /) -> bytes:
        """``size`` bytes from the position on; fewer only at the end; all of them for -1."""
        self._check()
        left = max(self._size - self._position, 0)
        wanted = left if size is None or size < 0 else min(size, left)
        index, offset = divmod(self._position, CHUNK_BYTES)
        if index == self._cached[0] and offset + wanted <= len(self._cached[1]):
            self._position += wanted
            return self._cached[1][offset : offset + wanted]
        data = io.BytesIO(bytes(wanted))  # as in :mod:`.whole`: touched once
        with data.getbuffer() as block:
            self._fill(block)
        return data.getvalue()

    def readall(self) -> bytes:
        """The rest."""
        return self.read()

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill ``buffer`` and return the count, which is smaller only at the end.

        Whole chunks are decrypted where they are to be. When it raises, what was filled is zeros.
        """
        self._check()
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), max(self._size - self._position, 0))
        self._fill(view[:wanted])
        return wanted

    def close(self) -> None:
        """Forget the key. The file stays open."""
        self.__dict__.pop("_key", None)
        self.__dict__.pop("_cached", None)
        super().close()

    def _check(self) -> None:
        if self.closed:
            raise ValueError("the reader is closed")
        if self._dead:
            raise DecryptionError

    def _fill(self, view: memoryview) -> None:
        position = self._position
        rest = view
        try:
            while rest:
                index, offset = divmod(position, CHUNK_BYTES)
                if index == self._cached[0]:
                    taken = self._give(self._cached[1], offset, rest)
                else:
                    count = min(-(-(offset + len(rest)) // CHUNK_BYTES), self._most)
                    taken = self._run(index, count, offset, rest)
                rest = rest[taken:]
                position += taken
        except BaseException:
            view[:] = bytes(len(view))  # some of it may not have been authenticated
            raise
        self._position = position

    @staticmethod
    def _give(plaintext: bytes, offset: int, view: memoryview) -> int:
        piece = memoryview(plaintext)[offset : offset + len(view)]
        view[: len(piece)] = piece
        return len(piece)

    def _run(self, first: int, count: int, offset: int, view: memoryview) -> int:
        """Open ``count`` chunks from ``first`` on into ``view``, from ``offset`` in the first on.

        Of chunks that do not fit as a whole the last is kept. Returns the bytes given.
        """
        begin = first * SEALED_CHUNK_BYTES
        end = min(begin + count * SEALED_CHUNK_BYTES, self._sealed_bytes)
        sealed = memoryview(self._fetch(HEAD_BYTES + begin, end - begin))
        given = 0
        for number in range(first, first + count):
            chunk, sealed = sealed[:SEALED_CHUNK_BYTES], sealed[SEALED_CHUNK_BYTES:]
            plain, room = len(chunk) - TAG_BYTES, view[given:]
            try:
                if offset == 0 and plain <= len(room):
                    self._key.cipher.decrypt_into(
                        self._key.nonce(number), chunk, None, room[:plain]
                    )
                    given += plain
                else:
                    whole = self._key.cipher.decrypt(self._key.nonce(number), chunk, None)
                    self._cached = (number, whole)
                    given += self._give(whole, offset, room)
            except InvalidTag:
                raise self._died() from None
            offset = 0
        return given

    def _fetch(self, offset: int, count: int) -> bytearray:
        self._file.seek(self._start + offset)
        data = bytearray(count)
        if read_fully(self._file, memoryview(data)) < count:
            raise self._died()  # cut after it was opened
        return data

    def _died(self) -> DecryptionError:
        self._dead = True
        return DecryptionError()
