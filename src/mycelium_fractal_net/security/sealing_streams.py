"""The stream engine of the sealed message: a reader is sealed or opened into a writer.

Memory is a handful of 256 KiB blocks, whatever the length. The first MiB is read, worked
and written in one thread. From there on, where both ends are regular files, a second thread
writes while the first reads and works: writing fresh pages is the larger half of the time.
Pipes, sockets and objects that are no files stay in the caller's thread, because a read or
a write of theirs may block for ever, and then nobody could join the thread behind it.

What a reader or writer raises passes through untouched.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Final

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag
from cryptography.utils import Buffer

from mycelium_fractal_net.security.binary_io import (
    BinaryReader,
    BinaryWriter,
    is_regular_file,
    read_fully,
    write_fully,
)
from mycelium_fractal_net.security.buffers import release, scratch, wipe
from mycelium_fractal_net.security.errors import DecryptionError
from mycelium_fractal_net.security.sealed_format import (
    CHUNK_BYTES,
    HEAD_BYTES,
    SEALED_CHUNK_BYTES,
)

__all__ = ["Progress", "open_into", "seal_into"]

# Whole chunks, so that nothing is buffered twice.
PLAIN_BLOCK_BYTES: Final = 16 * CHUNK_BYTES
SEALED_BLOCK_BYTES: Final = 16 * SEALED_CHUNK_BYTES
THREAD_FROM_BYTES: Final = 1 << 20  # below it, starting a thread costs more than it saves
_THREAD_BLOCKS: Final = 3  # one being filled, one waiting, one being written

Progress = Callable[[int], None]


class _Output:
    """Blocks on their way to the writer, through a thread where that is worth it.

    ``take`` a block, fill it, ``put`` it; ``finish`` when all is well and ``stop`` in any
    case. A block that was put comes back even after a failed write, so that nobody waits
    for one for ever; the failure is raised by the next ``take``, before more is read.
    """

    def __init__(self, writer: BinaryWriter) -> None:
        self._writer = writer
        self._blocks = [scratch()]
        self._used = 0
        self._free: SimpleQueue[bytearray] = SimpleQueue()
        self._free.put(self._blocks[0])
        self._full: SimpleQueue[tuple[bytearray, int] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._error: BaseException | None = None
        self._stopping = False

    def take(self) -> bytearray:
        block = self._free.get()
        self._raise_error()
        return block

    def put(self, block: bytearray, used: int) -> None:
        self._used = max(self._used, used)
        if self._thread is None:
            self.write(memoryview(block)[:used])
            self._free.put(block)
        else:
            self._full.put((block, used))

    def write(self, data: Buffer) -> None:
        """Write from this thread: before the other one started, or after ``finish``."""
        write_fully(self._writer, data)

    def may_thread(self, reader: BinaryReader) -> bool:
        return is_regular_file(reader) and is_regular_file(self._writer)

    def start_thread(self) -> None:
        while len(self._blocks) < _THREAD_BLOCKS:
            self._blocks.append(scratch())
            self._free.put(self._blocks[-1])
        self._thread = Thread(target=self._run, name="mfn-stream-writer")
        self._thread.start()

    def finish(self) -> None:
        """Wait until all blocks were written."""
        if self._thread is not None:
            self._full.put(None)
            self._thread.join()
            self._thread = None
            self._raise_error()

    def stop(self, *, secret: bool) -> None:
        """Drop what waits, join the thread, give the blocks back, wiped if they are secret."""
        self._stopping = True
        if self._thread is not None:
            self._full.put(None)
            # Not started, or interrupted while it was: it ends by itself and touches no block.
            with suppress(RuntimeError):
                self._thread.join()
        self._error = None
        for block in self._blocks:
            if secret:
                wipe(block, self._used)
            release(block)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (item := self._full.get()) is not None:
            block, used = item
            try:
                if self._error is None and not self._stopping:
                    self.write(memoryview(block)[:used])
            except BaseException as error:
                self._error = error
            self._free.put(block)


def _pump(
    reader: BinaryReader,
    output: _Output,
    block_bytes: int,
    work: Callable[[memoryview, bytearray], int],
    progress: Progress | None,
) -> tuple[int, int]:
    """Put ``reader`` through ``work``, block by block. Returns the bytes read and put out."""
    incoming = scratch()
    view = memoryview(incoming)[:block_bytes]
    taken = given = 0
    try:
        while True:
            block = output.take()
            count = read_fully(reader, view)
            used = work(view[:count], block)
            output.put(block, used)
            given += used
            before, taken = taken, taken + count
            if progress is not None and count:
                progress(count)
            if count < block_bytes:
                return taken, given
            if before < THREAD_FROM_BYTES <= taken and output.may_thread(reader):
                output.start_thread()
    finally:
        wipe(incoming, min(taken + block_bytes, block_bytes))
        release(incoming)


def seal_into(
    encryptor: Cobblestone256Encryptor,
    prefix: bytes,
    reader: BinaryReader,
    writer: BinaryWriter,
    progress: Progress | None = None,
) -> int:
    """Write ``prefix`` and what ``reader`` holds, sealed. Returns the bytes of plaintext.

    ``progress`` gets the number of bytes read since its last call.
    """
    output = _Output(writer)
    try:
        output.write(prefix)
        taken, _ = _pump(reader, output, PLAIN_BLOCK_BYTES, encryptor.update_into, progress)
        output.finish()
        output.write(encryptor.finalize())
    finally:
        output.stop(secret=False)
    return taken


def open_into(
    decryptor: Cobblestone256Decryptor,
    reader: BinaryReader,
    writer: BinaryWriter,
    progress: Progress | None = None,
) -> int:
    """Write what the sealed ``reader``, which stands at the salt, holds. Returns its bytes.

    The writer gets authenticated chunks only, but it gets them before the end was seen:
    when this raises, what was written is to be thrown away.
    Raises :class:`DecryptionError` for whatever is wrong with the bytes.
    """

    def work(data: memoryview, block: bytearray) -> int:
        try:
            return decryptor.update_into(data, block)
        except (InvalidTag, ValueError):
            wipe(block, len(block))  # plaintext that did not authenticate
            raise DecryptionError from None

    output = _Output(writer)
    try:
        # The head apart, so that every block after it is a whole number of chunks.
        head = memoryview(bytearray(HEAD_BYTES))
        count = read_fully(reader, head)
        work(head[:count], bytearray())
        if progress is not None and count:
            progress(count)
        _, given = _pump(reader, output, SEALED_BLOCK_BYTES, work, progress)
        output.finish()
        try:
            tail = decryptor.finalize()
        except InvalidTag:
            raise DecryptionError from None
        output.write(tail)
    finally:
        output.stop(secret=True)
    return given + len(tail)
