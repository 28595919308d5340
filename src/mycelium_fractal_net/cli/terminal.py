"""What ``mfn`` prints: lines, columns, JSON and progress. Nothing else writes to the terminal."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any, Final

from mycelium_fractal_net.security.byte_io.printable import ascii_json, printable

ProgressBar = AbstractContextManager[Callable[[int], None] | None]

PROGRESS_FROM_BYTES: Final = 8 * 1024 * 1024  # below, the work ends before a bar is drawn
_BAR_CELLS: Final = 30
_REDRAW_SECONDS: Final = 0.1
_ALIGNED: Final = 1000  # rows of a table that are held in memory


def complain(text: str) -> None:
    """Print one line of error: ``mfn: text``."""
    if sys.stderr is not None:  # as it is where the shell closed it
        sys.stderr.write(f"mfn: {printable(text)}\n")


def show_traceback() -> None:
    """Print where the error that is handled comes from.

    The standard form: source lines and no values of variables, which may be secrets.
    """
    if sys.stderr is not None:
        lines = "".join(traceback.format_exc()).splitlines()
        sys.stderr.write("".join(f"{printable(line)}\n" for line in lines))


def say(text: str) -> None:
    """Print one line of outcome."""
    print(printable(text))


def is_confirmed(what: str) -> bool:
    """Ask on a terminal whether to do what cannot be undone; true where nobody can be asked."""
    if sys.stdin is None or sys.stderr is None or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    sys.stderr.write(f"{printable(what)}; this cannot be undone. Go on? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def columns(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under their heads, aligned. Very many are aligned part by part, as they come."""
    coming = itertools.chain([heads], rows)
    widths = [0] * len(heads)
    while part := [[printable(cell) for cell in row] for row in itertools.islice(coming, _ALIGNED)]:
        widths = [max(width, *(len(row[i]) for row in part)) for i, width in enumerate(widths)]
        for row in part:
            aligned = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            print("  ".join(aligned).rstrip())


def json_value(value: Any) -> None:
    """Print one JSON value, indented."""
    print(json_text(value))


def json_array(values: Iterable[Any]) -> None:
    """Print a JSON array element by element, so that a long one is never held in memory."""
    opened = False
    for value in values:
        print(",\n" if opened else "[\n", json_text(value), sep="", end="")
        opened = True
    print("\n]" if opened else "[]")


def json_text(value: Any) -> str:
    """``value`` indented, in ASCII, as the standard library writes it in eight times the time."""
    from msgspec.json import encode, format

    with contextlib.suppress(UnicodeEncodeError):  # a surrogate, in the name of a file
        return ascii_json(format(encode(value), indent=2)).decode()
    return json.dumps(value, indent=2).replace("\x7f", "\\u007f")


@contextlib.contextmanager
def handling(
    numbers: Iterable[signal.Signals], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    """Have ``handler`` called for those signals that end a program, unless they are ignored.

    One is, as SIGHUP under nohup; nothing is changed outside the main thread.
    """
    former = {}
    if threading.current_thread() is threading.main_thread():
        found = {number: signal.getsignal(number) for number in numbers}
        former = {n: each for n, each in found.items() if each not in (None, signal.SIG_IGN)}
    for number in former:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, each in former.items():
            signal.signal(number, each)


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
    bar = _Bar(printable(label), total() if callable(total) else total, str if items else byte_size)
    try:
        yield bar.advance
    finally:
        bar.clear()


class _Bar:
    """One line on standard error that says how far the work is, and vanishes at its end."""

    def __init__(self, label: str, total: int | None, shown: Callable[[int], str]) -> None:
        self._label = label
        self._total = total
        self._shown = shown
        self._done = 0
        self._started = self._drawn = time.monotonic()
        self._lock = threading.Lock()  # several threads may work on what is counted

    def advance(self, count: int) -> None:
        """Add what was just done; draws no more often than an eye can follow."""
        with self._lock:
            self._done += count
            now = time.monotonic()
            if now - self._drawn >= _REDRAW_SECONDS or self._done == self._total:
                self._drawn = now
                self._write(self._line(now - self._started))

    def clear(self) -> None:
        """Take the line away."""
        self._write("")

    def _line(self, seconds: float) -> str:
        total = self._total
        if not total:
            return f"{self._label} {self._shown(self._done)}"
        done = min(self._done / total, 1.0)
        bar = "#" * int(done * _BAR_CELLS)
        left = int(seconds / done - seconds) if done else 0
        amount = f"{self._shown(self._done)}/{self._shown(total)}"
        return f"{self._label} [{bar:.<{_BAR_CELLS}}] {amount} {left // 60}:{left % 60:02} left"

    def _write(self, line: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r{line[:width]}\x1b[K")
        sys.stderr.flush()
