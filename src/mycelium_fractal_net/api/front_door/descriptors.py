"""How many file descriptors a process may have, which connections are made of."""

from __future__ import annotations

import contextlib
import logging
import resource
from typing import Final

__all__ = ["room_for"]

_LOG: Final = logging.getLogger(__name__)
_OTHERS: Final = 512  # for the key store, the audit log, and those who are told that it is full


def room_for(connections: int) -> int:
    """How many of that many connections this process has descriptors for; asks for more first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHERS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):  # where a sandbox forbids it
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
            soft = allowed
        if soft < wanted:
            fewer = max(1, soft - min(_OTHERS, soft // 2))
            _LOG.warning(
                "server.max_connections: %s, since the process has %s descriptors", fewer, soft
            )
            return fewer
    return connections
