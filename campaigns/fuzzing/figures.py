"""What is known of one target, and how libFuzzer's lines are read."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any, Final

# "#4096  NEW    cov: 158 ft: 288 corp: 33/117Kb lim: 16536 exec/s: 0 rss: 57Mb L: 8/16590 ..."
_LINE: Final = re.compile(r"#(\d+)\s+([A-Za-z]+)\s+cov: (\d+) ft: (\d+)")
_EXECUTED: Final = re.compile(r"stat::number_of_executed_units: (\d+)")


@dataclass
class Progress:
    """One target over all its runs. ``edges`` and ``features`` are the most that a run reached."""

    executions: int = 0
    cpu_seconds: float = 0.0
    edges: int = 0
    features: int = 0
    last_edge_cpu: float = 0.0  # of ``cpu_seconds``, when the newest edge was found
    findings: list[str] = field(default_factory=list)  # the names of inputs that libFuzzer wrote

    @classmethod
    def of(cls, kept: dict[str, Any]) -> Progress:
        return cls(**kept)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def since_last_edge(self) -> float:
        """CPU seconds in which nothing new was reached."""
        return self.cpu_seconds - self.last_edge_cpu


class Slice:
    """One run of a target as its lines arrive."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._before = progress.executions

    def line(self, text: str, cpu_seconds: float) -> None:
        """A line of libFuzzer's, when its process had used so much of the CPU."""
        if found := _LINE.match(text):
            done, _, edges, features = found.groups()
            self._executed(int(done))
            self._progress.features = max(self._progress.features, int(features))
            if int(edges) > self._progress.edges:
                self._progress.edges = int(edges)
                self._progress.last_edge_cpu = self._progress.cpu_seconds + cpu_seconds
        elif found := _EXECUTED.match(text):
            self._executed(int(found[1]))

    def _executed(self, in_this_run: int) -> None:
        self._progress.executions = self._before + in_this_run
