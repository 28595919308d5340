"""Blocks that are written by a second thread while the first makes the next ones."""

from __future__ import annotations

from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.byte_io.binary_io import BinaryWriter, write_fully
from mycelium_fractal_net.security.byte_io.buffers import release, scratch, wipe

if TYPE_CHECKING:
    from typing_extensions import Buffer

_THREAD_BLOCKS: Final = 3  # one being filled, one waiting, one being written


class WriteBehind:
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
        """A block to fill. Raises what the thread's write raised."""
        block = self._free.get()
        self._raise_error()
        return block

    def put(self, block: bytearray, used: int) -> None:
        """Have the first ``used`` bytes of the block written, here or by the thread."""
        self._used = max(self._used, used)
        if self._thread is None:
            self.write(memoryview(block)[:used])
            self._free.put(block)
        else:
            self._full.put((block, used))

    def write(self, data: Buffer) -> None:
        """Write from this thread: before the other one started, or after ``finish``."""
        write_fully(self._writer, data)

    def start_thread(self) -> None:
        """From now on the thread writes, until ``finish``."""
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
