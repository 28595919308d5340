"""Several processes on one listening socket, forked from one that holds nothing open.

A worker that dies is replaced; the signal that ends the parent ends them all, gracefully; and a
parent that is killed takes them along, since they watch a pipe of which it holds the other end.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket
    from types import FrameType

_LOG: Final = logging.getLogger(__name__)
_ENDING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_SOON_SECONDS: Final = 2.0  # a worker that ended before that may well end again,
_PAUSE_SECONDS: Final = 1.0  # so the next one waits that long
_READY_SECONDS: Final = 0.05  # between two looks whether one of them serves
_KILL_AFTER_SECONDS: Final = 5.0  # beyond what the workers were given to finish
SERVES: Final = b"."
"""What a worker says once it serves."""


def _ignore(_number: int, _frame: FrameType | None) -> None: ...


class Supervisor:
    """Keeps ``workers`` processes running, and passes some signals on to them.

    ``serving`` is called once, when the first of them serves.
    The ``work`` of :meth:`run` gets two file descriptors: one to write :data:`SERVES` to,
    one whose end means that the parent is gone. It returns an exit code.
    """

    def __init__(
        self,
        workers: int,
        *,
        shutdown_seconds: float,
        serving: Callable[[], None],
        passes_on: frozenset[signal.Signals] = frozenset(),
    ) -> None:
        self._wanted = workers
        self._passes_on = passes_on
        self._serving = serving
        self._shutdown_seconds = shutdown_seconds
        self._workers: dict[int, float] = {}
        self._missing: list[float] = []  # when each worker that is to be replaced may start
        self._has_served = False
        self._pipe = os.pipe()
        self._ready = os.pipe()
        os.set_blocking(self._ready[0], False)

    def run(self, work: Callable[[int, int], int], listening: socket) -> int:
        """Run until a signal ends it; returns an exit code.

        ``listening`` is the socket that the workers accept from. It is closed once they are to
        end, so that nobody waits in its queue for an answer that will not come.
        """
        self._work = work
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # were it ignored, none could be waited for
        # One that is ignored, as SIGHUP is under nohup, stays so.
        ending = [n for n in _ENDING if signal.getsignal(n) is not signal.SIG_IGN]
        watched = {signal.SIGCHLD, *ending}
        former = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
        try:
            for _ in range(self._wanted):
                self._start(former)
            return self._watch(former, watched)
        finally:
            listening.close()
            self._end()
            for descriptor in (*self._pipe, *self._ready):
                os.close(descriptor)
            while signal.sigtimedwait(watched, 0):  # a second Ctrl-C while the workers ended
                pass
            signal.pthread_sigmask(signal.SIG_SETMASK, former)

    def _start(self, mask: set[int | signal.Signals]) -> None:
        child = os.fork()
        if child:
            self._workers[child] = monotonic()
            return
        code = 1
        try:
            os.close(self._pipe[1])
            for number in _ENDING:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    # Until it serves, nothing is there to be done by one that is passed on.
                    ends = number not in self._passes_on
                    signal.signal(number, signal.SIG_DFL if ends else _ignore)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            code = self._work(self._ready[1], self._pipe[0])
        except BaseException as error:
            _LOG.error("a worker ended: %s", type(error).__name__)
        finally:
            os._exit(code)

    def _watch(self, mask: set[int | signal.Signals], watched: set[signal.Signals]) -> int:
        while True:
            pause = _PAUSE_SECONDS if self._has_served else _READY_SECONDS
            patience = min(self._missing, default=monotonic() + pause) - monotonic()
            found = signal.sigtimedwait(watched, max(0.0, patience))
            if found is not None and found.si_signo in self._passes_on:
                for pid in self._workers:
                    os.kill(pid, found.si_signo)
                continue
            if found is not None and found.si_signo != signal.SIGCHLD:
                return 0
            with contextlib.suppress(BlockingIOError):
                if os.read(self._ready[0], 1) and not self._has_served:
                    self._has_served = True
                    self._serving()
            for pid, code, lived in self._reap():
                if not self._has_served:
                    _LOG.error("worker %s ended before it served, with code %s", pid, code)
                    return 1
                _LOG.error("worker %s ended with code %s; another takes its place", pid, code)
                pause = _PAUSE_SECONDS if lived < _SOON_SECONDS else 0.0
                self._missing.append(monotonic() + pause)
            due = [moment for moment in self._missing if moment <= monotonic()]
            for moment in due:
                self._missing.remove(moment)
                self._start(mask)

    def _reap(self) -> list[tuple[int, int, float]]:
        ended = []
        for pid in list(self._workers):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                lived = monotonic() - self._workers.pop(pid)
                ended.append((pid, os.waitstatus_to_exitcode(status), lived))
        return ended

    def _end(self) -> None:
        """Let every worker finish what it accepted; kill what takes longer than it may."""
        for pid in self._workers:
            os.kill(pid, signal.SIGTERM)
        deadline = monotonic() + self._shutdown_seconds + _KILL_AFTER_SECONDS
        while self._workers and monotonic() < deadline:
            signal.sigtimedwait((signal.SIGCHLD,), 0.2)
            self._reap()
        for pid in self._workers:
            _LOG.error("worker %s did not end in time", pid)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._workers.clear()
