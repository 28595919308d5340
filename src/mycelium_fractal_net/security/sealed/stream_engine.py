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
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag

from mycelium_fractal_net.security.byte_io.binary_io import (
    BinaryReader,
    BinaryWriter,
    is_regular_file,
    read_fully,
)
from mycelium_fractal_net.security.byte_io.buffers import release, scratch, wipe
from mycelium_fractal_net.security.byte_io.write_behind import WriteBehind
from mycelium_fractal_net.security.errors import DecryptionError
from mycelium_fractal_net.security.sealed.layout import (
    HEAD_BYTES,
    PLAIN_BLOCK_BYTES,
    SEALED_BLOCK_BYTES,
)

if TYPE_CHECKING:
    from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor

THREAD_FROM_BYTES: Final = 1 << 20  # below it, starting a thread costs more than it saves

Progress = Callable[[int], None]
_Work = Callable[[memoryview, bytearray], int]  # from a read block into another; bytes put there


def _pump(
    reader: BinaryReader,
    writer: BinaryWriter,
    output: WriteBehind,
    block_bytes: int,
    work: _Work,
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
            if before < THREAD_FROM_BYTES <= taken and all(map(is_regular_file, (reader, writer))):
                output.start_thread()
    finally:
        wipe(incoming, block_bytes)
        release(incoming)


def seal_into(
    encryptor: Cobblestone256Encryptor,
    prefix: bytes,
    reader: BinaryReader,
    writer: BinaryWriter,
    progress: Progress | None = None,
) -> int:
    """:meth:`.Sealer.seal_stream`."""
    output = WriteBehind(writer)
    try:
        output.write(prefix)
        taken, _ = _pump(reader, writer, output, PLAIN_BLOCK_BYTES, encryptor.update_into, progress)
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
    """:meth:`.Sealer.open_stream`; ``reader`` stands at the salt."""
    work = _opening(decryptor)
    output = WriteBehind(writer)
    try:
        _open_head(reader, work, progress)
        _, given = _pump(reader, writer, output, SEALED_BLOCK_BYTES, work, progress)
        output.finish()
        tail = _open_tail(decryptor)
        output.write(tail)
    finally:
        output.stop(secret=True)
    return given + len(tail)


def rewrap_into(
    decryptor: Cobblestone256Decryptor,
    encryptor: Cobblestone256Encryptor,
    prefix: bytes,
    reader: BinaryReader,
    writer: BinaryWriter,
    progress: Progress | None = None,
) -> int:
    """:meth:`.Sealer.rewrap_stream`: both in one, so that the plaintext stays in memory."""
    opening = _opening(decryptor)
    between = scratch()
    plaintext = memoryview(between)
    total = 0

    def work(data: memoryview, block: bytearray) -> int:
        nonlocal total
        used = opening(data, between)
        total += used
        return encryptor.update_into(plaintext[:used], block)

    output = WriteBehind(writer)
    try:
        output.write(prefix)
        _open_head(reader, opening, progress)
        _pump(reader, writer, output, SEALED_BLOCK_BYTES, work, progress)
        output.finish()
        tail = _open_tail(decryptor)
        output.write(encryptor.update(tail) + encryptor.finalize())
    finally:
        output.stop(secret=False)
        wipe(between, min(total, len(between)))
        release(between)
    return total + len(tail)


def _opening(decryptor: Cobblestone256Decryptor) -> _Work:
    def work(data: memoryview, block: bytearray) -> int:
        try:
            return decryptor.update_into(data, block)
        except (InvalidTag, ValueError):
            wipe(block, len(block))  # it may hold plaintext that did not authenticate
            raise DecryptionError from None

    return work


def _open_head(reader: BinaryReader, opening: _Work, progress: Progress | None) -> None:
    """Open salt and commitment apart, so that each block after them is whole chunks."""
    head = memoryview(bytearray(HEAD_BYTES))
    count = read_fully(reader, head)
    opening(head[:count], bytearray())
    if progress is not None and count:
        progress(count)


def _open_tail(decryptor: Cobblestone256Decryptor) -> bytes:
    try:
        return decryptor.finalize()
    except (InvalidTag, ValueError):
        raise DecryptionError from None
