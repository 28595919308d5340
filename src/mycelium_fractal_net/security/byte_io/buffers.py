"""Any contiguous buffer as bytes, and scratch memory that is used again.

The first touch of a fresh page costs more than encrypting it, so bulk work goes through a
few blocks that stay warm. They are pooled, not per thread: a signal handler or a finalizer
that seals a message in the middle of another one takes a block of its own.
"""

from __future__ import annotations

import re
from collections import deque

# Only the buffer type of that module is used; nothing is ever unpickled.
from pickle import PickleBuffer
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.errors import InvalidInputError

SCRATCH_BYTES: Final = 16 * (16_384 + 16) + 56  # 16 sealed chunks and the head before them
_POOLED_BLOCKS: Final = 8  # at most 2 MiB stay allocated
_FIELD_NAMES: Final = re.compile(r":[^:]*:")  # of a PEP 3118 format: "T{d:price:O:item:}"
_ZEROS: Final = bytes(SCRATCH_BYTES)
_pool: deque[bytearray] = deque(maxlen=_POOLED_BLOCKS)


if TYPE_CHECKING:
    from typing import Any, Protocol, TypeAlias

    from typing_extensions import Buffer as _Buffer

    class _Array(Protocol):
        """An array of numpy, whose type says nothing of buffers before Python 3.12."""

        @property
        def __array_interface__(self) -> dict[str, Any]: ...

    Buffer: TypeAlias = _Buffer | _Array

Octets = bytes | bytearray | memoryview
"""What has a length in bytes and slices of bytes: what libraries take, and most callers have."""


def as_bytes(data: Buffer) -> Octets:
    """``data`` as something whose ``len`` and slices are bytes, without a copy.

    Takes whatever has the buffer protocol and lies in one piece: bytes, bytearray,
    memoryview, array, mmap, a C-contiguous numpy array of any type and shape.
    Raises :class:`InvalidInputError` for anything else, text included.
    """
    if isinstance(data, bytes | bytearray):
        return data
    try:
        with memoryview(data) as shaped:  # type: ignore[arg-type]  # before 3.12
            # Memory in Fortran order is not what tobytes() gives; that of Python objects
            # ("O") holds addresses and not data.
            if shaped.c_contiguous and "O" not in _FIELD_NAMES.sub("", shaped.format):
                # cast() knows only the native formats; raw() knows them all.
                return PickleBuffer(data).raw()  # type: ignore[arg-type]
    except (TypeError, ValueError, BufferError):
        pass
    raise InvalidInputError("bytes are needed: a contiguous buffer of plain data, not text")


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
