"""What a lease may do without asking: data keys at work, their limits, and what was done.

A data key is used for its time, for so many messages and so many bytes, counted together for
sealing and opening; then it is forgotten, and the service is asked for another one, or to open
the message. Times are of a clock that goes on while the machine sleeps, and they begin before
the data key was asked for.
"""

from __future__ import annotations

import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.client.lease_counts import LeaseCounts
from mycelium_fractal_net.client.operations import data_key
from mycelium_fractal_net.client.steps import Steps
from mycelium_fractal_net.security.byte_io.binary_io import HEAD_BYTES
from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import DecryptionError, InvalidInputError, MfnError
from mycelium_fractal_net.security.records.keys import parse_key_id
from mycelium_fractal_net.security.sealed.layout import plaintext_bytes

if TYPE_CHECKING:
    from mycelium_fractal_net.security.byte_io.buffers import Buffer
    from mycelium_fractal_net.security.policy import Policy
    from mycelium_fractal_net.security.sealed.sealer import Sealer

_SECOND_FORM: Final = b"MFN\x02"
_MAX_ACTIVE: Final = 64  # data keys that still open what they sealed; each is dropped at its time
LONGEST_SECONDS: Final = 86_400.0  # a revocation does not end a lease before its time


lease_clock: Final[Callable[[], float]] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    if hasattr(time, "CLOCK_BOOTTIME")
    else time.monotonic
)
"""Seconds that grow also while the machine sleeps, where the system counts them."""


@dataclass(frozen=True, slots=True)
class LeaseLimits:
    """How long one data key is used, for how many messages, and for how much plaintext."""

    seconds: float
    messages: int
    bytes: int

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= LONGEST_SECONDS:
            raise InvalidInputError("a lease is for a day at most, and for some time")
        if self.messages < 1 or self.bytes < 1:
            raise InvalidInputError("a lease is for one message and one byte at least")


class _ActiveDataKey:
    """One data key at work."""

    __slots__ = ("bytes", "key_id", "messages", "sealer", "until")

    def __init__(self, sealer: Sealer, key_id: str, until: float, limits: LeaseLimits) -> None:
        self.sealer = sealer
        self.key_id = key_id
        self.until = until
        self.messages = limits.messages
        self.bytes = limits.bytes

    def take(self, size: int, now: float) -> bool:
        """Count one message of that size, if it lies within the limits."""
        if now >= self.until or self.messages < 1 or self.bytes < size:
            return False
        self.messages -= 1
        self.bytes -= size
        return True


class LeaseState(LeaseCounts):
    """The state of a lease. Threads may share it; a process that forks leaves it behind."""

    def __init__(
        self,
        key_id: str | None,
        limits: LeaseLimits,
        data_key_associated_data: Buffer,
        policy: Policy,
        clock: Callable[[], float],
    ) -> None:
        if key_id is not None:
            parse_key_id(key_id)
        self.key_id = key_id
        self.associated_data = bytes(as_bytes(data_key_associated_data))
        self._limits = limits
        self._policy = policy
        self._clock = clock
        super().__init__()

    def _forget(self) -> None:
        self._sealing: _ActiveDataKey | None = None
        self._active: OrderedDict[bytes, _ActiveDataKey] = OrderedDict()

    # Sealing and opening ----------------------------------------------------------------------

    def sealer(self, size: int) -> Sealer | None:
        """What seals a plaintext of that size, which is counted; None where it must be renewed.

        Raises :class:`InvalidInputError` for more than any data key of this lease may protect,
        and once the lease has ended.
        """
        self.check()
        if size > self._limits.bytes:
            raise InvalidInputError("the plaintext is larger than all that this lease is for")
        with self._lock:
            active = self._sealing
            if active is None or not active.take(size, self._clock()):
                return None
            counts = self._counted(active.key_id)
            counts["encrypted"] += 1
            counts["bytes"] += size
            return active.sealer

    @property
    def is_in_time(self) -> bool:
        """Whether the present data key may still be used, if there were messages left for it."""
        active = self._sealing
        return active is not None and self._clock() < active.until

    def opened(
        self, message: bytes | bytearray | memoryview, associated_data: bytes
    ) -> bytes | None:
        """The plaintext, if a data key that is at work opens it; None where the service must.

        Raises :class:`DecryptionError`.
        """
        self.check()
        header = bytes(message[:HEAD_BYTES])
        if header[:4] != _SECOND_FORM:
            return None
        with self._lock:
            active = self._active.get(header)
            if active is None or not active.take(self._plain_bytes(message), self._clock()):
                return None
        try:
            plaintext = active.sealer.open(message, associated_data)
        except DecryptionError:
            with self._lock:
                self._counted(active.key_id)["failed"] += 1
            raise
        with self._lock:
            counts = self._counted(active.key_id)
            counts["decrypted"] += 1
            counts["bytes"] += len(plaintext)
        return plaintext

    def _plain_bytes(self, message: bytes | bytearray | memoryview) -> int:
        try:
            return plaintext_bytes(message, len(message))
        except DecryptionError:
            return 0  # no size of a message: it will not open

    # Asking and reporting ---------------------------------------------------------------------

    def renew(self) -> Steps[None]:
        """Get a data key, and report what was done with those before."""
        self.check()
        started = self._clock()
        made, key_id = yield from data_key(
            self._policy, self.key_id, self.associated_data, self.reference
        )
        active = _ActiveDataKey(made.sealer, key_id, started + self._limits.seconds, self._limits)
        with self._lock:
            if self.ended:  # meanwhile, by another thread: no data key is kept after that
                return
            now = self._clock()
            for header in [name for name, each in self._active.items() if each.until <= now]:
                del self._active[header]
            while len(self._active) >= _MAX_ACTIVE:
                self._active.popitem(last=False)
            self._active[made.header] = active
            self._sealing = active
        with contextlib.suppress(MfnError):  # the counts are kept, for the next time or the end
            yield from self.report()
