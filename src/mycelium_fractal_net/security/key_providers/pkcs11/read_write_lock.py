"""A lock that many hold to use something, and one alone to change it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

from mycelium_fractal_net.security.errors import CustodianUnavailableError


class ReadWriteLock:
    """Who waits to change goes before who comes later to use. Neither side takes it twice.

    Nobody waits longer than ``seconds``: then :class:`CustodianUnavailableError` says that others
    hold it still.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._using = 0
        self._changing = False
        self._waiting = 0

    @property
    def using(self) -> int:
        """How many use it now."""
        return self._using

    @contextlib.contextmanager
    def read(self, seconds: float) -> Iterator[None]:
        """Use it within the block."""
        with self._changed:
            free = self._changed.wait_for(lambda: not self._changing and not self._waiting, seconds)
            if not free:
                raise CustodianUnavailableError("the HSM's library is being initialised anew")
            self._using += 1
        try:
            yield
        finally:
            with self._changed:
                self._using -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def write(self, seconds: float) -> Iterator[None]:
        """Have it alone within the block."""
        with self._changed:
            self._waiting += 1
            try:
                free = self._changed.wait_for(
                    lambda: not self._changing and not self._using, seconds
                )
            finally:
                self._waiting -= 1
                self._changed.notify_all()
            if not free:
                raise CustodianUnavailableError(
                    f"{self._using} calls to the HSM do not end, so its library cannot be"
                    " initialised anew"
                )
            self._changing = True
        try:
            yield
        finally:
            with self._changed:
                self._changing = False
                self._changed.notify_all()
