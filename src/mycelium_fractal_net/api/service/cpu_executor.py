"""One thread for what keeps the processor busy for many milliseconds, and a short queue before it.

On the event loop it would stop every other request; in the threads that wait for the key store, a
few such requests would keep those from everybody. Here a flood of them waits for itself alone, and
past the queue is told to come later.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.api.http.problems import RequestError
from mycelium_fractal_net.api.service.costs import WAITING_SECONDS
from mycelium_fractal_net.security.blocking import refuse_to_ask_in_this_thread

if TYPE_CHECKING:
    from collections.abc import Callable

_NICE: Final = 10  # nice(1): the thread gets what the event loop leaves of a processor


class CpuExecutor:
    """Runs one thing at a time, in a thread of that name, which stands back."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, name, _stand_back)
        self._held = 0.0  # seconds, of what is at work or waits

    async def run(self, seconds: float, work: Callable[..., Any], *arguments: Any) -> Any:
        """What ``work`` returns, which takes some ``seconds`` of a processor.

        Raises :class:`RequestError` where too much waits already.
        """
        if self._held and self._held + seconds > WAITING_SECONDS:
            raise RequestError("overloaded", "too much that takes long waits; try again")
        self._held += seconds
        future = asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
        # Also where nobody waits for it any more.
        future.add_done_callback(lambda _: self._let_go(seconds))
        return await future

    def _let_go(self, seconds: float) -> None:
        self._held = max(0.0, self._held - seconds)

    def close(self) -> None:
        """Take nothing more; what is at work ends by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _stand_back() -> None:
    refuse_to_ask_in_this_thread()
    with contextlib.suppress(OSError):
        # On Linux a priority is a thread's own (setpriority(2), NOTES).
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
