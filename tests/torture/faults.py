"""The disk refuses one call of a rotation, each in turn: ``mfn key rotate`` under strace.

Injected are the calls that touch the store's files: what a call would have done does not happen,
and it returns EIO or, where it needs room, ENOSPC. The command then fails in one line or succeeds.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.support.cli import PROGRAM, environment
from tests.torture.checks import check, check_store
from tests.torture.place import new_place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from tests.torture.place import Place

__all__ = ["WRITING", "Fault", "FaultFigures", "faults", "inject"]

WRITING: Final = frozenset(
    ["fallocate", "fdatasync", "fsync", "ftruncate", "link", "linkat", "mkdir", "open", "openat",
     "pwrite64", "rename", "renameat", "renameat2", "write"]
)  # fmt: skip
_NEVER: Final = ("close", "exit", "exit_group", "munmap")  # theirs no program can act on
_LINE: Final = re.compile(r"(\d+) +(\w+)\((.*)")
_LONG_SECONDS: Final = 90.0
_ONE_LINE: Final = re.compile(r"mfn: (?!unexpected)[^\n]+\n\Z")
_FILES_IN_WORK: Final = ("keys.db-wal", "keys.db-shm", "keys.db.lock")


@dataclass(frozen=True, slots=True)
class Fault:
    """The n-th time that a thread makes this call on this file, it fails."""

    call: str
    path: Path
    number: int
    error: str

    def __str__(self) -> str:
        return f"{self.error} at {self.call} {self.number} of {self.path.name}"


@dataclass(slots=True)
class FaultFigures:
    """How many were injected at which call, and how many rotations succeeded all the same."""

    injected: Counter[str] = field(default_factory=Counter)
    succeeded: Counter[str] = field(default_factory=Counter)
    made: Counter[str] = field(default_factory=Counter)
    """Of those that said that they failed: how many had made a version."""

    def table(self) -> str:
        """One line for each call."""
        lines = [
            "| call | injected | it succeeded | it failed and had rotated |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {call} | {self.injected[call]} | {self.succeeded[call]} | {self.made[call]} |"
            for call in sorted(self.injected)
        ]
        all_of = (self.injected.total(), self.succeeded.total(), self.made.total())
        return "\n".join([*lines, "| all | {} | {} | {} |".format(*all_of)])


def _paths(place: Place) -> list[Path]:
    there = [place.home, *place.home.rglob("*")]
    return sorted({*there, *(place.home / name for name in _FILES_IN_WORK)})


def _strace(place: Place, paths: Iterable[Path], *options: str) -> subprocess.CompletedProcess[str]:
    named = [part for path in paths for part in ("-P", str(path))]
    command = [*PROGRAM, "--home", str(place.home), "--store", place.url, "key", "rotate", "orders"]
    return subprocess.run(
        ["strace", "-f", "-qq", "-y", *options, *named, *command],
        capture_output=True,
        text=True,
        check=False,
        cwd=place.folder,
        env=environment(),
        timeout=_LONG_SECONDS,
    )


def calls_of(place: Place) -> list[Fault]:
    """Every call that one rotation makes on the store's files, with each error that it may meet."""
    log = place.folder / "strace"
    paths = _paths(place)
    done = _strace(place, paths, "-o", str(log))
    if done.returncode:
        raise AssertionError(done.stderr)
    place.ledger.keys["orders"].latest += 1
    seen: Counter[tuple[str, str, Path]] = Counter()
    found: dict[tuple[str, Path, int, str], None] = {}
    for line in log.read_text().splitlines():
        match = _LINE.match(line)
        if match is None or match[2] in _NEVER:
            continue
        thread, call, rest = match.groups()
        named = [path for path in paths if f"<{path}>" in rest or f'"{path}"' in rest]
        if not named:
            continue
        path = max(named, key=lambda each: len(str(each)))
        seen[thread, call, path] += 1
        errors = ("EIO", "ENOSPC") if call in WRITING else ("EIO",)
        for error in errors:
            found[call, path, seen[thread, call, path], error] = None
    return [Fault(*each) for each in found]


def inject(place: Place, fault: Fault, draw: random.Random, figures: FaultFigures) -> None:
    """Rotate with that fault, see that nothing is lost, and rotate without it."""
    known = place.ledger.keys["orders"]
    before = known.latest
    known.tried += 1
    rule = f"inject={fault.call}:error={fault.error}:when={fault.number}"
    trace = ["-o", str(place.folder / "strace"), "-e", f"trace={fault.call}", "-e", rule]
    done = _strace(place, [fault.path], *trace)
    injected = "(INJECTED)" in (place.folder / "strace").read_text()
    if done.returncode == 0:
        known.latest, known.tried = before + 1, 0
    elif _ONE_LINE.search(done.stderr) is None:
        raise AssertionError(f"{fault}: failed with {done.returncode} and said\n{done.stderr}")
    figures.injected[fault.call] += injected
    figures.succeeded[fault.call] += injected and done.returncode == 0
    with place.open() as keyring:
        check(place, keyring, draw)
        if done.returncode and known.latest > before:
            figures.made[fault.call] += 1
        check_store(place, keyring)
        number = int(keyring.provider.rotate_key("orders").rpartition("v")[2])
        sealed = keyring.encrypt(b"after", key_id="orders")
        if number != known.latest + 1 or keyring.describe(sealed).version != number:
            raise AssertionError(f"{fault}: the next rotation made v{number}")
        place.ledger.take(("version", "orders", number))
        place.ledger.take(("sealed", sealed.hex(), b"after".hex(), "orders", number))


def faults(
    *,
    seed: int,
    parent: Path | None = None,
    chosen: Callable[[list[Fault]], list[Fault]] = lambda every: every,
    said: Callable[[str], None] = lambda _: None,
) -> FaultFigures:
    """Inject at each call in turn, on SQLite, or at those that are chosen of them."""
    if shutil.which("strace") is None:
        raise FileNotFoundError("strace is needed (Debian: strace)")
    figures, draw = FaultFigures(), random.Random(seed)
    place = new_place(None, parent)
    fault: Fault | None = None
    try:
        every = chosen(calls_of(place))
        said(f"{len(every)} faults")
        before, ledger = place.folder / "before", place.ledger
        shutil.copytree(place.home, before)
        for number, fault in enumerate(every, 1):
            # As it was: a segment that was given up is not written again, so nothing would fail.
            shutil.rmtree(place.home)
            shutil.copytree(before, place.home)
            place.ledger = deepcopy(ledger)
            inject(place, fault, draw, figures)
            if number % 50 == 0:
                said(f"{number} of {len(every)}")
    except BaseException as error:
        place.close(keep=True)
        error.add_note(f"{fault}; kept in {place.folder}")
        raise
    place.close()
    return figures
