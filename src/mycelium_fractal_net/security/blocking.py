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
    "about_to_block",
    "allow_in_this_thread",
    "refuse_in_this_thread",
    "refusing",
]


class WouldBlockError(Exception):
    """The call needs a backend, and this thread does not wait for one: make it in another.

    It is no :class:`MfnError`: nobody outside of this package ever gets it.
    """


class _Thread(threading.local):
    refuses = False


_thread: Final = _Thread()


def refuse_in_this_thread() -> None:
    """From now on a call that would wait raises :class:`WouldBlockError` in this thread."""
    _thread.refuses = True


def allow_in_this_thread() -> None:
    """From now on this thread waits, as every thread does that never refused."""
    _thread.refuses = False


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
