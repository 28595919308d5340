"""What all leases have in common: how they begin, are named, and end."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio

from mycelium_fractal_net.client.methods import Awaited, Blocking
from mycelium_fractal_net.client.steps import PerProcess
from mycelium_fractal_net.security.errors import MfnError
from mycelium_fractal_net.security.forking import OfOneProcess

if TYPE_CHECKING:
    from typing import Self

    from mycelium_fractal_net.client.drivers import AsyncDriver, Driver
    from mycelium_fractal_net.client.sender import Sender
    from mycelium_fractal_net.client.steps import Effects, Steps

_LOG: Final = logging.getLogger(__name__)


class State(Protocol):
    """What of the state of a lease is the same for all."""

    reference: str

    def renew(self) -> Steps[Any]:
        """Have granted what the lease is for."""

    def report(self) -> Steps[None]:
        """Have recorded what was done."""

    def end(self) -> None:
        """Forget what was granted."""


class AnyLease(OfOneProcess):
    """A base of all leases."""

    def __init__(self, state: State, sender: Sender, driver: Driver | AsyncDriver) -> None:
        self._granted = state
        self._sender = sender
        self._driver: Any = driver
        self._renewing: PerProcess[Any] = PerProcess(driver.new_lock)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.reference.removeprefix('lease ')}>"

    @property
    def reference(self) -> str:
        """What the audit records of what was granted and of the report are marked with."""
        return self._granted.reference

    def _start(self) -> Effects[None]:
        yield from self._sender.perform(self._granted.renew())

    def _finish(self, error: BaseException | None = None) -> Effects[None]:
        """The end; it does not hide the error that ended the work."""
        self._granted.end()
        try:
            yield from self._sender.perform(self._granted.report())
        except MfnError as unreported:
            if error is None:
                raise
            _LOG.warning("what was done under %s was not reported: %s", self.reference, unreported)


class BlockingLease(Blocking):
    """How a lease of a client that blocks begins and ends."""

    _start: Any
    _finish: Any

    def __enter__(self) -> Self:
        self._driver.run(self._start())
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._driver.run(self._finish(error))

    def close(self) -> None:
        """Forget what was granted, and have it recorded what was done.

        Where that fails, with the error of the service, the counts are kept: call it again. A
        report whose answer was lost may so be recorded twice, under one reference.
        """
        self._driver.run(self._finish())


class AwaitedLease(Awaited):
    """How a lease of a client that is awaited begins and ends."""

    _start: Any
    _finish: Any

    async def __aenter__(self) -> Self:
        await self._driver.run(self._start())
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with anyio.CancelScope(shield=True):  # a task that is cancelled reports too
            await self._driver.run(self._finish(error))

    async def aclose(self) -> None:
        """As :meth:`Lease.close`."""
        await self._driver.run(self._finish())
