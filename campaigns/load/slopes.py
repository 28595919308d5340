"""How fast something grows: a line through what was seen, with its standard error."""

from __future__ import annotations

import itertools
import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_QUANTILE: Final = 2.0  # of Student's t at 97.5 %, from 60 degrees of freedom on; 2.09 at 19


@dataclass(frozen=True)
class Slope:
    """Growth in units per hour and its standard error, both of a fit by least squares."""

    per_hour: float
    error: float

    @property
    def low(self) -> float:
        """The lower end of the interval of 95 %."""
        return self.per_hour - _QUANTILE * self.error

    @property
    def high(self) -> float:
        """The upper end."""
        return self.per_hour + _QUANTILE * self.error

    @property
    def is_flat(self) -> bool:
        """Whether the interval has 0 in it."""
        return self.low <= 0 <= self.high


def means(values: Sequence[tuple[float, float]], width: float) -> list[tuple[float, float]]:
    """The mean of each ``width`` seconds: the middle of that time, and the mean."""
    parts: dict[int, list[float]] = {}
    for moment, value in values:
        parts.setdefault(int(moment // width), []).append(value)
    return [((n + 0.5) * width, statistics.fmean(part)) for n, part in sorted(parts.items())]


def fitted(points: Sequence[tuple[float, float]]) -> Slope:
    """The line through points of (seconds, value).

    What is left beside a line of memory hangs together from one minute to the next, so that there
    is less to learn from it than the count of points says: the error is widened by
    sqrt((1 + r) / (1 - r)), r the correlation of neighbours (where it is positive).
    """
    if len(points) < 3:
        raise ValueError("a line with an error needs three points")
    x = [moment / 3600 for moment, _ in points]
    y = [value for _, value in points]
    line = statistics.linear_regression(x, y)
    left = [b - line.slope * a - line.intercept for a, b in zip(x, y, strict=True)]
    squares = math.fsum(each * each for each in left)
    middle = statistics.fmean(x)
    spread = math.fsum((each - middle) ** 2 for each in x)
    error = math.sqrt(squares / (len(points) - 2) / spread)
    if squares > 0:
        together = math.fsum(a * b for a, b in itertools.pairwise(left)) / squares
        r = min(max(together, 0.0), 0.95)
        error *= math.sqrt((1 + r) / (1 - r))
    return Slope(line.slope, error)
