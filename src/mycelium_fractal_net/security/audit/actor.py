"""On whose behalf this thread or task acts; records of changes name him."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

LIBRARY: Final = "library"  # a program that uses the keyring by itself

_actor: Final = ContextVar("mfn_actor", default=LIBRARY)
_request: Final[ContextVar[str | None]] = ContextVar("mfn_request", default=None)


def current_actor() -> str:
    """A credential's id, ``cli:UID``, or ``library``."""
    return _actor.get()


def current_request() -> str | None:
    """The id of the request that is served, if one is."""
    return _request.get()


@contextlib.contextmanager
def acting_as(actor: str, request: str | None = None) -> Iterator[None]:
    """Within the block, records of changes name this actor and request."""
    before, request_before = _actor.set(actor), _request.set(request)
    try:
        yield
    finally:
        _actor.reset(before)
        _request.reset(request_before)
