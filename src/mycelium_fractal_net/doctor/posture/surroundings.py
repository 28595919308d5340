"""What the kernel says of this machine and of the processes that use the store now.

A process that writes audit records holds the lock of its chain, and /proc/locks says which
process that is. Nothing else is needed of it: its limits and the owner of its files are for
everybody to read. In a container only its own processes are seen.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

PROC: Final = Path("/proc")
SYS: Final = Path("/sys")


@dataclass(frozen=True, slots=True)
class Process:
    """A process that uses the store: its user, its limit of core dumps, and who reads its memory.

    ``is_private`` is None where that cannot be told: what is root's is root's either way.
    """

    pid: int
    user_id: int
    core_limit: str
    is_private: bool | None
    may_swap: bool


@dataclass(frozen=True, slots=True)
class Surroundings:
    """This machine: ``swaps`` that keep memory unencrypted, and Yama's scope of ptrace, which is
    None on a kernel without Yama."""

    swaps: tuple[str, ...]
    ptrace_scope: int | None
    processes: tuple[Process, ...]


def look_around(audit_folder: Path, proc: Path = PROC, sys: Path = SYS) -> Surroundings:
    """Read it all now. ``proc`` and ``sys`` are where the kernel tells of itself."""
    return Surroundings(
        tuple(_swaps(proc, sys)), _ptrace_scope(proc), tuple(_processes(audit_folder, proc, sys))
    )


def _ptrace_scope(proc: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int((proc / "sys/kernel/yama/ptrace_scope").read_text())
    return None


def _swaps(proc: Path, sys: Path) -> Iterator[str]:
    """Swap that is on a disk, and that no device mapper encrypts as far as can be told."""
    for line in _lines(proc / "swaps")[1:]:
        place = line.split()[0]
        device = Path(os.path.realpath(place)).name
        if device.startswith("zram"):  # which is memory
            continue
        kind = _lines(sys / "block" / device / "dm/uuid")
        if not (kind and kind[0].startswith("CRYPT-")):
            yield place


def _processes(audit_folder: Path, proc: Path, sys: Path) -> Iterator[Process]:
    held = {name for path in audit_folder.glob("*/lock") for name in _names(path, proc)}
    holders = set()
    for line in _lines(proc / "locks"):
        words = line.split()
        if len(words) == 8 and words[1] == "FLOCK" and words[5] in held:
            holders.add(int(words[4]))
    for pid in sorted(holders - {os.getpid()}):
        with contextlib.suppress(OSError, LookupError, ValueError):  # it has ended
            yield _process(pid, proc, sys)


def _names(path: Path, proc: Path) -> Iterator[str]:
    """A file as /proc/locks names it: major:minor:inode, the first two in hexadecimal.

    By its own device, and by that of the mount that it is in: on btrfs a file says another.
    """
    status = path.stat()
    devices = {(os.major(status.st_dev), os.minor(status.st_dev)), *_mounted(path, proc)}
    for major, minor in devices:
        yield f"{major:02x}:{minor:02x}:{status.st_ino}"


def _mounted(path: Path, proc: Path) -> Iterator[tuple[int, int]]:
    """The device of the innermost mount of a path, of two in one place the later: proc(5)."""
    innermost, found = -1, ""
    for line in _lines(proc / "self/mountinfo"):
        _, _, device, _, place, *_ = line.split()
        if path.resolve().is_relative_to(place) and len(place) >= innermost:
            innermost, found = len(place), device
    if found:
        major, minor = found.split(":")
        yield int(major), int(minor)


def _process(pid: int, proc: Path, sys: Path) -> Process:
    folder = proc / str(pid)
    user_id = int(_after("Uid:", folder / "status").split()[1])  # the effective one
    limit = _after("Max core file size", folder / "limits").split()[0]
    private = None if user_id == 0 else (folder / "mem").stat().st_uid == 0
    return Process(pid, user_id, limit, private, may_swap=_may_swap(folder, sys))


def _may_swap(folder: Path, sys: Path) -> bool:
    """Whether its control group (version 2) lets its memory go to swap."""
    for line in _lines(folder / "cgroup"):
        if line.startswith("0::"):
            group = sys / "fs/cgroup" / line.removeprefix("0::/")
            return _lines(group / "memory.swap.max") != ["0"]
    return True


def _after(beginning: str, path: Path) -> str:
    """The rest of the line that begins so, of which there is nothing where it is gone."""
    found = (line.removeprefix(beginning) for line in _lines(path) if line.startswith(beginning))
    return next(found, "")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
