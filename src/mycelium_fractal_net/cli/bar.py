"""The progress bar. Loaded only when one is drawn, since rich takes its time to import."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["drawn"]


@contextlib.contextmanager
def drawn(label: str, total: int | None, *, items: bool) -> Iterator[Callable[[int], None]]:
    """A bar that stands while the context lasts and vanishes with it."""
    amount: tuple[ProgressColumn, ...] = (
        (MofNCompleteColumn(),)
        if items
        else (DownloadColumn(binary_units=True), TransferSpeedColumn())
    )
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *amount,
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with progress:
        task = progress.add_task(escape(label), total=total)
        yield lambda done: progress.advance(task, done)
