"""Run a module as ``python -m`` does, and count where its main thread uses CPU.

python -m benchmarks.http.sampled FILE MODULE [ARGUMENT ...]

The first SIGUSR2 begins, the second one ends and writes FILE. In between a timer interrupts every
few milliseconds of CPU. A sample weighs the CPU time of the main thread since the last one, so that
other threads do not show as its work. FILE gets JSON: for each stack its seconds, then its frames,
innermost first, as ``file:function``.
"""

from __future__ import annotations

import json
import opcode
import runpy
import signal
import sys
import time
from collections import defaultdict
from pathlib import Path
from types import FrameType

_EVERY_SECONDS = 0.002
_DEPTH = 40
_RESUME = opcode.opmap["RESUME"]


class Sampler:
    """Counts stacks between two signals. For the main thread only, where Python handles them."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._seconds: dict[tuple[str, ...], float] = defaultdict(float)
        self._last = 0.0
        self._running = False

    def install(self) -> None:
        signal.signal(signal.SIGPROF, self._sample)
        signal.signal(signal.SIGUSR2, self._turn)
        # A system call that was interrupted goes on: the server does not notice the samples.
        signal.siginterrupt(signal.SIGPROF, False)

    def _turn(self, _number: int, _frame: FrameType | None) -> None:
        self._running = not self._running
        every = _EVERY_SECONDS if self._running else 0
        self._last = time.thread_time()
        signal.setitimer(signal.ITIMER_PROF, every, every)
        if not self._running:
            stacks = [[seconds, *stack] for stack, seconds in self._seconds.items()]
            made = self._out.with_suffix(".new")
            made.write_text(json.dumps(stacks))
            made.rename(self._out)

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        now = time.thread_time()
        # Signals are handled late: a function that has just been entered did none of the work.
        if frame is not None and frame.f_code.co_code[frame.f_lasti] == _RESUME:
            frame = frame.f_back
        stack: list[str] = []
        while frame is not None and len(stack) < _DEPTH:
            stack.append(f"{frame.f_code.co_filename}:{frame.f_code.co_qualname}")
            frame = frame.f_back
        self._seconds[tuple(stack)] += now - self._last
        self._last = now


def main() -> None:
    out, module = Path(sys.argv[1]), sys.argv[2]
    sys.argv = sys.argv[2:]
    Sampler(out).install()
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
