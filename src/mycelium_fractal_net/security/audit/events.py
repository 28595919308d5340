"""What a record says, and on whose behalf. Never a secret, a plaintext or associated data."""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

import msgspec

from mycelium_fractal_net.security.byte_io.printable import ascii_json

if TYPE_CHECKING:
    from collections.abc import Iterator

OK: Final = "ok"
INTENT: Final = "intent"  # of a change, before the store commits; its outcome names it
BEGUN: Final = "begun"  # of a stream, before its first byte


class Event(msgspec.Struct, omit_defaults=True, frozen=True):
    """One thing that happened. What is None is not written."""

    event: str
    """What was done: ``encrypt``, ``key.rotate``, ``audit.torn``."""
    outcome: str
    """``ok``, ``intent``, ``begun``, or the name of the problem it ended in."""
    key: str | None = None
    """A key id or version id."""
    actor: str | None = None
    """A credential's id, ``cli:UID``, ``library``, ``anonymous`` or ``system``."""
    request: str | None = None
    reference: str | None = None
    """The caller's own text for the request."""
    items: dict[str, dict[str, int]] | None = None
    """Of a batch: how many items of each version ended in each outcome."""
    bytes: int | None = None
    """Of a stream: how many bytes came in."""
    subject: str | None = None
    """A credential or signer that was changed, an import, or a backup."""
    signer: str | None = None
    """Who signed the request, where it was signed."""
    reason: str | None = None
    """An operator's word."""
    intent: int | None = None
    """The sequence of the intent that this is the outcome of."""
    mark: str | None = None
    """Of an intent: the digest of the store's record once the change is done."""
    former: str | None = None
    """Of an intent: the digest of the record before; a later process compares with both."""
    count: int | None = None
    until: str | None = None
    """Of a finding of doctor's that is acknowledged: when it is one again."""


_encode: Final = msgspec.json.Encoder().encode


def encode(event: Event) -> bytes:
    """The event as JSON in printable ASCII, whatever stands in a text of the caller's own."""
    return ascii_json(_encode(event))


_actor: Final = ContextVar("mfn_actor", default="library")  # a program that uses the keyring
_request: Final[ContextVar[str | None]] = ContextVar("mfn_request", default=None)


def current_actor() -> str:
    """Who this thread or task acts for: a credential's id, ``cli:UID``, or ``library``."""
    return _actor.get()


def current_request() -> str | None:
    """The id of the request that is served, if one is."""
    return _request.get()


serve_request: Final = _request.set
"""From now on this task serves the request of that id, by the end of which it ends itself."""


@contextlib.contextmanager
def acting_as(actor: str, request: str | None = None) -> Iterator[None]:
    """Within the block, records of changes name this actor and request."""
    before, request_before = _actor.set(actor), _request.set(request)
    try:
        yield
    finally:
        _actor.reset(before)
        _request.reset(request_before)
