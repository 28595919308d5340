"""Actors of which one runs at a time: each stops before whatever others can see or change.

They are greenlets of one thread: who has the turn is decided here alone, and passing it on costs no
more than a call.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final, NamedTuple

from greenlet import getcurrent, greenlet

_PASSED_OVER: Final = ("contextlib.py", "database.py", "world.py", "turns.py")


class GoneError(BaseException):
    """The process was killed: nothing that it would still do reaches the store."""


class Pending(NamedTuple):
    """What a thread does next: ``read``, ``write``, ``clock`` or ``begin``, and where."""

    kind: str
    where: str


class Actor:
    """Runs when it is given the turn. ``program`` is what it does; it begins at once."""

    def __init__(self, name: str, program: Callable[[], None]) -> None:
        self.name = name
        self.pending: Pending | None = None
        self.failure: BaseException | None = None
        self._dead = False
        self._inside = 0
        self._program = program
        self._others = getcurrent()
        self._self = greenlet(self._run)
        _ACTORS[self._self] = self
        self.step()

    # From outside ---------------------------------------------------------------------------

    def step(self) -> None:
        """Let it do what is pending, and all that follows until it would do something again."""
        self._self.switch()

    def kill(self) -> None:
        """End it where it is."""
        if self.pending is not None:
            self._dead = True
            self.step()
        _ACTORS.pop(self._self, None)

    # From inside ----------------------------------------------------------------------------

    def stop(self, kind: str) -> None:
        """Wait for the turn, before something of that kind."""
        if self._inside:
            return  # a transaction is one step, with all that is in it
        if self._dead:
            raise GoneError
        self.pending = Pending(kind, _where())
        self._others.switch()
        if self._dead:
            raise GoneError

    def enter(self) -> None:
        """A transaction begins."""
        self._inside += 1

    def leave(self) -> None:
        """It has ended."""
        self._inside -= 1

    def _run(self) -> None:
        try:
            self._program()
        except GoneError:
            pass
        except BaseException as error:
            self.failure = error
        finally:
            self.pending = None


_ACTORS: Final[dict[greenlet, Actor]] = {}


def here() -> Actor | None:
    """The actor that has the turn; None where the turns are given."""
    return _ACTORS.get(getcurrent())


def _where() -> str:
    """The function of the product that is at work, for whoever reads a schedule."""
    frame = sys._getframe(2)
    while frame is not None:
        code = frame.f_code
        if not code.co_filename.endswith(_PASSED_OVER):
            return code.co_name
        back = frame.f_back
        if back is None:
            break
        frame = back
    return "?"
