"""A picture of the memory of each process over the hour of the soak."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Any, Final

from campaigns.frame.plots import CONTROL, LIMIT, OURS, drawn

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from campaigns.frame.campaign import Results

PLOT: Final = "load.svg"
_WORKERS: Final = (OURS, "#08a045")


def plots(results: Results, folder: Path) -> None:
    """Write it where the soak was run."""
    if soak := results.parts.get("soak"):
        drawn(folder / PLOT, lambda axes: _draw(axes, soak), inches=(9, 3.5))


def _draw(axes: Any, soak: Mapping[str, Any]) -> None:
    colors = cycle(_WORKERS)
    for name, held in soak["growth"].items():
        color = {"parent": LIMIT, "control": CONTROL}.get(name) or next(colors)
        points = held["pss"]["points"]
        step = soak["wanted_seconds"] / 60 / max(len(points) - 1, 1)
        label = f"{name} ({held['pss']['per_hour']:+.1f} MiB an hour)"
        axes.plot([step * n for n in range(len(points))], points, color=color, label=label)
    axes.axvline(soak["warm_up_seconds"] / 60, color="black", linewidth=0.8, linestyle=":")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("minutes; the line is fitted from the dotted one on")
    axes.set_ylabel("MiB (PSS)")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    axes.set_title("Memory of the service's processes", loc="left", fontweight="bold")
