"""One thread for what keeps the processor busy for many milliseconds, and a short queue before it.

Opening a message of the XOR cipher takes 23 ms of PBKDF2. On the event loop it would stop every
other request; in the threads that wait for the key store, a few of them would keep those from
everybody. Here a flood of them waits for itself alone, and past the queue is told to come later.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.api.http.problems import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST: Final = 16  # requests at work or waiting, of at most 10 such messages: 4 s in the worst case
_NICE: Final = 10  # nice(1): the thread gets what the event loop leaves of a processor


class CpuExecutor:
    """Runs one thing at a time, in a thread that stands back."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "mfn-cpu", _stand_back)
        self._held = 0

    async def run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """What ``work`` returns. Raises :class:`RequestError` where too many wait already."""
        if self._held >= _MOST:
            raise RequestError("overloaded", "too many messages of the XOR cipher wait; try again")
        self._held += 1
        future = asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        future.add_done_callback(self._let_go)  # also where nobody waits for it any more
        return await future

    def _let_go(self, _: asyncio.Future[Any]) -> None:
        self._held -= 1

    def close(self) -> None:
        """Take nothing more; what is at work ends by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _stand_back() -> None:
    with contextlib.suppress(OSError):
        # On Linux a priority is a thread's own (setpriority(2), NOTES).
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
