"""Whether the store takes writes: without, no key is used for the first time on a day, no nonce is
kept and no anchor set, so that a store which can be read alone serves nobody for long."""

from __future__ import annotations

import logging
import threading
from time import monotonic
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.errors import MfnError

if TYPE_CHECKING:
    from collections.abc import Callable

_LOG: Final = logging.getLogger(__name__)
_PROBE_SECONDS: Final = 5.0  # between two attempts
_SILENT_SECONDS: Final = 5.0  # after which an attempt that has not ended counts as failed


class StoreProbe:
    """Writes to the store every few seconds, from when it is made until :meth:`end`.

    ``write`` changes nothing, durably, and raises :class:`MfnError` where it cannot.
    """

    def __init__(self, write: Callable[[], None], seconds: float = _PROBE_SECONDS) -> None:
        self._write = write
        self._seconds = seconds
        self._failed = False
        self._began: float | None = None  # the attempt that is under way
        self._stop = threading.Event()
        # A daemon: a store that is silent must not keep the process from ending.
        threading.Thread(target=self._run, name="mfn-store-probe", daemon=True).start()

    @property
    def is_writable(self) -> bool:
        """Whether the last attempt ended well, and the one under way is not late."""
        began = self._began
        late = began is not None and monotonic() - began >= _SILENT_SECONDS
        return not self._failed and not late

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            self._began = monotonic()
            try:
                self._write()
            except MfnError as error:
                if not self._failed:
                    _LOG.error("the key store cannot be written: %s", error)
                self._failed = True
            else:
                if self._failed:
                    _LOG.warning("the key store can be written again")
                self._failed = False
            finally:
                self._began = None

    def end(self) -> None:
        """Write no more."""
        self._stop.set()
