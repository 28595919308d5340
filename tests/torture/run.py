"""The run: stores in turn, kills at random moments, checks after each, and figures at the end."""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Final

from tests.torture.checks import check, check_backups, check_whole
from tests.torture.command import COMMANDS, command
from tests.torture.killing import forked
from tests.torture.operations import BESIDE, OPERATIONS
from tests.torture.place import new_place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mycelium_fractal_net.security.keyring.keyring import Keyring
    from tests.torture.killing import Outcome, Tell
    from tests.torture.operations import Operation
    from tests.torture.place import Place

__all__ = ["Figures", "TortureFailedError", "torture"]

KILLS_PER_PLACE: Final = 200  # its audit log and its keys' versions grow with each
WHOLE_EVERY: Final = 25
_BESIDE: Final = 0.15
_COMMAND: Final = 0.015  # of which a third ends before its kill
_LATEST: Final = 1.15  # of the usual time: some end before their kill
_REMEMBERED: Final = 15


class TortureFailedError(AssertionError):
    """With the step that did it; the folder is kept."""


@dataclass(slots=True)
class Figures:
    """How many were killed, and where."""

    kills: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    resolved: Counter[str] = field(default_factory=Counter)
    beside: int = 0
    whole: int = 0
    seconds: float = 0.0
    usual: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, outcome: Outcome) -> None:
        """Count one child."""
        if outcome.said("done"):
            times = self.usual.setdefault(name, [])
            times.append(outcome.seconds)
            del times[:-_REMEMBERED]
        (self.kills if outcome.killed else self.ended)[name] += 1

    def table(self) -> str:
        """One line for each operation, and what else there is to say."""
        lines = ["| operation | killed | ended before | ms of one |", "|---|---|---|---|"]
        lines += [
            f"| {name} | {self.kills[name]:,} | {self.ended[name]:,}"
            f" | {1000 * median(self.usual.get(name, [0.0])):.0f} |"
            for name in sorted(self.kills)
        ]
        lines += [
            f"| all | {self.kills.total():,} | {self.ended.total():,} | |",
            "",
            f"{self.seconds:.0f} s; {self.beside:,} beside another process,"
            f" {self.whole:,} whole checks",
            f"changes left open by a kill: {dict(self.resolved)}",
        ]
        return "\n".join(lines)


def torture(
    kills: int,
    *,
    seed: int,
    database: Callable[[], str] | None = None,
    parent: Path | None = None,
    only: str | None = None,
    kills_per_place: int = KILLS_PER_PLACE,
    commands: float = _COMMAND,
    figures: Figures | None = None,
) -> Figures:
    """Kill that many processes; ``database`` makes a PostgreSQL database, without it on SQLite.

    ``only`` names one operation, ``commands`` is the share that are the real command line.
    Raises :class:`TortureFailedError`, which says the seed and the step.
    """
    figures = figures or Figures()
    done = number = 0
    while done < kills:
        started = time.monotonic()
        draw = random.Random(f"{seed} {number}")
        place = new_place(None if database is None else database(), parent)
        run = _Run(place, draw, figures, only, commands)
        try:
            done += run.kill(min(kills_per_place, kills - done))
        except BaseException as error:
            place.close(keep=True)
            if not isinstance(error, Exception):
                raise
            raise TortureFailedError(
                f"seed {seed}, store {number} ({place.url}), step {run.step}: {run.doing};"
                f" kept in {place.folder}\n{error}"
            ) from error
        finally:
            figures.seconds += time.monotonic() - started
        place.close()
        number += 1
    return figures


class _Run:
    """One store, until its share of processes was killed."""

    def __init__(
        self,
        place: Place,
        draw: random.Random,
        figures: Figures,
        only: str | None,
        commands: float,
    ) -> None:
        self.step = 0
        self.doing = ""
        self._place = place
        self._draw = draw
        self._figures = figures
        self._names = [only] if only else list(OPERATIONS)
        self._weights = [OPERATIONS[name][1] for name in self._names]
        self._commands = commands
        self._resolved: Counter[str] = Counter()
        self._keyring: Keyring

    def kill(self, count: int) -> int:
        """Have that many killed, one after the other; returns their number."""
        killed = 0
        with self._place.open() as self._keyring:
            while killed < count:
                self.step += 1
                killed += self._one()
                check(self._place, self._keyring, self._draw)
                if self.step % WHOLE_EVERY == 0:
                    self._whole()
            self._whole()
        self.doing = "the check of the backups"
        check_backups(self._place)
        self._figures.resolved += self._resolved
        return killed

    def _whole(self) -> None:
        self.doing = f"the whole check after {self.doing}"
        self._resolved = check_whole(self._place, self._keyring)
        self._figures.whole += 1

    def _one(self) -> bool:
        if self._draw.random() < self._commands:
            return self._command()
        name = self._draw.choices(self._names, self._weights)[0]
        usual = self._figures.usual.get(self._kind(name), [])
        self.doing = name
        with self._beside():
            child = forked(self._work(OPERATIONS[name][0]), self._draw.getrandbits(32))
            if len(usual) < 3:  # how long it takes is not known yet
                outcome = child.ended()
            else:
                outcome = child.kill_after(
                    self._draw.uniform(0, _LATEST) * self._draw.choice(usual)
                )
            self._took(outcome)
        self._figures.add(self._kind(name), outcome)
        return outcome.killed

    def _kind(self, name: str) -> str:
        return f"{name}, {'SQLite' if self._place.on_sqlite else 'PostgreSQL'}"

    def _command(self) -> bool:
        name = self._draw.choice(list(COMMANDS))
        self.doing = f"mfn {name}"
        usual = self._figures.usual.get(self._kind(self.doing), [])
        limit = None if not usual else self._draw.uniform(0.2, _LATEST) * median(usual)
        self._place.about_to_fork()
        outcome = command(self._place, name, limit)
        self._place.quiet()
        self._took(outcome)
        self._figures.add(self._kind(self.doing), outcome)
        return outcome.killed

    @contextlib.contextmanager
    def _beside(self) -> Iterator[None]:
        """Around a child that is killed: sometimes another one, which must come to its end."""
        self._place.about_to_fork()
        other = None
        if self._draw.random() < _BESIDE:
            # A scheduler erases what the other is about to move, or to cancel.
            apart = {"a scheduler"} if self.doing == "cleanup: to pending" else set()
            name = self._draw.choice(sorted(BESIDE.keys() - apart))
            self.doing += f" beside {name}"
            other = forked(self._work(BESIDE[name]), self._draw.getrandbits(32))
            self._figures.beside += 1
        yield
        if other is not None:
            self._took(other.ended())
        self._place.quiet()

    def _took(self, outcome: Outcome) -> None:
        for fact in outcome.facts:
            self._place.ledger.take(fact)
        if outcome.failure is not None:
            raise TortureFailedError(outcome.failure)

    def _work(self, operation: Operation) -> Callable[[Tell], None]:
        place = self._place

        def work(tell: Tell) -> None:
            place.leave_to_parent()
            operation(place, tell, random.Random(random.getrandbits(32)))

        return work
