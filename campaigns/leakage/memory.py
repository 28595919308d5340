"""The memory of a living process, by /proc/PID/maps and /proc/PID/mem (proc(5)); as root.

What is writable is read: heaps, stacks, anonymous memory, data of libraries. A mapping that nobody
can write to holds what its file holds, and files are searched as files.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from campaigns.leakage.search import Hit, Searcher

_T = TypeVar("_T")
_READ_BYTES: Final = 64 << 20  # a mapping of more is read in pieces


class Mapping(NamedTuple):
    """One line of /proc/PID/maps."""

    start: int
    end: int
    mode: str
    path: str


def mappings(pid: int) -> list[Mapping]:
    """What that process has mapped, in order."""
    found = []
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        fields = line.split(maxsplit=5)
        start, end = (int(each, 16) for each in fields[0].split("-"))
        found.append(Mapping(start, end, fields[1], fields[5] if len(fields) > 5 else ""))
    return found


def writable(pid: int) -> Iterator[tuple[Mapping, bytes]]:
    """The bytes of each mapping that the process may write to."""
    descriptor = os.open(f"/proc/{pid}/mem", os.O_RDONLY)
    try:
        for each in mappings(pid):
            if each.mode.startswith("rw"):
                yield each, _read(descriptor, each)
    finally:
        os.close(descriptor)


def hits(pid: int, searcher: Searcher) -> list[Hit]:
    """All that is found in that process, by its address."""
    return [
        hit._replace(offset=hit.offset + mapping.start)
        for mapping, data in writable(pid)
        for hit in searcher.hits(data)
    ]


def megabytes(pid: int) -> float:
    """How much :func:`hits` reads."""
    sizes = (each.end - each.start for each in mappings(pid) if each.mode.startswith("rw"))
    return round(sum(sizes) / 1e6, 1)


def _read(descriptor: int, mapping: Mapping) -> bytes:
    parts, address = [], mapping.start
    while address < mapping.end:
        try:
            part = os.pread(descriptor, min(_READ_BYTES, mapping.end - address), address)
        except OSError:  # a hole in it, or memory of a device
            part = b""
        if not part:
            break
        parts.append(part)
        address += len(part)
    return b"".join(parts)


_PTRACE_CONT: Final = 7  # linux/ptrace.h
_PTRACE_SEIZE: Final = 0x4206
_PTRACE_O_TRACEEXIT: Final = 0x40
_PTRACE_EVENT_EXIT: Final = 6
_WALL: Final = 0x40000000  # waitpid(2)


def at_exit(pid: int, end: Callable[[], object], look: Callable[[], _T]) -> _T:
    """What ``look`` finds of a child that was told to ``end``, when it has done all that it does.

    The kernel stops it then, before it gives its memory back (ptrace(2), PTRACE_EVENT_EXIT).
    """
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if ptrace(_PTRACE_SEIZE, pid, None, _PTRACE_O_TRACEEXIT):
        raise OSError(ctypes.get_errno(), "ptrace")
    end()
    while True:
        _, status = os.waitpid(pid, _WALL)
        if not os.WIFSTOPPED(status):
            raise RuntimeError("it ended without having stopped")
        if status >> 8 == signal.SIGTRAP | _PTRACE_EVENT_EXIT << 8:
            try:
                return look()
            finally:
                ptrace(_PTRACE_CONT, pid, None, None)
        given = 0 if status >> 16 else os.WSTOPSIG(status)
        ptrace(_PTRACE_CONT, pid, None, given)
