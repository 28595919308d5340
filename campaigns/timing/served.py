"""The service as it is, in front of which a request may ask for a delay: the positive controls.

``python -m campaigns.timing.served`` in place of ``mfn``. The header ``x-added-delay`` is how many
nanoseconds are waited before the service sees the request, by the clock that measures.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from time import perf_counter_ns
from typing import TYPE_CHECKING

from mycelium_fractal_net.api.application import Application
from mycelium_fractal_net.cli import main

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_serve = Application.__call__


async def _delayed(self: Application, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        until = perf_counter_ns() + int(dict(scope["headers"]).get(b"x-added-delay", b"0"))
        while perf_counter_ns() < until:
            pass
    await _serve(self, scope, receive, send)


if __name__ == "__main__":
    with suppress(OSError):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    Application.__call__ = _delayed  # type: ignore[method-assign]
    sys.exit(main())
