"""The segment that is written now. After one failure it is never written again.

A sync that failed may have dropped what was written, and the next one may claim success all the
same; so what was not yet durable is written again, from memory, into another file.

So it is also with a segment that was deleted, replaced or cut by somebody else while it was open.

A process that writes much extends its segment ahead with zeros, the *reserve*: a sync then has to
write the lines and not the file's size as well, which takes a third less. The reserve is cut off
when the segment is closed, and stands for nothing where it was not.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.audit.segments import create
from mycelium_fractal_net.security.byte_io.durable import still_names

if TYPE_CHECKING:
    from pathlib import Path

_LOG: Final = logging.getLogger(__name__)
_LOOK_SECONDS: Final = 1.0  # between two looks at a name
_RESERVE_BYTES: Final = 1 << 20
_RESERVE_FROM_BYTES: Final = 1 << 16  # what one command writes never comes near


class SegmentFile:
    """Appends lines to the segments of one chain, durably. Used by one thread."""

    def __init__(self, folder: Path, goes_on: Path | None, most_bytes: int) -> None:
        self._folder = folder
        self.path = goes_on  # of the segment that was written last
        self.given_up = 0
        self._goes_on = goes_on is not None
        self._most_bytes = most_bytes
        self._descriptor: int | None = None
        self._looked = 0.0  # at its name, by the monotonic clock
        self._size = 0  # of the lines
        self._reserved = 0  # the size of the file
        self._reserves_from = _RESERVE_FROM_BYTES

    def write(self, lines: list[bytes], first: int, *, again: bool = True) -> bool:
        """Make ``lines`` durable, the first of which has that sequence; returns whether they are.

        Where they are not, nothing of them counts: they are to be given again.
        """
        fresh: Path | None = None
        try:
            content = b"".join(lines)
            # Within the reserve nothing makes a file that was cut as long again: it is seen below.
            grows = self._size + len(content) > self._reserved
            if grows and self._descriptor is not None and not self._is_whole(self._descriptor):
                self._give_up("it is not as it was written")
            descriptor = self._descriptor
            if descriptor is None or self._size >= self._most_bytes:
                descriptor, fresh = self._begin(first)
            self._write_all(descriptor, content)
            os.fdatasync(descriptor)
            if not self._is_whole(descriptor):
                self._give_up("it is not there any more")
                return again and self.write(lines, first, again=False)
        except OSError as error:
            self._give_up(str(error.strerror))
            if fresh is not None:  # nobody was ever told of a record in it
                with contextlib.suppress(OSError):
                    fresh.unlink()
            return False
        return True

    def _give_up(self, why: str) -> None:
        _LOG.error("an audit segment was given up: %s", why)
        self.given_up += 1
        self.leave()

    def _is_whole(self, descriptor: int) -> bool:
        """Whether the segment has a name and its size, and each second whether the name is its own.

        Else what is written goes where nobody looks.
        """
        info = os.fstat(descriptor)
        if not info.st_nlink or info.st_size != self._reserved:
            return False
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return True
        self._looked = now
        return self.path is not None and still_names(self.path, descriptor)

    def _begin(self, first: int) -> tuple[int, Path | None]:
        """Open the segment to go on with, or a new one; its descriptor, and a new one's path."""
        self.close()
        goes_on, self._goes_on = self._goes_on, False
        if (
            goes_on
            and self.path is not None
            and (size := self.path.stat().st_size) < self._most_bytes
        ):
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
            self._descriptor, self._size, self._reserved = descriptor, size, size
            self._reserves_from = size + _RESERVE_FROM_BYTES
            return descriptor, None
        descriptor, self.path = create(self._folder, first)
        self._descriptor, self._size, self._reserved = descriptor, 0, 0
        self._reserves_from = min(self._reserves_from, _RESERVE_FROM_BYTES)
        return descriptor, self.path

    def _write_all(self, descriptor: int, content: bytes) -> None:
        end = self._size + len(content)
        if end > self._reserved and end > self._reserves_from:
            self._reserve(descriptor, end)
        view = memoryview(content)
        while view:
            written = os.pwrite(descriptor, view, self._size)
            self._size += written
            view = view[written:]
        self._reserved = max(self._reserved, self._size)

    def _reserve(self, descriptor: int, end: int) -> None:
        """Write zeros where the next lines will be. Where there is no room for them, none are."""
        zeros = bytes(end - self._reserved + _RESERVE_BYTES)
        try:
            self._reserved += os.pwrite(descriptor, zeros, self._reserved)
        except OSError:
            self._reserves_from = end + _RESERVE_BYTES  # until then lines alone, as far as they fit

    def close(self) -> None:
        """Let go of the segment that is written, without its reserve."""
        if self._descriptor is not None and self._reserved > self._size:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
        self.leave()

    def leave(self) -> None:
        """Let go of the segment as it is: it is another process's, or is given up."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)
