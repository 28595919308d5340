"""Threads that are used again, and end when nobody needs them."""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import pytest

from mycelium_fractal_net.security.key_providers import daemon_threads
from mycelium_fractal_net.security.key_providers.daemon_threads import DaemonThreads

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "mfn-test-daemon"


def alive() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == NAME]


def do(threads: DaemonThreads) -> threading.Thread:
    """The thread that did something."""
    told: SimpleQueue[threading.Thread] = SimpleQueue()
    threads.start(lambda: told.put(threading.current_thread()))
    found = told.get(timeout=5)
    time.sleep(0.02)  # until it is idle
    return found


def test_one_after_the_other_takes_one_thread_and_at_once_takes_two() -> None:
    """And no process waits for any of them."""
    threads = DaemonThreads(NAME, idle_seconds=0.2)
    first = do(threads)
    assert first.daemon
    assert do(threads) is first
    ends = threading.Event()
    threads.start(lambda: bool(ends.wait(5)))  # type: ignore[arg-type]
    assert do(threads) is not first
    ends.set()
    first.join(2)
    end = time.monotonic() + 2
    while alive() and time.monotonic() < end:
        time.sleep(0.02)
    assert alive() == []
    assert do(threads) is not first


def test_work_that_comes_as_a_thread_ends_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever chose it while it looked has not chosen in vain."""
    done = threading.Event()

    class Late(SimpleQueue):  # type: ignore[type-arg]
        """Nothing comes in time, and then something."""

        def get(self, block: bool = True, timeout: float | None = None) -> Callable[[], None]:
            if timeout is not None and not done.is_set() and threads._idle:
                threads._idle.clear()  # as start does
                self.put(done.set)
                raise Empty
            found: Callable[[], None] = super().get(block, timeout)
            return found

    monkeypatch.setattr(daemon_threads, "SimpleQueue", Late)
    threads = DaemonThreads(NAME, idle_seconds=0.1)
    threads.start(lambda: None)
    assert done.wait(5)
    end = time.monotonic() + 2
    while alive() and time.monotonic() < end:
        time.sleep(0.02)
    assert alive() == []  # or it would be busy for as long as this process lives
