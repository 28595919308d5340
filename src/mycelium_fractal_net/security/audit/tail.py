"""The end of a chain whose process is gone: where the next one goes on, or that it must not.

Bytes after the last line that hangs on the one before are a torn tail: what a crash or a full
disk leaves. Past the anchor they are cut. A line that is missing before the anchor, or is not
the anchored one, is no accident.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from mycelium_fractal_net.security.audit.chain import Line, parse
from mycelium_fractal_net.security.audit.segments import Segment, backwards, segments

if TYPE_CHECKING:
    from pathlib import Path

    from mycelium_fractal_net.security.key_store.audit_table import Anchor
    from mycelium_fractal_net.security.key_store.authority import Mac

__all__ = ["Tail", "tail_of"]

_LOOKED_AT_BYTES: Final = 1 << 20


class Tail(NamedTuple):
    """The last line of a chain: its sequence and MAC; and the segment that may be gone on with.

    ``torn`` is how many bytes were cut behind it.
    """

    sequence: int
    mac: bytes
    segment: Path | None
    torn: int


def tail_of(folder: Path, anchor: Anchor, key: Mac, first_mac: bytes) -> Tail | None:
    """Where a chain goes on, after its torn tail was cut; None where it was tampered with.

    Raises :class:`OSError`.
    """
    found = segments(folder)
    last, end = _last_line(found, key)
    sequence, mac = (0, first_mac) if last is None else (last.sequence, last.mac)
    if sequence < anchor.sequence or (sequence == anchor.sequence and mac != anchor.mac):
        return None
    torn = _cut(found[-1].path, end) if found else 0
    goes_on = found and not torn and anchor.closed and anchor.sequence == sequence
    return Tail(sequence, mac, found[-1].path if goes_on else None, torn)


def _last_line(found: list[Segment], key: Mac) -> tuple[Line | None, int]:
    """The last line that hangs on the one before; and where it ends in the last segment."""
    if not found:
        return None, 0
    *former, segment = found
    size = segment.path.stat().st_size
    start = max(0, size - _LOOKED_AT_BYTES)
    with segment.path.open("rb") as file:
        file.seek(start)
        if start:
            start += len(file.readline())  # the line that the look begins in the middle of
        last: Line | None = None
        end = start
        for raw in file:
            line = parse(raw)
            if line is None or (last is not None and not _follows(line, last, key)):
                break
            last, end = line, end + len(raw)
    if last is None:
        return _before(former, segment.first), end
    return last, end


def _follows(line: Line, last: Line, key: Mac) -> bool:
    return line.sequence == last.sequence + 1 and line.hangs_on(last.mac, key)


def _before(former: list[Segment], first: int) -> Line | None:
    """The last line that a segment beginning with ``first`` goes on from."""
    for segment in reversed(former):
        for line in backwards(segment.path):
            if line.sequence < first:
                return line
    return None


def _cut(path: Path, end: int) -> int:
    """Cut a segment behind ``end``; returns how many bytes that were."""
    torn = path.stat().st_size - end
    if torn:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.ftruncate(descriptor, end)
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
    return torn
