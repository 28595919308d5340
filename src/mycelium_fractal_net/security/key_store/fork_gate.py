"""A fork waits until no other thread is in the middle of a transaction.

SQLite keeps the locks that a process has on a database in the process's memory, and a child gets
a copy of that: of a transaction that another thread had begun it would wait for the end for ever.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator


_WAIT_SECONDS: Final = 10.0  # for a transaction that does not end a fork does not wait for ever


class _HeldByThread(threading.local):
    depth = 0


class ForkGate:
    """Counts the transactions of a process; a fork comes between them. For any thread.

    It lives as long as the process.
    """

    def __init__(self) -> None:
        self._thread = _HeldByThread()
        self._start_anew()
        os.register_at_fork(
            before=self.close, after_in_parent=self.open, after_in_child=self._start_anew
        )

    def _start_anew(self) -> None:
        self._changed = threading.Condition()
        self._inside = int(self._thread.depth > 0)
        self._forking = 0

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """No other thread forks within the block, which may be within another one."""
        with self._changed:
            if not self._thread.depth:
                self._changed.wait_for(lambda: not self._forking, _WAIT_SECONDS)
                self._inside += 1
            self._thread.depth += 1
        try:
            yield
        finally:
            with self._changed:
                self._thread.depth -= 1
                if not self._thread.depth:
                    self._inside -= 1
                    self._changed.notify_all()

    def close(self) -> None:
        """Let no transaction begin, and wait for those of other threads to end."""
        with self._changed:
            self._forking += 1
            own = int(self._thread.depth > 0)
            self._changed.wait_for(lambda: self._inside <= own, _WAIT_SECONDS)

    def open(self) -> None:
        """Let transactions begin again."""
        with self._changed:
            self._forking -= 1
            self._changed.notify_all()
