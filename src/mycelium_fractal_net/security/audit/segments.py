"""The files of a chain: segments of lines, each named by the sequence of its first line.

A segment is written by one process, to its end, and never again after a write or a sync of it
failed: the next one repeats what was not yet durable. So lines of a segment whose sequence is
reached by the next segment do not count.
"""

from __future__ import annotations

import os
import re
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from mycelium_fractal_net.security.audit.chain import Line, parse
from mycelium_fractal_net.security.byte_io.durable import create_private, sync_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from io import BufferedReader

_NAME: Final = re.compile(r"([0-9]{20})-([0-9]{4})\.jsonl")
_BLOCK_BYTES: Final = 65_536
_Made = TypeVar("_Made")
LINE_BYTES: Final = 1 << 20  # no line is longer; a record of a batch has at most 1,000 counts


class Segment(NamedTuple):
    """One file: the sequence that it begins with, and where it is."""

    first: int
    path: Path


class Torn(NamedTuple):
    """The end of a segment that a crash cut off."""

    size: int


def segments(*folders: Path) -> list[Segment]:
    """The segments of one chain in order; one that was copied and not moved counts once."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in folder.iterdir():
            found.setdefault(path.name, path)
    matches = [match for name in sorted(found) if (match := _NAME.fullmatch(name))]
    return [Segment(int(match[1]), found[match[0]]) for match in matches]


def with_next(found: list[Segment]) -> Iterable[tuple[Segment, int | None]]:
    """Each segment, and where the next one begins: what it has from there on does not count."""
    return zip_longest(found, [each.first for each in found[1:]])


def newest(found: list[Segment], most_bytes: int) -> tuple[list[Segment], list[Segment]]:
    """The last segments that have no more than ``most_bytes`` together, at least one.

    Returns those before them as well, first.
    """
    size = 0
    for index in range(len(found) - 1, -1, -1):
        size += found[index].path.stat().st_size
        if size > most_bytes:
            cut = min(index + 1, len(found) - 1)
            return found[:cut], found[cut:]
    return [], found


def at_free_name(folder: Path, first: int, make: Callable[[Path], _Made]) -> tuple[_Made, Path]:
    """What ``make`` makes under the next free name of a segment, and that name.

    ``make`` raises :class:`FileExistsError` where there is such a file.
    """
    attempt = 0
    while True:
        path = folder / f"{first:020d}-{attempt:04d}.jsonl"
        try:
            return make(path), path
        except FileExistsError:
            attempt += 1


def create(folder: Path, first: int) -> tuple[int, Path]:
    """A new segment, mode 0600, whose name is durable; returns its file descriptor.

    Raises :class:`OSError`.
    """
    descriptor, path = at_free_name(folder, first, create_private)
    try:
        sync_folder(folder)
    except OSError:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise
    return descriptor, path


def forwards(path: Path, offset: int = 0) -> Iterator[Line | Torn | None]:
    """The lines of a segment from an offset on; None for a whole line that no release wrote.

    Zeros up to the end are a writer's reserve and stand for nothing. Zeros elsewhere, and a last
    line that is cut off, are what a crash leaves of a write.
    """
    with path.open("rb") as file:
        file.seek(offset)
        while raw := file.readline(LINE_BYTES):
            line = parse(raw)
            if line is not None:
                yield line
                continue
            behind = file.tell()
            blocks = iter(lambda: file.read(_BLOCK_BYTES), b"")
            zeros, others = b"\0" in raw, raw.strip(b"\0")
            cut_off = not raw.endswith(b"\n")
            for block in blocks:
                zeros, others = zeros or b"\0" in block, others or block.strip(b"\0")
                cut_off = False
            if not others:
                return
            if zeros or cut_off:
                yield Torn(file.tell() - behind + len(raw))
                return
            file.seek(behind)
            yield None


def raw_backwards(path: Path, end: int | None = None) -> Iterator[tuple[int, bytes]]:
    """What stands between the line ends of a segment, from its end or an offset on: each with its
    offset, in the order from the last to the first."""
    with path.open("rb") as file:
        position = _end_of_lines(file) if end is None else end
        rest = b""
        while position:
            start = max(0, position - _BLOCK_BYTES)
            file.seek(start)
            block = file.read(position - start) + rest
            rest, *lines = block.splitlines(keepends=True) or [b""]
            if not start:
                lines, rest = [rest, *lines], b""
            offset = start + len(block)
            for raw in reversed(lines):
                offset -= len(raw)
                yield offset, raw
            if len(rest) > LINE_BYTES:
                return
            position = start


def backwards(path: Path) -> Iterator[Line]:
    """The lines of a segment from its end; what is no line is passed over."""
    parsed = (parse(raw) for _, raw in raw_backwards(path))
    return (line for line in parsed if line is not None)


def _end_of_lines(file: BufferedReader) -> int:
    """Where the zeros at the end of a segment begin."""
    position = file.seek(0, os.SEEK_END)
    while position:
        start = max(0, position - _BLOCK_BYTES)
        file.seek(start)
        kept = len(file.read(position - start).rstrip(b"\0"))
        if kept:
            return start + kept
        position = start
    return 0


def mac_of_record(found: list[Segment], sequence: int) -> bytes | None:
    """The MAC that stands in that record, the last of ``found``; None where it is not there."""
    lines = (line for segment in reversed(found) for line in backwards(segment.path))
    last = next((line for line in lines if line.sequence <= sequence), None)
    return last.mac if last is not None and last.sequence == sequence else None


def lines_backwards(folder: Path) -> Iterator[Line]:
    """The lines of a chain from its end, but for those that a later segment repeats."""
    for segment, next_first in reversed(list(with_next(segments(folder)))):
        for line in backwards(segment.path):
            if next_first is None or line.sequence < next_first:
                yield line
