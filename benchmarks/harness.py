"""Rounds that alternate between contenders, and ratios with their spread.

A figure is a ratio: each contender's round divided by the reference's round next to it, so that
a machine that slows down slows both. What is quoted is the median of those ratios, with the least
and the greatest.
"""

from __future__ import annotations

import contextlib
import re
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

Work = Callable[[], object]

_HIGH_WATER = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True)
class Figure:
    """One contender beside the reference: seconds, and the ratio with its spread."""

    name: str
    seconds: float
    ratio: float
    least: float
    greatest: float

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


def seconds_of(work: Work, number: int) -> float:
    started = time.perf_counter()
    for _ in range(number):
        work()
    return (time.perf_counter() - started) / number


def number_for(work: Work, budget: float) -> int:
    """How often ``work`` fits into ``budget`` seconds; at least once."""
    once = max(min(seconds_of(work, 1) for _ in range(3)), 1e-7)
    return max(1, int(budget / once))


def compare(contenders: dict[str, Work], *, rounds: int, budget: float) -> list[Figure]:
    """Time every contender in alternating rounds; the first one is the reference."""
    numbers = {name: number_for(work, budget) for name, work in contenders.items()}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, work in contenders.items():
            times[name].append(seconds_of(work, numbers[name]))
    return figures(times)


def figures(times: dict[str, list[float]]) -> list[Figure]:
    reference = next(iter(times.values()))
    found = []
    for name, seconds in times.items():
        ratios = [own / other for own, other in zip(seconds, reference, strict=True)]
        found.append(
            Figure(
                name,
                statistics.median(seconds),
                statistics.median(ratios),
                min(ratios),
                max(ratios),
            )
        )
    return found


@dataclass(frozen=True)
class Ran:
    """One finished process: wall seconds and its greatest resident memory in bytes."""

    seconds: float
    memory: int


def run(command: Sequence[str], *, env: dict[str, str], cwd: str | None = None) -> Ran:
    """Run a command to its end. Raises :class:`RuntimeError` where it fails.

    Its memory is read while it runs: what the system reports after its end begins with the
    memory of the process that started it.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        command, env=env, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    peak = _Peak(process.pid)
    peak.start()
    _, errors = process.communicate()
    seconds = time.perf_counter() - started
    peak.join()
    if process.returncode:
        raise RuntimeError(f"{command[0]} failed: {errors.decode(errors='replace')[-300:]}")
    return Ran(seconds, peak.bytes)


class _Peak(threading.Thread):
    """Watches the greatest resident memory of a process, which only grows, until it ends."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._status = Path(f"/proc/{pid}/status")
        self.bytes = 0

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while found := _HIGH_WATER.search(self._status.read_text()):
                self.bytes = int(found.group(1)) * 1024
                time.sleep(0.004)
