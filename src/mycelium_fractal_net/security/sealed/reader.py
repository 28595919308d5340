"""Random access to a sealed file: only the chunks that are touched are read and decrypted.

``cryptography.cobblestone`` cannot seek, so c2sp.org/chunked-encryption is composed from its text,
here and in :mod:`.message_key`. The tests hold it byte for byte against ``cobblestone`` and the
Wycheproof vectors.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag

from mycelium_fractal_net.security.byte_io.binary_io import SeekableFile, read_fully
from mycelium_fractal_net.security.errors import DecryptionError
from mycelium_fractal_net.security.sealed.layout import (
    CHUNK_BYTES,
    HEAD_BYTES,
    MAX_CHUNKS,
    SEALED_CHUNK_BYTES,
    plain_bytes,
)
from mycelium_fractal_net.security.sealed.message_key import message_key

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from mycelium_fractal_net.security.byte_io.buffers import Octets

_CHUNKS_PER_READ: Final = 16  # 256 KiB: few calls, and a bound on memory


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
        self._cached = (-1, b"")
        self._run(self._last, 1)

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
        data = b"".join(self._pieces(wanted))
        self._position += wanted
        return data

    def readall(self) -> bytes:
        """The rest."""
        return self.read()

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill ``buffer`` and return the count, which is smaller only at the end."""
        self._check()
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), max(self._size - self._position, 0))
        filled = 0
        for piece in self._pieces(wanted):
            view[filled : filled + len(piece)] = piece
            filled += len(piece)
        self._position += filled
        return filled

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

    def _pieces(self, wanted: int) -> Iterator[bytes]:
        index, offset = divmod(self._position, CHUNK_BYTES)
        while wanted:
            count = min(-(-(offset + wanted) // CHUNK_BYTES), _CHUNKS_PER_READ)
            for plaintext in self._run(index, count):
                piece = plaintext[offset : offset + wanted]
                yield piece
                wanted -= len(piece)
                offset = 0
                index += 1

    def _run(self, first: int, count: int) -> list[bytes]:
        """The plaintext of ``count`` chunks from ``first`` on, or of one that is at hand."""
        if first == self._cached[0]:
            return [self._cached[1]]
        begin = first * SEALED_CHUNK_BYTES
        end = min(begin + count * SEALED_CHUNK_BYTES, self._sealed_bytes)
        sealed = memoryview(self._fetch(HEAD_BYTES + begin, end - begin))
        run = []
        for number in range(count):
            nonce = self._key.nonce(first + number)
            chunk = sealed[number * SEALED_CHUNK_BYTES :][:SEALED_CHUNK_BYTES]
            try:
                run.append(self._key.cipher.decrypt(nonce, chunk, None))
            except InvalidTag:
                raise self._died() from None
        self._cached = (first + count - 1, run[-1])
        return run

    def _fetch(self, offset: int, count: int) -> bytearray:
        self._file.seek(self._start + offset)
        data = bytearray(count)
        if read_fully(self._file, memoryview(data)) < count:
            raise self._died()  # cut after it was opened
        return data

    def _died(self) -> DecryptionError:
        self._dead = True
        return DecryptionError()
