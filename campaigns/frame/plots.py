"""SVG files of what a campaign measured: the same figures give the same file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OURS: Final = "#0b6e4f"
CONTROL: Final = "#b5838d"
LIMIT: Final = "#4a4e69"


def drawn(path: Path, draw: Callable[[Any], None], *, inches: tuple[float, float]) -> None:
    """Write the axes that ``draw`` fills. Needs matplotlib, which the bench lock has."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "mycelium"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=inches, layout="constrained")
    draw(axes)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    figure.savefig(path, metadata={"Date": None}, facecolor="white")
    pyplot.close(figure)
    # matplotlib ends lines of the picture with blanks, which no file of the repository has.
    lines = path.read_text().splitlines()
    path.write_text("".join(f"{line.rstrip()}\n" for line in lines))
