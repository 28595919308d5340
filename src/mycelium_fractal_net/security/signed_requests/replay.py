"""The replay guard: a nonce is accepted once, by one of all processes, across every restart.

Nonces that come together are stored together, in one transaction; whoever waits goes on when it
is durable. Where the store does not answer, nothing is accepted.
"""

from __future__ import annotations

import logging
import threading
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from mycelium_fractal_net.security.algorithms.digests import sha256
from mycelium_fractal_net.security.errors import MfnError, StoreUnavailableError
from mycelium_fractal_net.security.forking import in_child

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mycelium_fractal_net.security.key_store import NonceStore


_LOG: Final = logging.getLogger(__name__)
_LABEL: Final = b"mycelium-fractal-net/nonce/v1"
_PURGE_SECONDS: Final = 60.0
_MOST_NONCES: Final = 4096  # of one transaction


class Nonce(NamedTuple):
    """The digest of a nonce, 32 bytes, and the Unix second at which its request expires."""

    digest: bytes
    expires_at: int


Taken = list[bool] | MfnError
"""Whether each nonce was taken now and never before; or why the store took none."""


class _Group(NamedTuple):
    nonces: Sequence[Nonce]
    done: Callable[[Taken], None]


def unstored(cause: MfnError | None = None) -> StoreUnavailableError:
    """The error for whoever's nonce was not stored: of the cause's class, where the store has one,
    and with the words that it has for callers."""
    what = "the nonces of requests cannot be stored"
    if not isinstance(cause, StoreUnavailableError):
        return StoreUnavailableError(what)
    return type(cause)(f"{what}: {cause}", detail=cause.detail)


def nonce_digest(thumbprint: bytes, nonce: str) -> bytes:
    """What is stored of a nonce: two signers' nonces never meet, and none can be read back.

    ``thumbprint`` is that of the signer's public key, 32 bytes; the nonce, of any length, is last.
    """
    return sha256(_LABEL + thumbprint + nonce.encode())


class ReplayGuard:
    """Takes nonces for one process. ``skew_seconds`` is how far clocks may be apart."""

    def __init__(self, store: NonceStore, *, skew_seconds: int = 30) -> None:
        self._store = store
        self._skew_seconds = skew_seconds
        self._start_anew()
        in_child(self, ReplayGuard._start_anew)

    def _start_anew(self) -> None:
        self._queue: SimpleQueue[_Group | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._next_purge = monotonic() + _PURGE_SECONDS

    def submit(self, nonces: Sequence[Nonce], done: Callable[[Taken], None]) -> None:
        """Take nonces together; returns at once.

        ``done`` is called in another thread with whether each was taken by this call, and nobody
        before; with the error where the store did not do it.
        """
        if self._thread is None:
            self._begin()
        self._queue.put(_Group(nonces, done))

    def take(self, nonce: Nonce, timeout: float = 15.0) -> bool:
        """Whether nobody took that nonce before. Blocks.

        Raises :class:`StoreUnavailableError` where the store does not answer.
        """
        answers: SimpleQueue[Taken] = SimpleQueue()
        self.submit([nonce], answers.put)
        try:
            taken = answers.get(timeout=timeout)
        except Empty:
            raise unstored() from None
        if isinstance(taken, MfnError):
            raise unstored(taken)
        return taken[0]

    def close(self) -> None:
        """Finish what was submitted."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join()

    # The thread ---------------------------------------------------------------------------

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="mfn-replay", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        ending = False
        while not ending:
            groups, ending = self._next_groups()
            if groups:
                self._take(groups)
            if monotonic() >= self._next_purge:
                self._purge()

    def _next_groups(self) -> tuple[list[_Group], bool]:
        """All groups that wait, up to a bound; and whether this is the end."""
        groups: list[_Group] = []
        count = 0
        try:
            while count < _MOST_NONCES:
                patience = max(0.0, self._next_purge - monotonic())
                group = self._queue.get(block=not groups, timeout=patience)
                if group is None:
                    return groups, True
                groups.append(group)
                count += len(group.nonces)
        except Empty:
            pass
        return groups, False

    def _take(self, groups: list[_Group]) -> None:
        expiry: dict[bytes, int] = {}
        for group in groups:
            for nonce in group.nonces:
                expiry.setdefault(nonce.digest, nonce.expires_at)
        try:
            fresh = self._store.take(expiry.items())
        except MfnError as error:
            _LOG.warning("the nonces of requests were not stored: %s", error)
            for group in groups:
                group.done(error)
            return
        for group in groups:
            taken = []
            for nonce in group.nonces:
                taken.append(nonce.digest in fresh)
                fresh.discard(nonce.digest)  # one that came twice together is taken once
            group.done(taken)

    def _purge(self) -> None:
        self._next_purge = monotonic() + _PURGE_SECONDS
        try:
            self._store.purge(2 * self._skew_seconds)
        except MfnError as error:
            _LOG.warning("the nonces that expired were not forgotten: %s", error)
