"""A thread that must never wait for a backend says so, and is told before it would.

The service's event loop is such a thread. What does I/O calls :func:`about_to_block` before
it begins, and as far as that is possible before it has counted or changed anything, so that
the same call can be made again in another thread.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future
from typing import Final, Generic, TypeVar

from mycelium_fractal_net.security.forking import in_child

_T = TypeVar("_T")


class WouldBlockError(Exception):
    """The call needs a backend, and this thread does not wait for one: make it in another.

    It is no :class:`MfnError`: nobody outside of this package ever gets it.
    """


class WouldComputeError(WouldBlockError):
    """The call computes for long, and this thread has other things to do: there is one for it."""


class WouldAskError(WouldBlockError):
    """The call asks the custodian for a signature: there are threads for that, and a limit."""


class _Thread(threading.local):
    refuses = False
    refuses_to_compute = False
    refuses_to_ask = False


_thread: Final = _Thread()


def refuse_in_this_thread() -> None:
    """From now on a call that would wait raises :class:`WouldBlockError` in this thread."""
    _thread.refuses = True


def refuse_to_compute_in_this_thread() -> None:
    """From now on a call that takes milliseconds of the processor raises
    :class:`WouldComputeError` in this thread."""
    _thread.refuses_to_compute = True


def refuse_to_ask_in_this_thread() -> None:
    """From now on a call that asks a custodian for a signature raises :class:`WouldAskError` in
    this thread."""
    _thread.refuses_to_ask = True


def allow_in_this_thread() -> None:
    """From now on this thread waits, as every thread does that never refused."""
    _thread.refuses = _thread.refuses_to_compute = _thread.refuses_to_ask = False


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


def about_to_ask() -> None:
    """Raise :class:`WouldBlockError` in a thread that refuses to wait, or to ask a custodian for
    a signature."""
    if _thread.refuses_to_ask:
        raise WouldAskError
    about_to_block()


class SingleFlight(Generic[_T]):
    """Of threads that ask for the same thing at once one fetches it, and the others get the same.

    Nothing is kept: who asks later fetches anew. An error is everybody's, too.
    """

    def __init__(self) -> None:
        self._start_anew()
        # The thread that fetches is the parent's: in a child nobody would ever land.
        in_child(self, SingleFlight._start_anew)

    def _start_anew(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[Hashable, Future[_T]] = {}

    def fetch(self, name: Hashable, fetch: Callable[[], _T]) -> _T:
        """What ``fetch`` gives, called here or by whoever asks for ``name`` just now."""
        with self._lock:
            flight = self._flights.get(name)
            if flight is None:
                mine = self._flights[name] = Future()
        if flight is not None:
            return flight.result()
        try:
            mine.set_result(fetch())
        except BaseException as error:
            mine.set_exception(error)
        finally:
            with self._lock:
                self._flights.pop(name, None)
        return mine.result()
