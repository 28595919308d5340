"""A child process that does one operation, and is killed on the way."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import time
import traceback
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.torture.ledger import Fact

__all__ = ["Child", "Outcome", "Tell", "forked"]

_LONG_SECONDS: Final = 90.0  # whatever takes longer hangs
_READ_BYTES: Final = 1 << 16


class Tell:
    """The child's end: each fact is one write, which the parent has whole or not at all."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __call__(self, *fact: object) -> None:
        """Say it; what comes after this was acknowledged."""
        os.write(self._descriptor, json.dumps(fact).encode() + b"\n")

    def begun(self) -> None:
        """From here on a kill hits the operation itself."""
        self("begun")


@dataclass(slots=True)
class Outcome:
    """What a child said before it ended, and how it ended."""

    facts: list[Fact] = field(default_factory=list)
    killed: bool = False
    seconds: float = 0.0
    """From ``begun`` to the end."""

    def said(self, word: str) -> bool:
        """Whether it came to that word."""
        return any(fact[0] == word for fact in self.facts)

    @property
    def failure(self) -> str | None:
        """The traceback of a child that failed by itself."""
        return next((str(fact[1]) for fact in self.facts if fact[0] == "failed"), None)


class Child:
    """A process at work, with the pipe on which it says what it has done."""

    def __init__(self, pid: int, pipe: int) -> None:
        self._pid = pid
        self._pipe = pipe
        self._heard = b""
        self._begun_at: float | None = None

    def kill_after(self, seconds: float) -> Outcome:
        """Wait for its beginning, and that long; then kill it, if it is still there."""
        self._listen(lambda: self._begun_at is not None, _LONG_SECONDS)
        self._listen(lambda: False, seconds)
        os.kill(self._pid, signal.SIGKILL)
        return self.ended()

    def ended(self) -> Outcome:
        """Hear it out, and its own children too: the pipe ends with the last of them."""
        if not self._listen(lambda: False, _LONG_SECONDS):
            os.kill(self._pid, signal.SIGKILL)
            raise TimeoutError("a child, or a process that it left behind, does not end")
        ended = time.monotonic()
        os.close(self._pipe)
        _, status = os.waitpid(self._pid, 0)
        code = os.waitstatus_to_exitcode(status)
        lines = self._heard.split(b"\n")[:-1]
        facts: list[Fact] = [tuple(json.loads(line)) for line in lines]
        outcome = Outcome(facts, code == -signal.SIGKILL, ended - (self._begun_at or ended))
        if code not in (0, -signal.SIGKILL) and outcome.failure is None:
            outcome.facts.append(("failed", f"the child ended with {code}"))
        return outcome

    def _listen(self, until: Callable[[], bool], seconds: float) -> bool:
        """Take what it says for so long; returns whether the pipe has ended."""
        deadline = time.monotonic() + seconds
        while not until():
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._pipe], [], [], left)[0]:
                return False
            block = os.read(self._pipe, _READ_BYTES)
            if not block:
                return True
            self._heard += block
            if self._begun_at is None and b'["begun"]' in self._heard:
                self._begun_at = time.monotonic()
        return False


def forked(work: Callable[[Tell], None], seed: int) -> Child:
    """Run ``work`` in a child of this process, which must have no threads at work."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os.close(reading)
        tell = Tell(writing)
        code = 1
        try:
            random.seed(seed)
            work(tell)
            tell("done")
            code = 0
        except BaseException:
            tell("failed", traceback.format_exc()[-3000:])
        finally:
            os._exit(code)
    os.close(writing)
    return Child(pid, reading)
