"""What a record says. Never a secret, a plaintext, a ciphertext or associated data."""

from __future__ import annotations

from typing import Final

import msgspec

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
    """A credential or signer that was changed, or a backup."""
    signer: str | None = None
    """Who signed the request, where it was signed."""
    reason: str | None = None
    """An operator's word."""
    intent: int | None = None
    """The sequence of the intent that this is the outcome of."""
    mark: str | None = None
    """Of an intent: the mark of the store's record once the change is done."""
    former: str | None = None
    """Of an intent: the mark of the record before. By the two a later process can tell which."""
    count: int | None = None


encode: Final = msgspec.json.Encoder().encode
