"""How the reference and the floor are served: uvicorn, uvloop, httptools, like the service."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Literal

import uvicorn

if TYPE_CHECKING:
    from starlette.types import ASGIApp
    from uvicorn._types import ASGIApplication

_BACKLOG = 2048


def main(app: ASGIApplication | ASGIApp, *, lifespan: Literal["auto", "off"] = "auto") -> None:
    """Serve on a free port of loopback, print where, end with SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=1)
    workers = parser.parse_args().workers
    with socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG) as listening:
        print(f"serving http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        children = [child for _ in range(workers - 1) if (child := os.fork())]
        # A child's list is shorter than its parent's: it may hold siblings, never all.
        parent = len(children) == workers - 1
        # uvicorn ends with the signal that ended it: the children must be ended all the same.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            config = uvicorn.Config(
                app,
                http="httptools",
                loop="uvloop",
                ws="none",
                lifespan=lifespan,
                log_level="warning",
                access_log=False,
            )
            uvicorn.Server(config).run(sockets=[listening])
        finally:
            if parent:
                for child in children:
                    os.kill(child, signal.SIGTERM)
