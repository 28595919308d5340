"""What the kernel says of a process: whether its memory is private, and its limit of cores."""

from __future__ import annotations

from pathlib import Path


def core_limit(pid: int) -> tuple[str, str]:
    """The soft and the hard limit of a core dump, as /proc has them."""
    for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
        if line.startswith("Max core file size"):
            soft, hard = line.split()[4:6]
            return soft, hard
    raise AssertionError("the kernel tells no limit of core dumps")


def is_private(pid: int) -> bool:
    """Whether what shows its memory is root's, although its user is not root."""
    return Path(f"/proc/{pid}/mem").stat().st_uid == 0
