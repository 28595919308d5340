"""The same with the real command line: ``mfn`` as a process, killed as it starts or works."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from typing import Final

from mycelium_fractal_net.security.records.keys import KeyState
from tests.support.cli import PROGRAM, environment
from tests.torture.killing import Outcome
from tests.torture.ledger import Fact
from tests.torture.place import Place

__all__ = ["COMMANDS", "command"]

Said = tuple[list[str], list[Fact], list[Fact]]
_LONG_SECONDS: Final = 90.0
_PENDING: Final = KeyState.PENDING_DESTRUCTION


def _rotate(place: Place) -> Said:
    latest = place.ledger.keys["orders"].latest + 1
    return ["key", "rotate", "orders"], [("try-version", "orders")], [("version", "orders", latest)]


def _rewrap(place: Place) -> Said:
    before: list[Fact] = [("unfinished", "rewrap files")]
    return ["rewrap", "-r", str(place.files)], before, [("finished", "rewrap files")]


def _rewrap_rows(place: Place) -> Said:
    before: list[Fact] = [("unfinished", "rewrap rows")]
    where = ["--database", place.rows_url, "--table", "people", "--column", "value"]
    return ["rewrap", *where], before, [("finished", "rewrap rows")]


def _migrate(place: Place) -> Said:
    if "roll back files" in place.ledger.unfinished:  # which is to be finished first
        return _rotate(place)
    before: list[Fact] = [("unfinished", "migrate files")]
    arguments = ["migrate-xor", str(place.old_files), "-k", "orders"]
    return arguments, before, [("finished", "migrate files")]


def _look(place: Place) -> Said:
    pending = [n for n, may_be in place.ledger.keys["logs"].states.items() if _PENDING in may_be]
    before: list[Fact] = [("try-version", "due")]
    before += [("try-state", "logs", number, KeyState.DESTROYED.value) for number in pending]
    return ["rotation", "run", "--once"], before, []


def _backup(place: Place) -> Said:
    if "master" in place.ledger.unfinished:  # then there is none: it would need two master keys
        return _rotate(place)
    target = place.backups / secrets.token_hex(8)
    shutil.copy(place.home / "master.key", target.with_suffix(".key"))
    latest = {name: known.latest for name, known in place.ledger.keys.items()}
    fact: Fact = ("backup", str(target), latest, len(place.ledger.messages))
    return ["backup", str(target)], [], [fact]


COMMANDS: Final[dict[str, Callable[[Place], Said]]] = {
    "key rotate": _rotate,
    "rewrap -r": _rewrap,
    "rewrap --database": _rewrap_rows,
    "migrate-xor": _migrate,
    "rotation run --once": _look,
    "backup": _backup,
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
