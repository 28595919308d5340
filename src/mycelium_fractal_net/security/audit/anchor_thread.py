"""The thread that tells the key store how far the chain has come. No record waits for it."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.errors import MfnError

if TYPE_CHECKING:
    from mycelium_fractal_net.security.audit.locked_chain import LockedChain
    from mycelium_fractal_net.security.audit.queue import Queue
    from mycelium_fractal_net.security.key_store import KeyStore

_LOG: Final = logging.getLogger(__name__)
_SECONDS: Final = 1.0


class AnchorThread:
    """Tells the store within a second of a record that it has become durable, and at the end.

    Where the store does not answer that is logged once, and tried again each second. What it was
    not told of somebody could cut off unseen, so that :class:`Queue` takes no more after a while.
    """

    def __init__(self, chain: LockedChain, queue: Queue, store: KeyStore) -> None:
        self._chain = chain
        self._queue = queue
        self._store = store
        self._failing = False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mfn-audit-anchor", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Tell the store where the chain ended. Call it when nothing is written any more."""
        self._ending.set()
        self._thread.join()
        self._tell(closing=True)

    def _run(self) -> None:
        while not self._ending.wait(_SECONDS):
            if self._queue.durable != self._queue.anchored:
                self._tell(closing=False)

    def _tell(self, *, closing: bool) -> None:
        asked, end = time.monotonic(), self._queue.end_of_chain()
        try:
            self._store.anchor_chain(self._chain.anchor(end, closed=closing and end.whole))
        except MfnError as error:
            if not self._failing:
                _LOG.error("the store is not told of the audit chain: %s", error)
            self._failing = True
            return
        if self._failing:
            _LOG.warning("the store is told of the audit chain again")
        self._failing = False
        self._queue.told(end.sequence, asked)
