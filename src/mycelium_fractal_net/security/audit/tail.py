"""The end of a chain whose process is gone: where the next one goes on, or that it must not.

What lies past the anchor is read line by line. A crash or a full disk leaves one line that is
cut off, or blocks of zeros: a torn end, which counts no more. A whole line that does not hang on
the one before, and a line that the store was told of and that is not there, are no accident, and
the chain is left as it is found, for :mod:`.verification`.

The lines past the anchor are written again before the chain goes on: a sync of them may have
failed in the process that is gone, and then they are in this machine's memory alone.
"""

from __future__ import annotations

import functools
import os
import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

from mycelium_fractal_net.security.audit.chain import Line, parse
from mycelium_fractal_net.security.audit.segments import (
    LINE_BYTES,
    Segment,
    Torn,
    at_free_name,
    backwards,
    forwards,
    segments,
    with_next,
)
from mycelium_fractal_net.security.byte_io.durable import create_private, sync_folder

if TYPE_CHECKING:
    from pathlib import Path

    from mycelium_fractal_net.security.key_store.audit_table import Anchor
    from mycelium_fractal_net.security.key_store.record_mac import Mac

_COPY_BYTES: Final = 1 << 20
_AGAIN: Final = ".again-"  # a segment that is being written again has no name yet


class Tail(NamedTuple):
    """The last line of a chain: its sequence and MAC; and the segment that may be gone on with.

    ``torn`` bytes behind it count no more.
    """

    sequence: int
    mac: bytes
    segment: Path | None
    torn: int = 0


class _Lines(NamedTuple):
    """Lines past the anchor: where they are, and the sequence of the first."""

    first: int
    path: Path
    start: int
    end: int


class _BrokenError(Exception):
    """The chain was tampered with."""


def tail_of(folder: Path, anchor: Anchor, key: Mac) -> Tail | None:
    """Where a chain goes on; None where it was tampered with. Raises :class:`OSError`."""
    found = segments(folder)
    if anchor.closed and _ends_with(found, anchor):
        return Tail(anchor.sequence, anchor.mac, found[-1].path if found else None)
    try:
        tail, parts = _read_on(found, anchor, key)
    except _BrokenError:
        return None
    for left in folder.glob(_AGAIN + "*"):  # by a process that was killed here
        left.unlink()
    for part in parts:
        _write_again(folder, part)
    if parts:
        sync_folder(folder)
    return tail


def _ends_with(found: list[Segment], anchor: Anchor) -> bool:
    """Whether the chain ends with the anchored line; what is before it is not looked at."""
    if not found:
        return anchor.sequence == 0
    last = next(backwards(found[-1].path), None)
    if last is None or (last.sequence, last.mac) != (anchor.sequence, anchor.mac):
        return False
    size = found[-1].path.stat().st_size
    with found[-1].path.open("rb") as file:
        file.seek(size - len(last.raw))
        return file.read() == last.raw


def _read_on(found: list[Segment], anchor: Anchor, key: Mac) -> tuple[Tail, list[_Lines]]:
    """The lines past the anchor. Raises :class:`_BrokenError`."""
    start, offset = _anchored(found, anchor)
    sequence, mac, torn = anchor.sequence, anchor.mac, 0
    parts = []
    for (_, path), next_first in with_next(found[start:]):
        end, first = offset, sequence + 1
        for line in forwards(path, offset):
            if next_first is not None and sequence + 1 >= next_first:
                break  # the next segment repeats it
            if isinstance(line, Torn) and next_first is None:
                torn = line.size
            elif (
                isinstance(line, Line) and line.sequence == sequence + 1 and line.hangs_on(mac, key)
            ):
                sequence, mac, end = line.sequence, line.mac, end + len(line.raw)
            else:
                raise _BrokenError
        if next_first is not None and sequence + 1 < next_first:
            raise _BrokenError
        if sequence >= first:
            parts.append(_Lines(first, path, offset, end))
        offset = 0
    return Tail(sequence, mac, None, torn), parts


def _anchored(found: list[Segment], anchor: Anchor) -> tuple[int, int]:
    """The index of the segment with the anchored line, and where in it that line ends."""
    if anchor.sequence == 0:
        return 0, 0
    index = sum(each.first <= anchor.sequence for each in found) - 1
    if index < 0:
        raise _BrokenError
    beginning = b'{"sequence":%d,' % anchor.sequence
    with found[index].path.open("rb") as file:
        offset = 0
        while raw := file.readline(LINE_BYTES):
            offset += len(raw)
            if raw.startswith(beginning):
                line = parse(raw)
                if line is not None and line.mac == anchor.mac:
                    return index, offset
                break
    raise _BrokenError


def _write_again(folder: Path, lines: _Lines) -> None:
    """Lines as a segment of their own, which comes under its name when it is durable."""
    temporary = folder / f"{_AGAIN}{secrets.token_hex(8)}"
    try:
        with lines.path.open("rb") as source, os.fdopen(create_private(temporary), "wb") as target:
            for position in range(lines.start, lines.end, _COPY_BYTES):
                size = min(_COPY_BYTES, lines.end - position)
                target.write(os.pread(source.fileno(), size, position))
            target.flush()
            os.fdatasync(target.fileno())
        at_free_name(folder, lines.first, functools.partial(os.link, temporary))
    finally:
        temporary.unlink(missing_ok=True)
