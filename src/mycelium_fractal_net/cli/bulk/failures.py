"""What a command could not do, one by one: into a report, or onto standard error. None is kept."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from mycelium_fractal_net.cli.terminal import complain, counted
from mycelium_fractal_net.security.byte_io.printable import json_line
from mycelium_fractal_net.security.errors import ExitCode

if TYPE_CHECKING:
    from mycelium_fractal_net.cli.invocation import Invocation
    from mycelium_fractal_net.columns import ColumnReport
    from mycelium_fractal_net.files import FileReport

_MOST_COMPLAINTS: Final = 20  # lines about single files; a report has them all


@contextlib.contextmanager
def taking(report: Path | None) -> Iterator[Callable[[str, str], None]]:
    """Takes what failed, twice: as a line of JSON for ``report``, and as one for people."""
    if report is not None:
        with report.open("w", encoding="utf-8", buffering=1) as file:
            yield lambda line, _text: print(line, file=file)
        return
    count = 0

    def failed(_line: str, text: str) -> None:
        nonlocal count
        count += 1
        if count <= _MOST_COMPLAINTS:
            complain(text)

    yield failed
    if count > _MOST_COMPLAINTS:
        complain(f"and {count - _MOST_COMPLAINTS} more; --report FILE lists them all")


@contextlib.contextmanager
def reporting(report: Path | None) -> Iterator[Callable[[str, str], None]]:
    """Takes the path of each that failed, and why: into ``report``, or onto standard error.

    The report is one line of JSON for each, ``{"path": "...", "reason": "..."}``, written as it
    comes. Bytes of a name that are no UTF-8 are in it as Python's ``surrogateescape`` has them.
    """
    with taking(report) as take:
        yield lambda path, reason: take(
            json_line({"path": path, "reason": reason}), f"{path}: {reason}"
        )


def tell_passed_over(invocation: Invocation, found: FileReport) -> None:
    """Say what a run on files left out."""
    for path in found.passed_over:
        invocation.say(f"passed over {path}: a link, a special file, or not sealed")
    if more := found.others - len(found.passed_over):
        invocation.say(f"passed over {more} more")


def end(
    invocation: Invocation,
    said: str,
    report: FileReport | ColumnReport,
    failed: int,
    what: str = "file",
) -> None:
    """Say what became of many. Ends the command with exit code 11 where some ``failed``."""
    shape = {"done": report.done, "skipped": report.skipped, "failed": failed}
    if (size := getattr(report, "bytes", None)) is not None:
        shape["bytes"] = size
    before = f", {report.skipped} done before" if report.skipped else ""
    invocation.answer(shape, said + before)
    if failed:
        complain(f"{counted(failed, what)} failed; mend the cause and run the same again")
        raise click.exceptions.Exit(ExitCode.PARTIAL)
