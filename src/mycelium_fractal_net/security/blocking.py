"""A thread that must never wait for a backend says so, and is told before it would.

The service's event loop is such a thread. What does I/O calls :func:`about_to_block` before
it begins, and as far as that is possible before it has counted or changed anything, so that
the same call can be made again in another thread.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Final

__all__ = [
    "WouldBlockError",
    "WouldComputeError",
    "about_to_block",
    "about_to_compute",
    "allow_in_this_thread",
    "refuse_in_this_thread",
    "refuse_to_compute_in_this_thread",
    "refusing",
]


class WouldBlockError(Exception):
    """The call needs a backend, and this thread does not wait for one: make it in another.

    It is no :class:`MfnError`: nobody outside of this package ever gets it.
    """


class WouldComputeError(WouldBlockError):
    """The call computes for long, and this thread has other things to do: there is one for it."""


class _Thread(threading.local):
    refuses = False
    refuses_to_compute = False


_thread: Final = _Thread()


def refuse_in_this_thread() -> None:
    """From now on a call that would wait raises :class:`WouldBlockError` in this thread."""
    _thread.refuses = True


def refuse_to_compute_in_this_thread() -> None:
    """From now on a call that takes milliseconds of the processor raises
    :class:`WouldComputeError` in this thread."""
    _thread.refuses_to_compute = True


def allow_in_this_thread() -> None:
    """From now on this thread waits, as every thread does that never refused."""
    _thread.refuses = _thread.refuses_to_compute = False


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Within the block this thread refuses to wait, whatever it does outside."""
    before = _thread.refuses
    _thread.refuses = True
    try:
        yield
    finally:
        _thread.refuses = before


def about_to_block() -> None:
    """Raise :class:`WouldBlockError` in a thread that refuses to wait."""
    if _thread.refuses:
        raise WouldBlockError


def about_to_compute() -> None:
    """Raise :class:`WouldComputeError` in a thread that refuses to compute for long."""
    if _thread.refuses_to_compute:
        raise WouldComputeError
