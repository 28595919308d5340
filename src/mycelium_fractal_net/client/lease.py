"""Local mode: sealing and opening on the own machine, under data keys that the service grants."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.client import batches, operations
from mycelium_fractal_net.client.lease_base import AnyLease, AwaitedLease, BlockingLease
from mycelium_fractal_net.client.methods import Method
from mycelium_fractal_net.client.steps import Acquire, Effects
from mycelium_fractal_net.client.values import DecryptItem
from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import MfnError, ServiceUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mycelium_fractal_net.client.batches import BatchLimits
    from mycelium_fractal_net.client.drivers import AsyncDriver, Driver
    from mycelium_fractal_net.client.lease_state import LeaseState
    from mycelium_fractal_net.client.sender import Sender
    from mycelium_fractal_net.security.byte_io.buffers import Buffer
    from mycelium_fractal_net.security.sealed.sealer import Sealer

_ATTEMPTS: Final = 3
_TOO_SLOW: Final = "the lease ran out before it could be used: it is for less than asking takes"


class _Lease(AnyLease):
    """What both kinds of lease have."""

    def __init__(
        self,
        state: LeaseState,
        limits: BatchLimits,
        sender: Sender,
        driver: Driver | AsyncDriver,
    ) -> None:
        super().__init__(state, sender, driver)
        self._state = state
        self._limits = limits

    @Method.at_once
    def encrypt(self, data: Buffer, *, associated_data: Buffer = b"") -> bytes | Effects[bytes]:
        """A sealed message of the second form (docs/format.md), 188 bytes longer than ``data``
        and 16 more for each 16 KiB. Asks the service only for a new data key.
        """
        data = as_bytes(data)
        sealer = self._state.sealer(len(data))
        if sealer is None:
            return self._encrypted_anew(data, associated_data)
        return sealer.seal(data, associated_data)

    @Method.at_once
    def decrypt(self, message: Buffer, *, associated_data: Buffer = b"") -> bytes | Effects[bytes]:
        """The plaintext of a message of this lease, or by the service of any other of the key.

        The latter asks the service each time: :meth:`decrypt_batch` asks for many at once.
        Raises :class:`DecryptionError`.
        """
        found = self._state.opened(as_bytes(message), bytes(as_bytes(associated_data)))
        if found is None:
            return self._decrypted_by_service(message, associated_data)
        return found

    @Method
    def decrypt_batch(
        self, messages: Iterable[Buffer | DecryptItem], *, associated_data: Buffer = b""
    ) -> Effects[list[bytes | MfnError]]:
        """:meth:`decrypt` for each; an error stands in the place of its message."""
        state = self._state
        state.check()
        items = [
            each
            if isinstance(each, DecryptItem)
            else DecryptItem(each, state.key_id, associated_data, state.associated_data)
            for each in messages
        ]
        found = [self._opened(item) for item in items]
        left = [item for item, each in zip(items, found, strict=True) if each is None]
        more: Iterable[bytes | MfnError] = ()
        if left:
            more = yield from self._sender.perform(batches.decrypt_batch(self._limits, left))
        rest = iter(more)
        return [next(rest) if each is None else each for each in found]

    def _opened(self, item: DecryptItem) -> bytes | MfnError | None:
        """What is opened here. One that says more than this lease is for, the service judges."""
        state = self._state
        try:
            message, bound = as_bytes(item.message), bytes(as_bytes(item.associated_data))
            of_data_key = bytes(as_bytes(item.data_key_associated_data))
            if (item.format, item.key_id or state.key_id) != ("sealed", state.key_id):
                return None
            return state.opened(message, bound) if of_data_key == state.associated_data else None
        except MfnError as error:
            if state.ended:
                raise
            return error

    def _decrypted_by_service(self, message: Buffer, associated_data: Buffer) -> Effects[bytes]:
        return self._sender.perform(
            operations.decrypt(
                message,
                key_id=self._state.key_id,
                associated_data=associated_data,
                data_key_associated_data=self._state.associated_data,
                reference=self._state.reference,
            )
        )

    def _encrypted_anew(
        self, data: bytes | bytearray | memoryview, associated_data: Buffer
    ) -> Effects[bytes]:
        sealer = yield from self._renewed(len(data))
        return sealer.seal(data, associated_data)

    def _renewed(self, size: int) -> Effects[Sealer]:
        """Get a data key, or have that of another thread or task, which did it meanwhile."""
        lock = self._renewing()
        try:
            yield Acquire(lock.acquire)
            sealer = self._state.sealer(size)
            for attempt in range(_ATTEMPTS):
                # Again only where other threads used all of the new one up at once.
                if sealer is None and (attempt == 0 or self._state.is_in_time):
                    yield from self._sender.perform(self._state.renew())
                    sealer = self._state.sealer(size)
        finally:
            with contextlib.suppress(RuntimeError):  # not its own where the wait was cut short
                lock.release()
        if sealer is None:
            raise ServiceUnavailableError(_TOO_SLOW)
        return sealer


class Lease(_Lease, BlockingLease):
    """Seals and opens on this machine, within bounds; made by :meth:`.Client.local`.

    Use it as a context manager, or call :meth:`close` at the end. Threads may share it; a
    process that forks gets a data key of its own. A revocation of the key or of the credential
    reaches it when its data key is renewed, so after its time at the latest.
    """


class AsyncLease(_Lease, AwaitedLease):
    """A :class:`Lease` whose service is awaited; made by :meth:`.AsyncClient.local`."""
