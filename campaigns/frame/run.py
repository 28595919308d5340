"""What the work of a part is given: its size, its folder, its state, and when to pause."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


class Paused(Exception):  # noqa: N818 - it is no error
    """The time that this run was given is over; what was kept goes on with the next one."""


class Run:
    """One part at work.

    ``quick`` asks for the short form that CI runs: seconds, with the controls. ``folder`` is the
    part's own, and survives restarts, as does what ``keep`` was given.
    """

    def __init__(self, what: str, folder: Path, *, quick: bool, until: float | None = None) -> None:
        self.what = what
        self.folder = folder
        self.quick = quick
        self._until = until  # time.monotonic() when to pause
        self._said = 0.0
        folder.mkdir(parents=True, exist_ok=True)

    def kept(self) -> dict[str, Any]:
        """What ``keep`` was given last, or nothing."""
        try:
            found: dict[str, Any] = json.loads((self.folder / "state.json").read_text())
        except FileNotFoundError:
            return {}
        return found

    def keep(self, state: dict[str, Any]) -> None:
        """Write JSON that the next run begins with, whole or not at all."""
        write_whole(self.folder / "state.json", json.dumps(state))

    def pause_if_due(self) -> None:
        """Raise ``Paused`` where the time is over. Call it after ``keep``."""
        if self._until is not None and time.monotonic() >= self._until:
            raise Paused

    def progress(self, done: float, total: float, what: str = "") -> None:
        """Say how far it is: once a second on a terminal, once a minute elsewhere."""
        now, terminal = time.monotonic(), sys.stderr.isatty()
        if done < total and now - self._said < (1 if terminal else 60):
            return
        self._said = now
        share = done / total if total else 1.0
        line = f"{self.what}: {done:,.0f} of {total:,.0f} ({share:.0%}) {what}".rstrip()
        print(f"\r\x1b[K{line}" if terminal else line, end="", file=sys.stderr)
        print("" if terminal and done < total else "\n", end="", file=sys.stderr, flush=True)


def write_whole(path: Path, text: str) -> None:
    """Write a file that a crash leaves as it was, or as it is to be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text)
    beside.replace(path)
