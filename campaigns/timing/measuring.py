"""Classes in random order, tallied in batches, kept for the next run, and what came of it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from campaigns.timing.group import AGAIN, Group, Pair, delayed
from campaigns.timing.tally import Tally

if TYPE_CHECKING:
    from campaigns.frame.run import Run

MOST: Final = 5.0
"""What |t| must stay below, and a positive control must exceed."""
_POINTS: Final = 40  # of the curves of t over the samples
_KEEP_SECONDS: Final = 10.0

Sampler = Callable[[Group, Sequence[str]], list[int]]
"""Takes one sample of each class named, in that order; returns nanoseconds."""


def measure(run: Run, group: Group, sampler: Sampler, *, each: int, batch: int) -> dict[str, Any]:
    """The figures of a group with ``each`` samples of every class, from batches of some in all."""
    names = group.names
    kept = run.kept().get(group.name)
    if kept is not None and "pairs" in kept:
        return dict(kept)
    rounds = max(batch // len(names), 1)
    if kept is None:
        warm = _batch(group, sampler, names, min(rounds, max(each // 4, 20)))
        tally, curves = Tally.calibrated(len(names), warm[1]), {}
    else:
        tally, curves = Tally.from_json(kept["tally"]), kept["curves"]
    pairs = _all_pairs(group)
    saved = time.monotonic()
    while (done := tally.count(0)) < each:
        tally.add(*_batch(group, sampler, names, min(rounds, each - done)))
        if tally.count(0) * _POINTS // each > done * _POINTS // each:
            _draw(curves, tally, names, pairs)
        if time.monotonic() - saved > _KEEP_SECONDS:
            state = {"tally": tally.to_json(), "curves": curves}
            run.keep({**run.kept(), group.name: state})
            saved = time.monotonic()
            run.progress(tally.count(0), each, group.name)
            run.pause_if_due()
    figures = _figures(group, tally, names, curves)
    run.keep({**run.kept(), group.name: figures})
    return figures


def _batch(group: Group, sampler: Sampler, names: list[str], rounds: int) -> tuple[Any, Any]:
    plan = [name for name in names for _ in range(rounds)]
    random.shuffle(plan)
    group.renew()
    times = np.array(sampler(group, plan), dtype=np.float64)
    numbers = {name: number for number, name in enumerate(names)}
    return np.array([numbers[name] for name in plan], dtype=np.int64), times


def _all_pairs(group: Group) -> list[Pair]:
    ladder = [Pair(group.base, delayed(each), control=True) for each in group.delays]
    return [*group.pairs, Pair(group.base, AGAIN), *ladder]


def _draw(
    curves: dict[str, list[list[float]]], tally: Tally, names: list[str], pairs: list[Pair]
) -> None:
    for pair in pairs:
        found = tally.compared(names.index(pair.a), names.index(pair.b))
        curve = curves.setdefault(f"{pair.a} / {pair.b}", [])
        curve.append([found.samples, round(found.greatest, 2)])


def _figures(
    group: Group, tally: Tally, names: list[str], curves: dict[str, list[list[float]]]
) -> dict[str, Any]:
    rows = []
    for pair in _all_pairs(group):
        found = tally.compared(names.index(pair.a), names.index(pair.b))
        row = {
            "a": pair.a,
            "b": pair.b,
            "t": round(found.t, 2),
            "t2": round(found.t2, 2),
            "apart_ns": round(found.apart, 1),
            "samples": found.samples,
        }
        if pair.cause:
            row["cause"] = pair.cause
        if pair.control:
            row["control"] = True
        rows.append(row)
    return {
        "what": group.what,
        "base": group.base,
        "median_ns": round(tally.median(names.index(group.base)), 1),
        "pairs": rows,
        "curves": curves,
    }


def greatest(row: dict[str, Any]) -> float:
    """|t| of a pair's row: the greater one of both orders."""
    return max(abs(float(row["t"])), abs(float(row["t2"])))


def resolution(figures: dict[str, Any]) -> float | None:
    """The least delay, in nanoseconds as it was seen, from which on each was found.

    None: not even the greatest was.
    """
    found = None
    for row in reversed(ladder(figures)):
        if greatest(row) <= MOST:
            break
        found = abs(row["apart_ns"])
    return found


def ladder(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of the positive controls, the least delay first."""
    rows = [row for row in figures["pairs"] if row["b"].startswith("+")]
    return sorted(rows, key=lambda row: int(row["b"]))


def failures(name: str, figures: dict[str, Any], *, least: float = 0) -> list[str]:
    """What of a group missed its goal.

    Of fewer samples than a figure is published from, a difference of under ``least`` nanoseconds
    is not judged: it is that of the controls, which says what so few can tell.
    """
    found = []
    for row in figures["pairs"]:
        t, what = greatest(row), f"{name}: {row['a']} / {row['b']}"
        if row.get("control"):
            continue
        if t >= MOST and abs(row["apart_ns"]) >= least and not row.get("cause"):
            found.append(f"{what}: |t| is {t:.1f}, {row['apart_ns']:g} ns apart")
    lost = [row for row in figures["pairs"] if row.get("control") and row not in ladder(figures)]
    found += [
        f"{name}: the difference of {row['a']} and {row['b']} is there and was not found"
        for row in lost
        if greatest(row) <= MOST
    ]
    if ladder(figures) and resolution(figures) is None:
        found.append(f"{name}: not even the greatest delay was found")
    return found
