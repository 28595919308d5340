"""Local mode: sealing and opening on the own machine, under data keys that the service grants."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final, TypeVar

import anyio

from mycelium_fractal_net.client import batches, operations
from mycelium_fractal_net.client.batches import DecryptItem
from mycelium_fractal_net.client.processes import OfProcess
from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import MfnError, ServiceUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self

    from cryptography.utils import Buffer

    from mycelium_fractal_net.client.batches import BatchLimits
    from mycelium_fractal_net.client.lease_core import LeaseCore
    from mycelium_fractal_net.client.running import AsyncRunner, Runner
    from mycelium_fractal_net.client.steps import Steps
    from mycelium_fractal_net.security.sealed.sealer import Sealer

__all__ = ["AsyncLease", "Lease"]

T = TypeVar("T")

_LOG: Final = logging.getLogger(__name__)
_TOO_SLOW: Final = "the lease ran out before it could be used: it is for less than asking takes"


class _Lease:
    """What both kinds of lease have."""

    def __init__(self, core: LeaseCore, limits: BatchLimits) -> None:
        self._core = core
        self._limits = limits

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._core.reference.removeprefix('lease ')}>"

    @property
    def reference(self) -> str:
        """What the audit records of the data keys and of the report are marked with."""
        return self._core.reference

    def _of_service(self, message: Buffer, associated_data: Buffer) -> Steps[bytes]:
        return operations.decrypt(
            message,
            key_id=self._core.key_id,
            associated_data=associated_data,
            data_key_associated_data=self._core.associated_data,
            reference=self._core.reference,
        )

    def _opened_here(
        self, items: list[DecryptItem]
    ) -> tuple[list[bytes | MfnError | None], list[DecryptItem]]:
        """What is opened here, and what the service has to open."""
        self._core.check()
        results: list[bytes | MfnError | None] = []
        for item in items:
            try:
                found = self._opened(item)
            except MfnError as error:
                if self._core.ended:
                    raise
                results.append(error)
            else:
                results.append(found)
        left = [item for item, found in zip(items, results, strict=True) if found is None]
        return results, left

    def _opened(self, item: DecryptItem) -> bytes | None:
        """What is opened here. One that says more than this lease is for, the service judges."""
        core = self._core
        message, bound = as_bytes(item.message), bytes(as_bytes(item.associated_data))
        of_data_key = bytes(as_bytes(item.data_key_associated_data))
        if (item.format, item.key_id or core.key_id) != ("sealed", core.key_id):
            return None
        return core.opened(message, bound) if of_data_key == core.associated_data else None

    def _items(self, messages: Iterable[Buffer | DecryptItem], bound: Buffer) -> list[DecryptItem]:
        return [
            each
            if isinstance(each, DecryptItem)
            else DecryptItem(each, self._core.key_id, bound, self._core.associated_data)
            for each in messages
        ]

    def _warn(self, error: MfnError) -> None:
        _LOG.warning("what was done under %s was not reported: %s", self._core.reference, error)


def _merged(
    results: list[bytes | MfnError | None], of_service: Iterable[bytes | MfnError]
) -> list[bytes | MfnError]:
    more = iter(of_service)
    return [next(more) if found is None else found for found in results]


class Lease(_Lease):
    """Seals and opens on this machine, within bounds; made by :meth:`.Client.local`.

    Use it as a context manager, or call :meth:`close` at the end. Threads may share it; a
    process that forks gets a data key of its own. A revocation of the key or of the credential
    reaches it when its data key is renewed, so after its time at the latest.
    """

    def __init__(self, core: LeaseCore, limits: BatchLimits, runner: Runner) -> None:
        super().__init__(core, limits)
        self._runner = runner
        self._renewing = OfProcess(threading.Lock)

    def __enter__(self) -> Self:
        self._runner.run(self._core.renew())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except MfnError as unreported:
            if error is None:
                raise
            self._warn(unreported)  # and do not hide the error that ended the work

    def close(self) -> None:
        """Forget the data keys, and have it recorded what was done with them.

        Where that fails, with the error of the service, the counts are kept: call it again. A
        report whose answer was lost may so be recorded twice, under one reference.
        """
        self._core.end()
        self._runner.run(self._core.report())

    def encrypt(self, data: Buffer, *, associated_data: Buffer = b"") -> bytes:
        """A sealed message of the second form (docs/format.md), 188 bytes longer than ``data``
        and 16 more for each 16 KiB. Asks the service only for a new data key.
        """
        data = as_bytes(data)
        return self._sealer(len(data)).seal(data, associated_data)

    def _sealer(self, size: int) -> Sealer:
        sealer = self._core.sealer(size)
        if sealer is None:
            with self._renewing():
                sealer = self._core.sealer(size)  # another thread has renewed it meanwhile
                if sealer is None:
                    self._runner.run(self._core.renew())
                    sealer = self._core.sealer(size)
        if sealer is None:
            raise ServiceUnavailableError(_TOO_SLOW)
        return sealer

    def decrypt(self, message: Buffer, *, associated_data: Buffer = b"") -> bytes:
        """The plaintext of a message of this lease, or by the service of any other of the key.

        The latter asks the service each time: :meth:`decrypt_batch` asks for many at once.
        Raises :class:`DecryptionError`.
        """
        found = self._core.opened(as_bytes(message), bytes(as_bytes(associated_data)))
        if found is None:
            return self._runner.run(self._of_service(message, associated_data))
        return found

    def decrypt_batch(
        self, messages: Iterable[Buffer | DecryptItem], *, associated_data: Buffer = b""
    ) -> list[bytes | MfnError]:
        """:meth:`decrypt` for each; an error stands in the place of its message."""
        results, left = self._opened_here(self._items(messages, associated_data))
        if not left:
            return _merged(results, ())
        return _merged(results, self._runner.run(batches.decrypt_batch(self._limits, left)))


class AsyncLease(_Lease):
    """A :class:`Lease` whose service is awaited; made by :meth:`.AsyncClient.local`."""

    def __init__(self, core: LeaseCore, limits: BatchLimits, runner: AsyncRunner) -> None:
        super().__init__(core, limits)
        self._runner = runner
        self._renewing = OfProcess(anyio.Lock)

    async def __aenter__(self) -> Self:
        await self._runner.run(self._core.renew())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with anyio.CancelScope(shield=True):  # a task that is cancelled reports too
                await self.aclose()
        except MfnError as unreported:
            if error is None:
                raise
            self._warn(unreported)

    async def aclose(self) -> None:
        """As :meth:`Lease.close`."""
        self._core.end()
        await self._runner.run(self._core.report())

    async def encrypt(self, data: Buffer, *, associated_data: Buffer = b"") -> bytes:
        """As :meth:`Lease.encrypt`."""
        data = as_bytes(data)
        sealer = self._core.sealer(len(data))
        if sealer is None:
            async with self._renewing():
                sealer = self._core.sealer(len(data))
                if sealer is None:
                    await self._runner.run(self._core.renew())
                    sealer = self._core.sealer(len(data))
        if sealer is None:
            raise ServiceUnavailableError(_TOO_SLOW)
        return sealer.seal(data, associated_data)

    async def decrypt(self, message: Buffer, *, associated_data: Buffer = b"") -> bytes:
        """As :meth:`Lease.decrypt`."""
        found = self._core.opened(as_bytes(message), bytes(as_bytes(associated_data)))
        if found is None:
            return await self._runner.run(self._of_service(message, associated_data))
        return found

    async def decrypt_batch(
        self, messages: Iterable[Buffer | DecryptItem], *, associated_data: Buffer = b""
    ) -> list[bytes | MfnError]:
        """As :meth:`Lease.decrypt_batch`."""
        results, left = self._opened_here(self._items(messages, associated_data))
        if not left:
            return _merged(results, ())
        return _merged(results, await self._runner.run(batches.decrypt_batch(self._limits, left)))
