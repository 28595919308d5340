"""Reading and writing whole blocks through whatever a caller calls a file."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from mycelium_fractal_net.security.errors import InvalidInputError

if TYPE_CHECKING:
    from typing_extensions import Buffer

HEAD_BYTES: Final = 116  # of a message, by which its key version is known: docs/format.md


class BinaryReader(Protocol):
    """Anything with ``read``; ``readinto`` is used where it exists. Short reads are fine."""

    def read(self, size: int, /) -> bytes | None:
        """At most ``size`` bytes; none at the end."""


class BinaryWriter(Protocol):
    """Anything with ``write`` that returns how much it took."""

    def write(self, data: memoryview, /) -> int | None:
        """Take some of ``data`` and return how many bytes were taken."""


class SeekableFile(BinaryReader, Protocol):
    """A binary file that can be read at any position, or a mmap."""

    def seek(self, offset: int, whence: int = 0, /) -> object:
        """Move to ``offset``."""

    def tell(self) -> int:
        """The position."""


def _checked(count: int | None, limit: int) -> int:
    """What a read or write returned, if it can be true."""
    if count is None:
        raise BlockingIOError(errno.EAGAIN, "the stream is non-blocking and not ready")
    if not 0 <= count <= limit:
        raise OSError(errno.EIO, "the stream miscounts its bytes")
    return count


def read_fully(reader: BinaryReader, view: memoryview) -> int:
    """Fill ``view`` from ``reader`` and return the count, which is smaller only at the end."""
    readinto: Callable[[memoryview], int | None] | None = getattr(reader, "readinto", None)
    filled = 0
    while filled < len(view):
        rest = view[filled:]
        if readinto is not None:
            count = _checked(readinto(rest), len(rest))
        else:
            data = reader.read(len(rest))
            if isinstance(data, str):
                raise InvalidInputError("the reader must be opened in binary mode")
            count = _checked(None if data is None else len(data), len(rest))
            rest[:count] = data or b""
        if not count:
            break
        filled += count
    return filled


def write_fully(writer: BinaryWriter, data: Buffer) -> None:
    """Write all of ``data``, in as many calls as the writer wants."""
    rest = memoryview(data)
    while rest:
        count = _checked(writer.write(rest), len(rest))
        if not count:
            raise OSError(errno.EIO, "the writer takes no bytes")
        rest = rest[count:]


def is_regular_file(stream: object) -> bool:
    """Whether ``stream`` is a file of the operating system whose calls cannot block for long."""
    try:
        descriptor = stream.fileno()  # type: ignore[attr-defined]
        return stat.S_ISREG(os.fstat(descriptor).st_mode)
    except (AttributeError, OSError, TypeError, ValueError):
        return False


def head_of(path: str | os.PathLike[str]) -> bytes:
    """The first bytes of a file, none where it cannot be read. Never waits for a pipe."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags)
        try:
            return os.pread(descriptor, HEAD_BYTES, 0)
        finally:
            os.close(descriptor)
    except OSError:
        return b""
