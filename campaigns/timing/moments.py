"""Central moments up to the fourth, in one pass: what Welch's tests of both orders need.

Merged as Pebay gives it: "Formulas for Robust, One-Pass Parallel Computation of Covariances and
Arbitrary-Order Statistical Moments", SAND2008-6212, section 3.1.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Times = NDArray[np.float64]


_LEAST = 50  # of each class: a crop with fewer decides nothing,
_LEAST_SECOND = 1000  # nor one of the second order, whose terms are squares
_LEAST_SPREAD = 1e-9  # square nanoseconds


class Moments(NamedTuple):
    """How many, their mean, and the sums of the second to fourth powers of what is beside it."""

    number: float = 0
    mean: float = 0.0
    second: float = 0.0
    third: float = 0.0
    fourth: float = 0.0

    @classmethod
    def of(cls, times: Times) -> Moments:
        """Those of an array."""
        if not len(times):
            return cls()
        mean = float(times.mean())
        beside = times - mean
        square = beside * beside
        return cls(
            len(times),
            mean,
            float(square.sum()),
            float((square * beside).sum()),
            float((square * square).sum()),
        )

    def merged(self, other: Moments) -> Moments:
        """Those of both together."""
        if not self.number or not other.number:
            return other if other.number else self
        a, b = self.number, other.number
        count, apart = a + b, other.mean - self.mean
        step = apart / count
        product = a * b
        return Moments(
            count,
            self.mean + step * b,
            self.second + other.second + apart * step * product,
            self.third
            + other.third
            + apart * step * step * product * (a - b)
            + 3 * step * (a * other.second - b * self.second),
            self.fourth
            + other.fourth
            + apart * step**3 * product * (a * a - product + b * b)
            + 6 * step * step * (a * a * other.second + b * b * self.second)
            + 4 * step * (a * other.third - b * self.third),
        )


def first_order(a: Moments, b: Moments) -> float:
    """Welch's t of the two means."""
    if min(a.number, b.number) < _LEAST:
        return 0.0
    spread = a.second / (a.number - 1) / a.number + b.second / (b.number - 1) / b.number
    return _t(a.mean - b.mean, spread)


def second_order(a: Moments, b: Moments) -> float:
    """Welch's t of the centred squares: whether the two spread alike.

    Schneider and Moradi, "Leakage Assessment Methodology", CHES 2015, section 4.1.
    """
    if min(a.number, b.number) < _LEAST_SECOND:
        return 0.0
    var_a, var_b = a.second / a.number, b.second / b.number
    of_a = max(a.fourth / a.number - var_a * var_a, 0.0)
    of_b = max(b.fourth / b.number - var_b * var_b, 0.0)
    return _t(var_a - var_b, of_a / a.number + of_b / b.number)


def _t(apart: float, spread: float) -> float:
    # Times that a clock rounds to one value have no spread at all.
    return apart / math.sqrt(max(spread, _LEAST_SPREAD))
