"""Any contiguous buffer as bytes, and scratch memory that is used again.

The first touch of a fresh page costs more than encrypting it, so bulk work goes through a
few blocks that stay warm. They are pooled, not per thread: a signal handler or a finalizer
that seals a message in the middle of another one takes a block of its own.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from cryptography.utils import Buffer

from mycelium_fractal_net.security.errors import InvalidInputError

__all__ = ["SCRATCH_BYTES", "as_bytes", "release", "scratch", "wipe"]

SCRATCH_BYTES: Final = 16 * (16_384 + 16) + 56  # 16 sealed chunks and the head before them
_POOLED_BLOCKS: Final = 8  # at most 2 MiB stay allocated
_ZEROS: Final = bytes(SCRATCH_BYTES)
_pool: deque[bytearray] = deque(maxlen=_POOLED_BLOCKS)


def as_bytes(data: Buffer) -> bytes | bytearray | memoryview:
    """``data`` as something whose ``len`` and slices are bytes, without a copy.

    Takes whatever has the buffer protocol and lies in one piece: bytes, bytearray,
    memoryview, array, mmap, a C-contiguous numpy array of any type and shape.
    Raises :class:`InvalidInputError` for anything else, text included.
    """
    if isinstance(data, bytes | bytearray):
        return data
    try:
        view = memoryview(data)
        # A view of no bytes may have a zero in its shape, which cast() does not take.
        return view.cast("B") if view.nbytes else b""
    except (TypeError, ValueError, BufferError):
        raise InvalidInputError("bytes are needed: a contiguous buffer, not text") from None


def scratch() -> bytearray:
    """A block of :data:`SCRATCH_BYTES`, whose content is undefined; hand it to :func:`release`."""
    try:
        return _pool.pop()
    except IndexError:
        return bytearray(SCRATCH_BYTES)


def release(block: bytearray) -> None:
    """Give a block back. Wipe it first if it held plaintext."""
    _pool.append(block)


def wipe(block: bytearray | memoryview, used: int) -> None:
    """Overwrite the first ``used`` bytes of a block of at most :data:`SCRATCH_BYTES`."""
    block[:used] = _ZEROS[:used]
