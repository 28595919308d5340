"""Rounds that alternate between contenders, and ratios with their spread.

A figure is a ratio: each contender's round divided by the reference's round next to it, so that
a machine that slows down slows both. What is quoted is the median of those ratios, with the least
and the greatest.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
Work = Callable[[], object]

_LAUNCH = str(Path(__file__).with_name("launch.py"))


@dataclass(frozen=True)
class Figure:
    """One contender beside the reference: seconds, and the ratio with its spread."""

    name: str
    seconds: float
    ratio: float
    least: float
    greatest: float

    def __str__(self) -> str:
        """The ratio with its spread, as tables show it."""
        return f"{self.ratio:.2f} x ({self.least:.2f} to {self.greatest:.2f})"

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
    for names in turns(list(contenders), rounds):
        for name in names:
            times[name].append(seconds_of(contenders[name], numbers[name]))
    return figures(times)


def turns(names: list[T], rounds: int) -> Iterator[list[T]]:
    """The order of each round. Another one begins each time, so that no place is a favour."""
    for number in range(rounds):
        at = number % len(names)
        yield names[at:] + names[:at]


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
    """One finished process: wall seconds, greatest resident memory in bytes, processor seconds."""

    seconds: float
    memory: int
    cpu: float


def run(command: Sequence[str], *, env: dict[str, str], cwd: str | None = None) -> Ran:
    """Run a command to its end. Raises :class:`RuntimeError` where it fails."""
    # -I and -S: a small process, see launch.py. The command's own environment is what env says.
    done = subprocess.run(
        [sys.executable, "-I", "-S", _LAUNCH, *command],
        env=env,
        cwd=cwd,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode or done.stdout.split()[2] != "0":
        raise RuntimeError(f"{command[0]} failed: {done.stderr[-300:]}")
    seconds, peak, _, cpu = done.stdout.split()
    return Ran(float(seconds), int(peak) * 1024, float(cpu))
