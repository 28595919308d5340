"""A picture of |t| as samples come in: what differs grows with their root, all else stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from campaigns.frame.plots import CONTROL, LIMIT, OURS, drawn
from campaigns.timing.measuring import MOST

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from campaigns.frame.campaign import Results

PLOT: Final = "timing.svg"


def plots(results: Results, folder: Path) -> None:
    """Write it for all pairs that were measured, in process and over HTTP."""
    drawn(folder / PLOT, lambda axes: _draw(axes, results), inches=(9, 4.5))


def _draw(axes: Any, results: Results) -> None:
    labelled: set[str] = set()
    for color, label, curve in curves(results):
        axes.plot(
            [samples for samples, _ in curve],
            [max(t, 0.1) for _, t in curve],
            color=color,
            linewidth=1.1,
            alpha=0.7,
            label="_" if label in labelled else label,
        )
        labelled.add(label)
    axes.axhline(MOST, color="black", linewidth=1, linestyle="--", label=f"|t| = {MOST:g}")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("samples of the pair")
    axes.set_ylabel("|t|")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    axes.set_title("What the times of two refusals tell apart", loc="left", fontweight="bold")


def curves(results: Results) -> Iterator[tuple[str, str, list[tuple[int, float]]]]:
    """The colour, what it stands for, and the curve, of each pair."""
    for part in results.parts.values():
        for found in part["groups"].values():
            pairs = {f"{row['a']} / {row['b']}": row for row in found["pairs"]}
            for name, curve in found["curves"].items():
                row = pairs.get(name, {})
                if row.get("control"):
                    yield CONTROL, "put there, to be found", curve
                elif row.get("cause"):
                    yield LIMIT, "with a cause that is named", curve
                else:
                    yield OURS, "the product's, or a class beside itself", curve
