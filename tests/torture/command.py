"""The same with the real command line: ``mfn`` as a process, killed as it starts or works."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING, Final

from tests.support.cli import PROGRAM, environment
from tests.torture.killing import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.torture.ledger import Fact
    from tests.torture.place import Place

__all__ = ["COMMANDS", "command"]

_LONG_SECONDS: Final = 90.0


def _rotate(place: Place) -> tuple[list[str], list[Fact], list[Fact]]:
    latest = place.ledger.keys["orders"].latest + 1
    return ["key", "rotate", "orders"], [("try-version", "orders")], [("version", "orders", latest)]


def _rewrap(place: Place) -> tuple[list[str], list[Fact], list[Fact]]:
    before: list[Fact] = [("unfinished", "rewrap files")]
    return ["rewrap", "-r", str(place.files)], before, [("finished", "rewrap files")]


COMMANDS: Final[dict[str, Callable[[Place], tuple[list[str], list[Fact], list[Fact]]]]] = {
    "key rotate": _rotate,
    "rewrap -r": _rewrap,
}
"""What is run, what is true from its beginning on, and what once it has ended well."""


def command(place: Place, name: str, limit: float | None) -> Outcome:
    """Run it, for ``limit`` seconds at most."""
    arguments, before, after = COMMANDS[name](place)
    started = time.monotonic()
    process = subprocess.Popen(
        [*PROGRAM, "--home", str(place.home), "--store", place.url, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        cwd=place.folder,
        env=environment(),
    )
    outcome = Outcome([("begun",), *before])
    try:
        printed, _ = process.communicate(timeout=_LONG_SECONDS if limit is None else limit)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        outcome.killed = True
    else:
        if process.returncode == 0:
            outcome.facts += [*after, ("done",)]
        else:
            outcome.facts.append(("failed", printed.decode(errors="replace")))
    outcome.seconds = time.monotonic() - started
    return outcome
