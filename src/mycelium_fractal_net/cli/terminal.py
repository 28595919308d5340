"""What ``mfn`` prints: lines, columns, JSON and progress. Nothing else writes to the terminal."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    Bar = AbstractContextManager[Callable[[int], None] | None]

__all__ = [
    "byte_size",
    "columns",
    "complain",
    "counted",
    "json_array",
    "json_value",
    "progress_bar",
    "safe",
    "say",
]

PROGRESS_FROM_BYTES: Final = 8 * 1024 * 1024  # below, the work ends before a bar is drawn


def safe(text: str) -> str:
    """``text`` with everything that could move the cursor or end the line replaced."""
    return "".join(c if c.isprintable() else "?" for c in text)


def complain(text: str) -> None:
    """Print one line of error: ``mfn: text``."""
    if sys.stderr is not None:  # as it is where the shell closed it
        sys.stderr.write(f"mfn: {safe(text)}\n")


def say(text: str, *, quiet: bool = False) -> None:
    """Print one line of outcome, unless ``--quiet``."""
    if not quiet:
        print(safe(text))


def columns(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under their heads, aligned.

    Written here because loading rich takes longer than listing the keys of a store.
    """
    cells = [[safe(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    for row in cells:
        aligned = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(aligned).rstrip())


def json_value(value: Any) -> None:
    """Print one JSON value, indented."""
    print(json.dumps(value, indent=2))


def json_array(values: Iterable[Any]) -> None:
    """Print a JSON array element by element, so that a long one is never held in memory."""
    opened = False
    for value in values:
        print(",\n" if opened else "[\n", json.dumps(value, indent=2), sep="", end="")
        opened = True
    print("\n]" if opened else "[]")


def counted(count: int, what: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def byte_size(count: int) -> str:
    """1536 as ``1.5 KiB``."""
    if count < 1024:
        return f"{count} B"
    size = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1024:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} TiB"


@contextlib.contextmanager
def progress_bar(
    label: str, total: int | Callable[[], int] | None, *, quiet: bool, items: bool = False
) -> Iterator[Callable[[int], None] | None]:
    """A progress bar on standard error; gives a function that takes each amount just done.

    ``total`` is in bytes, or with ``items`` a number of things, or a function that finds it
    out, or None where only the end will tell. Gives None, and draws nothing, where standard
    error is no terminal, or there are few bytes or nobody knows how many.
    """
    small = not items and isinstance(total, int) and total < PROGRESS_FROM_BYTES
    if quiet or small or sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    from mycelium_fractal_net.cli.bar import drawn

    with drawn(safe(label), total() if callable(total) else total, items=items) as update:
        yield update
