"""Several processes on one listening socket, forked from one that holds nothing open.

A worker that dies is replaced; the signal that ends the parent ends them all, gracefully; and a
parent that is killed takes them along, since they watch a pipe of which it holds the other end.
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import tempfile
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Supervisor"]

_LOG: Final = logging.getLogger(__name__)
_WATCHED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
_ENDING: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_TOO_SOON_SECONDS: Final = 2.0  # a worker that ends before that would end again
_KILL_AFTER_SECONDS: Final = 5.0  # beyond what the workers were given to finish


class Supervisor:
    """Keeps ``workers`` processes running. Make it before the service is imported.

    The ``work`` of :meth:`run` gets two file descriptors: one to write a byte to when it serves,
    one whose end means that the parent is gone. It returns an exit code.
    """

    def __init__(self, workers: int, *, shutdown_seconds: float) -> None:
        self._wanted = workers
        self._shutdown_seconds = shutdown_seconds
        self._workers: dict[int, float] = {}
        self._pipe = os.pipe()
        self._ready = os.pipe()
        self.metrics_folder = tempfile.mkdtemp(prefix="mfn-metrics-")
        # How the library for metrics is told to sum up several processes, before its import.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = self.metrics_folder

    def run(self, work: Callable[[int, int], int]) -> int:
        """Run until a signal ends it; returns an exit code."""
        self._work = work
        former = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        try:
            for _ in range(self._wanted):
                self._start(former)
            return self._watch(former)
        finally:
            self._end()
            shutil.rmtree(self.metrics_folder, ignore_errors=True)
            for descriptor in (*self._pipe, *self._ready):
                os.close(descriptor)
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
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            code = self._work(self._ready[1], self._pipe[0])
        except BaseException as error:
            _LOG.error("a worker ended: %s", type(error).__name__)
        finally:
            os._exit(code)

    def _watch(self, mask: set[int | signal.Signals]) -> int:
        while True:
            number = signal.sigwait(_WATCHED)
            if number in _ENDING:
                return 0
            for pid, code, lived in self._reap():
                if lived < _TOO_SOON_SECONDS:
                    _LOG.error("worker %s ended at once, with code %s", pid, code)
                    return 1
                _LOG.error("worker %s ended with code %s; another takes its place", pid, code)
                self._start(mask)

    def _reap(self) -> list[tuple[int, int, float]]:
        from prometheus_client.multiprocess import mark_process_dead

        ended = []
        for pid in list(self._workers):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                lived = monotonic() - self._workers.pop(pid)
                mark_process_dead(pid, self.metrics_folder)  # type: ignore[no-untyped-call]
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
