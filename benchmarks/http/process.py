"""What a process used, read from /proc; and the two cores that everything is pinned to."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


class NotEnoughCoresError(Exception):
    """Load and server would share a core: nothing that is measured so would mean anything."""


@dataclass(frozen=True)
class Used:
    """CPU seconds of a process and of all that descend from it: user and system."""

    user: float
    system: float

    @property
    def total(self) -> float:
        return self.user + self.system

    def since(self, before: Used) -> Used:
        return Used(self.user - before.user, self.system - before.system)


def two_cores() -> tuple[int, int]:
    """The core of the server and that of the load: far apart, so never two halves of one."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise NotEnoughCoresError("two cores are needed, one for the server, one for the load")
    return cores[0], cores[-1]


def spent(cores: tuple[int, ...]) -> float:
    """Seconds in which these cores did not idle so far, whoever had them, the host included."""
    ticks = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name in {f"cpu{core}" for core in cores}:
            user, nice, system, _idle, _waiting, irq, softirq, steal = map(int, fields[:8])
            ticks += user + nice + system + irq + softirq + steal
    return ticks / _TICKS


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for each in found:
        found += parents.get(each, [])
    return found


def cpu(pid: int) -> Used:
    """What the process and its descendants have used so far, to 10 ms."""
    user = system = 0
    for each in family(pid):
        if fields := _stat(each):
            user += int(fields[11])
            system += int(fields[12])
    return Used(user / _TICKS, system / _TICKS)


def threads(pid: int) -> float:
    """CPU seconds of all threads of one process but its first."""
    ticks = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        if task.name != str(pid):
            fields = (task / "stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS


def resident(pid: int) -> int:
    """Resident bytes of the process, or of the largest of its descendants if that is larger."""
    found = 0
    for each in family(pid):
        lines = Path(f"/proc/{each}/status").read_text().splitlines()
        found = max(found, *(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")))
    return found * 1024


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; empty where the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
