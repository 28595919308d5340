"""Shares the spans of a table out to processes, each with a connection of its own.

Processes and not threads: what is done to a short message holds the interpreter's lock. They are
forked, so that each has the keyring with its master key at hand, and no passphrase is asked for
or passed on. One that loses its parent ends with the span that it is at.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from multiprocessing.connection import Connection, Pipe, wait
from typing import Final, NoReturn, Protocol, cast

from mycelium_fractal_net.columns.located_column import Span
from mycelium_fractal_net.columns.moving import Part
from mycelium_fractal_net.security.errors import DatabaseUnavailableError, MfnError

_END_SECONDS: Final = 10.0  # that a process has to finish a span once nobody wants it any more
_POLL_SECONDS: Final = 0.01


class Worker(Protocol):
    """Works on spans."""

    def __call__(self, span: Span) -> Part:
        """Work on one."""

    def close(self) -> None:
        """Let go of what it holds."""


def run(
    spans: Iterable[Span], make: Callable[[], Worker], workers: int
) -> Generator[Part, None, None]:
    """Put every span through a worker; gives what became of each, in no order.

    ``make`` is called in each process. With one worker all is done in this process. The first
    reading of ``spans`` comes after the forks. Raises what a worker raises.
    """
    if workers == 1:
        worker = make()
        try:
            yield from map(worker, spans)
        finally:
            worker.close()
        return
    processes: dict[Connection, int] = {}
    try:
        for _ in range(workers):
            pipe, process = _fork(make, list(processes))
            processes[pipe] = process
        yield from _share_out(iter(spans), list(processes))
    finally:
        for pipe in processes:
            pipe.close()
        _end(list(processes.values()))


def _share_out(spans: Iterator[Span], idle: list[Connection]) -> Iterator[Part]:
    busy: list[Connection] = []
    following = next(spans, None)
    while following is not None or busy:
        while idle and following is not None:
            pipe = idle.pop()
            with contextlib.suppress(OSError):  # it has ended, as will show
                pipe.send(following)
            busy.append(pipe)
            following = next(spans, None)
        for pipe in cast("list[Connection]", wait(busy)):
            busy.remove(pipe)
            idle.append(pipe)
            yield _received(pipe)


def _received(pipe: Connection) -> Part:
    try:
        answer: Part | MfnError = pipe.recv()
    except (EOFError, OSError):
        raise DatabaseUnavailableError("a process that worked on the column was ended") from None
    if isinstance(answer, MfnError):
        raise answer
    return answer


# The processes -----------------------------------------------------------------------------


def _fork(make: Callable[[], Worker], others: list[Connection]) -> tuple[Connection, int]:
    ours, theirs = Pipe()
    with warnings.catch_warnings():
        # Threads of the parent are not in the child, and what the child uses is made for that.
        warnings.simplefilter("ignore", DeprecationWarning)
        process = os.fork()
    if not process:
        for pipe in (ours, *others):  # whoever holds one keeps the rest from seeing the parent end
            pipe.close()
        _child(theirs, make)
    theirs.close()
    return ours, process


def _child(pipe: Connection, make: Callable[[], Worker]) -> NoReturn:
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        _serve(pipe, make)
        code = 0
    except BaseException:  # noqa: S110 - nobody is left to tell; the parent sees the pipe's end
        pass
    finally:
        os._exit(code)


def _serve(pipe: Connection, make: Callable[[], Worker]) -> None:
    with contextlib.suppress(EOFError, OSError):
        try:
            worker = make()
            try:
                while True:
                    pipe.send(worker(pipe.recv()))
            finally:
                worker.close()
        except MfnError as error:
            pipe.send(error)


def _end(processes: list[int]) -> None:
    """Wait for processes that have nothing left to do; end those that take too long."""
    for number in (None, signal.SIGTERM, signal.SIGKILL):
        if number is not None:
            for process in processes:
                os.kill(process, number)
        until = time.monotonic() + _END_SECONDS
        while processes and time.monotonic() < until:
            processes = [process for process in processes if not _has_ended(process)]
            if processes:
                time.sleep(_POLL_SECONDS)


def _has_ended(process: int) -> bool:
    try:
        return os.waitpid(process, os.WNOHANG)[0] == process
    except ChildProcessError:  # somebody else in this program has waited for it
        return True
