"""The times of some classes, tallied under several crops, so that no list of them is needed.

As in dudect (Reparaz, Balasch, Verbauwhede: "Dude, is my code constant time?", DATE 2017): the
upper tail of a distribution of times is what else the machine did, so the test is made of all
times and of those below several percentiles, which were taken from a first batch and are the same
for all classes. The greatest |t| is the one that counts.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from campaigns.timing.moments import Moments, first_order, second_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

CROPS: Final = (100.0, 99.9, 99.0, 95.0, 90.0, 80.0, 70.0, 60.0, 50.0, 40.0, 30.0, 20.0, 10.0)
"""Percentiles. Of the first, nothing is cropped."""
_BINS: Final = 2048  # of the histograms that medians come from


@dataclass(frozen=True)
class Compared:
    """Two classes beside each other.

    ``t`` and ``t2`` are those of the greatest amount over the crops, of first and second order,
    ``apart`` the medians' difference in nanoseconds, ``samples`` how many there were of both.
    """

    t: float
    t2: float
    apart: float
    samples: int

    @property
    def greatest(self) -> float:
        """The greater amount of the two."""
        return max(abs(self.t), abs(self.t2))


class Tally:
    """What was seen of each class, by its number in ``0 .. classes - 1``."""

    def __init__(self, classes: int, limits: Sequence[float], bins: tuple[float, float]) -> None:
        self.limits = tuple(limits)
        self.bins = bins
        self.moments = [[Moments() for _ in self.limits] for _ in range(classes)]
        self.histograms = np.zeros((classes, _BINS), dtype=np.int64)

    @classmethod
    def calibrated(cls, classes: int, times: NDArray[np.float64]) -> Tally:
        """An empty one, with crops from a first batch, which itself is not tallied."""
        limits = [float(np.percentile(times, crop)) for crop in CROPS[1:]]
        least, most = float(np.percentile(times, 0.1)), float(np.percentile(times, 90.0))
        margin = max((most - least) / 4, 1.0)
        return cls(classes, [float("inf"), *limits], (least - margin, most + margin))

    def add(self, classes: NDArray[np.int64], times: NDArray[np.float64]) -> None:
        """Tally a batch: to which class each belongs, and what it took in nanoseconds."""
        for number, row in enumerate(self.moments):
            own = times[classes == number]
            for place, limit in enumerate(self.limits):
                row[place] = row[place].merged(Moments.of(own[own <= limit]))
            least, most = self.bins
            at = ((own - least) / (most - least) * _BINS).astype(np.int64).clip(0, _BINS - 1)
            self.histograms[number] += np.bincount(at, minlength=_BINS)

    def count(self, number: int) -> int:
        """How many of that class there were."""
        return int(self.moments[number][0].number)

    def median(self, number: int) -> float:
        """In nanoseconds, interpolated between the edges of the histogram's bin."""
        seen = self.histograms[number].cumsum()
        half = seen[-1] / 2
        at = int(np.searchsorted(seen, half))
        before = float(seen[at - 1]) if at else 0.0
        least, most = self.bins
        within = (half - before) / max(float(self.histograms[number][at]), 1.0)
        return float(least + (at + within) * (most - least) / _BINS)

    def compared(self, a: int, b: int) -> Compared:
        """Class ``a`` beside class ``b``."""
        pairs = list(zip(self.moments[a], self.moments[b], strict=True))
        return Compared(
            max((first_order(*pair) for pair in pairs), key=abs),
            max((second_order(*pair) for pair in pairs), key=abs),
            self.median(a) - self.median(b),
            self.count(a) + self.count(b),
        )

    def to_json(self) -> dict[str, Any]:
        """Its state, for :meth:`from_json`."""
        return {
            "limits": self.limits[1:],
            "bins": self.bins,
            "moments": [[list(each) for each in row] for row in self.moments],
            "histograms": [_runs(row.tolist()) for row in self.histograms],
        }

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Tally:
        """The tally that :meth:`to_json` wrote down."""
        least, most = state["bins"]
        found = cls(len(state["moments"]), [float("inf"), *state["limits"]], (least, most))
        found.moments = [[Moments(*each) for each in row] for row in state["moments"]]
        rows = [[n for n, times in row for _ in range(times)] for row in state["histograms"]]
        found.histograms = np.array(rows, dtype=np.int64)
        return found


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    """Each number with how often it follows itself: most bins are empty."""
    return [(number, len(list(same))) for number, same in itertools.groupby(numbers)]
