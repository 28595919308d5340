"""A sealed message that is written like a file, whatever size its pieces have."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, NoReturn

from mycelium_fractal_net.security.byte_io.binary_io import BinaryWriter, write_fully
from mycelium_fractal_net.security.byte_io.buffers import as_bytes, release, scratch
from mycelium_fractal_net.security.sealed.layout import PLAIN_BLOCK_BYTES

if TYPE_CHECKING:
    from types import TracebackType

    from cryptography.cobblestone import Cobblestone256Encryptor

    from mycelium_fractal_net.security.byte_io.buffers import Buffer


class SealedWriter(io.RawIOBase):
    """Seals what is written to it, into a ``file`` that is left open.

    The message is whole when :meth:`close` has returned. Until then, and after :meth:`abandon`, it
    lacks its final chunk, and so opens for nobody. An exception in a ``with`` block abandons it,
    and so does whoever forgets to close it. What ``file`` raises passes through and abandons it
    too. Not for several threads at once.
    """

    version_id = ""
    """The key version that seals, such as ``orders:v3``."""

    def __init__(
        self, encryptor: Cobblestone256Encryptor, prefix: bytes, file: BinaryWriter
    ) -> None:
        super().__init__()
        self._encryptor = encryptor
        self._file = file
        self._size = 0
        self._abandoned = False
        self._block = scratch()  # of ciphertext
        self._send(memoryview(prefix))

    def __repr__(self) -> str:
        return f"<SealedWriter of {self._size} bytes>"

    @property
    def size(self) -> int:
        """The bytes of plaintext that were written."""
        return self._size

    def writable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The bytes of plaintext that were written; it does not seek."""
        self._check()
        return self._size

    def write(self, data: Buffer, /) -> int:
        """Seal ``data``, all of it: any contiguous buffer. Returns its bytes."""
        self._check()
        whole = memoryview(as_bytes(data))
        for start in range(0, len(whole), PLAIN_BLOCK_BYTES):
            piece = whole[start : start + PLAIN_BLOCK_BYTES]
            used = self._encryptor.update_into(piece, self._block)
            self._send(memoryview(self._block)[:used])
        self._size += len(whole)
        return len(whole)

    def close(self) -> None:
        """Write the final chunk, unless it was abandoned. The file stays open."""
        if self.closed:
            return
        try:
            if not self._abandoned:
                self._send(memoryview(self._encryptor.finalize()))
        finally:
            release(self._block)
            super().close()

    def abandon(self) -> None:
        """Close it without the final chunk: what was written opens for nobody."""
        self._abandoned = True
        self.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._abandoned = True
        self.close()

    def __del__(self) -> None:
        # That of io would close it: what was forgotten halfway would look whole.
        if hasattr(self, "_block"):
            self.abandon()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SealedWriter holds a key and is not pickled or copied")

    def _check(self) -> None:
        if self.closed or self._abandoned:
            raise ValueError("the writer is closed")

    def _send(self, data: memoryview) -> None:
        try:
            write_fully(self._file, data)
        except BaseException:
            self._abandoned = True  # nobody knows how much of it arrived
            raise
