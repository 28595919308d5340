"""Keys in use that are asked for again beside the traffic that they serve."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.errors import MfnError, StoreIntegrityError
from mycelium_fractal_net.security.forking import in_child

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.security.key_providers.custodian import Binding

_MOST_AT_ONCE: Final = 100  # in one call

Unwrap = tuple[str, bytes, "Binding"]
"""What a custodian is asked to unwrap: the master key's id, the wrapped bytes, the binding."""


class Refreshing:
    """Has keys unwrapped once more in a thread of its own, all that fall due at once in one call.

    ``fetch`` is called with some that are under the same master key, and keeps what it gets.
    """

    def __init__(self, fetch: Callable[[list[Unwrap]], object]) -> None:
        self._fetch = fetch
        self._start_anew()
        in_child(self, Refreshing._start_anew)

    def _start_anew(self) -> None:
        self._lock = threading.Lock()
        self._due: dict[Unwrap, None] = {}
        self._works = False

    def ask(self, asked: Unwrap) -> None:
        """Have it asked for soon, and wait for nothing."""
        with self._lock:
            self._due[asked] = None
            if self._works:
                return
            self._works = True
        # A daemon: a custodian that is silent must not keep the process from ending.
        threading.Thread(target=self._work, name="mfn-unwrap", daemon=True).start()

    def _work(self) -> None:
        while some := self._next():
            # Who refuses was told of by whoever keeps the keys; an outage is in the log.
            try:
                self._fetch(some)
            except StoreIntegrityError:
                for each in some if len(some) > 1 else ():
                    with suppress(MfnError):
                        self._fetch([each])
            except MfnError:
                pass

    def _next(self) -> list[Unwrap]:
        with self._lock:
            found = [each for each in self._due if each[0] == next(iter(self._due))[0]]
            for each in found[:_MOST_AT_ONCE]:
                del self._due[each]
            self._works = bool(found)
            return found[:_MOST_AT_ONCE]
