"""What a campaign says of itself, and what a run of it came to."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from campaigns.frame.run import Run

Figures = dict[str, Any]
"""What a part measured, as JSON. ``failures`` in it, a list of sentences, is what missed a goal;
``unfinished``, a sentence, how much was run so far: that is published, and the next run goes on."""


@dataclass(frozen=True)
class Part:
    """One step of a campaign: when it is finished its figures are kept, and it is not run again."""

    name: str
    work: Callable[[Run], Figures]


@dataclass(frozen=True)
class Results:
    """What the parts of one campaign measured, and on what machine."""

    campaign: str
    machine: str
    ended: str  # the day, ISO 8601
    seconds: float  # of work, all parts together
    parts: Mapping[str, Figures] = field(default_factory=dict)

    def failures(self) -> list[str]:
        """Each sentence that says what missed a goal, with its part's name."""
        return [
            f"{name}: {failure}"
            for name, figures in self.parts.items()
            for failure in figures.get("failures", [])
        ]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_file(cls, path: Path) -> Results:
        return cls(**json.loads(path.read_text()))


@dataclass(frozen=True)
class Campaign:
    """One kind of security test at full length.

    ``section`` writes what stands between the campaign's markers on ``page``, a file in docs/, from
    results that may lack parts. ``plots`` draws SVG files into a folder; docs/campaigns/ for a
    full run.
    """

    name: str
    about: str
    page: str
    parts: Sequence[Part]
    section: Callable[[Results], str]
    plots: Callable[[Results, Path], None] | None = None

    def __post_init__(self) -> None:
        names = [part.name for part in self.parts]
        if len(set(names)) != len(names):
            raise ValueError(f"{self.name}: two parts of one name")
