"""Where work is done beside the event loop: threads that wait for the store, threads that wait for
a custodian's signatures, one that computes, one that searches. None keeps the others waiting."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.api.http.problems import RequestError
from mycelium_fractal_net.api.service.costs import SCAN_SECONDS
from mycelium_fractal_net.api.service.cpu_executor import CpuExecutor
from mycelium_fractal_net.security.blocking import (
    refuse_to_ask_in_this_thread,
    refuse_to_compute_in_this_thread,
)
from mycelium_fractal_net.security.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

_LOG: Final = logging.getLogger(__name__)
_THREADS: Final = 8
_SIGNING_THREADS: Final = 16  # as many as a custodian on another machine is asked by
_SIGNATURES: Final = 64  # under way or waiting; who comes then is told to come later
_PATIENCE_SECONDS: Final = 30.0  # for what a thread does; beyond, the store does not answer


class Executors:
    """All of one process. ``check`` raises where the store is known not to answer."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._threads = ThreadPoolExecutor(_THREADS, "mfn-service", _wait_for_the_store)
        self._asking = ThreadPoolExecutor(_SIGNING_THREADS, "mfn-sign")
        self._asked = 0
        self._computing = CpuExecutor("mfn-cpu")
        self._scanning = CpuExecutor("mfn-scan")
        self._abandoned: set[asyncio.Future[Any]] = set()

    async def in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """What ``work`` returns, run in a thread.

        Raises :class:`StoreUnavailableError` where the store is known not to answer, or nothing
        comes back for a long time: nobody waits for a thread that waits for a silent store.
        """
        return await self.within(_PATIENCE_SECONDS, self._threads, self._run, work, *arguments)

    async def compute(self, seconds: float, work: Callable[..., Any], *arguments: Any) -> Any:
        """The same in the one thread for what computes for ``seconds``, and does not wait for long.

        Raises :class:`RequestError` where too much waits for it already.
        """
        return await self._computing.run(seconds, self._run, work, *arguments)

    async def scan(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """The same in the one thread for what searches files, within its budget of time."""
        return await self._scanning.run(SCAN_SECONDS, work, *arguments)

    async def ask(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """The same in a thread for what has the custodian sign.

        How long that takes the custodian's deadline bounds. Raises :class:`RequestError` where too
        many wait for it already.
        """
        if self._asked >= _SIGNATURES:
            raise RequestError("overloaded", "too many signatures are under way; try again")
        self._asked += 1
        future = asyncio.get_running_loop().run_in_executor(
            self._asking, self._run, work, *arguments
        )
        # Also where nobody waits for it any more.
        future.add_done_callback(self._answered)
        return await future

    def _answered(self, _: asyncio.Future[Any]) -> None:
        self._asked -= 1

    def _run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        self._check()
        return work(*arguments)

    async def within(
        self, seconds: float, threads: ThreadPoolExecutor, work: Callable[..., Any], *arguments: Any
    ) -> Any:
        """What ``work`` returns. Raises :class:`StoreUnavailableError` where that takes longer."""
        future = asyncio.get_running_loop().run_in_executor(threads, work, *arguments)
        done, _ = await asyncio.wait((future,), timeout=seconds)
        if done:
            return future.result()
        self._abandoned.add(future)
        future.add_done_callback(self._take_back)
        raise StoreUnavailableError("the key store does not answer in time")

    def _take_back(self, future: asyncio.Future[Any]) -> None:
        self._abandoned.discard(future)
        if not future.cancelled() and (error := future.exception()) is not None:
            _LOG.warning("what was waited for too long ended: %s", type(error).__name__)

    @property
    def is_stuck(self) -> bool:
        """Whether a thread still waits for a store that is silent, perhaps for ever."""
        return bool(self._abandoned)

    def close(self) -> None:
        """Take nothing more; what is at work ends by itself."""
        self._threads.shutdown(wait=False)
        self._asking.shutdown(wait=False, cancel_futures=True)
        self._computing.close()
        self._scanning.close()


def _wait_for_the_store() -> None:
    """And for nothing else."""
    refuse_to_compute_in_this_thread()
    refuse_to_ask_in_this_thread()
