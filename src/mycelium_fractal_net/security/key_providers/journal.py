"""Changes of the store as the audit log has them: intent, outcome, and how those ended that were
cut off."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.security.algorithms.digests import sha256
from mycelium_fractal_net.security.audit import Event
from mycelium_fractal_net.security.errors import (
    InvalidInputError,
    KeyNotFoundError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.records.keys import parse_key_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.audit import AuditLog
    from mycelium_fractal_net.security.key_store import KeyStore

EXPORT: Final = "key.export"


class Journal:
    """What records the changes of a store, where it has an audit log.

    ``log`` is set by whoever puts a keyring together.
    """

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self.log: AuditLog | None = None

    @contextlib.contextmanager
    def recorded(
        self, event: str | None, mac: bytes, former: bytes, **named: str | None
    ) -> Iterator[None]:
        """Record what the block changes; ``mac`` and ``former`` are of the record after, before."""
        if self.log is None or event is None:
            yield
            return
        with self.log.change(event, mark=_mark(mac), former=_mark(former), **named):
            yield

    def resolve_intents(self, intents: list[dict[str, Any]]) -> Iterator[Event]:
        """How changes ended whose process is gone: ``done``, ``not-done`` or ``superseded``.

        Each intent has the marks of the record before and after; the store has one of them,
        or that of a later change; of a record that is damaged it is ``unknown``. A move to
        another master key is ``interrupted``: it goes on when it is run again. Whether a key that
        was to leave did so is ``unknown``.
        """
        for intent in intents:
            key, subject = intent.get("key"), intent.get("subject")
            outcome = "interrupted"
            if intent["event"] == EXPORT:
                outcome = "unknown"
            elif key is not None or subject is not None:
                outcomes = {intent.get("former"): "not-done", intent.get("mark"): "done"}
                outcomes[None] = "unknown"
                outcome = outcomes.get(
                    self.present_mark(intent["event"], key, subject), "superseded"
                )
            yield Event(
                intent["event"], outcome, key=key, subject=subject, actor="system",
                intent=intent["sequence"],
            )  # fmt: skip

    def present_mark(self, event: str, key: str | None, subject: str | None) -> str | None:
        """The mark of the record that the store has; None where that cannot be told."""
        try:
            if subject is not None and event.startswith("signer."):
                return _mark(self._store.signers.load(subject).mac)
            if subject is not None and event.startswith("import."):
                return _mark(self._store.imports.load(subject).mac)
            if subject is not None:
                return _mark(self._store.credentials.load(subject).mac)
            return _mark(self._store.keys.load(parse_key_id(key or "")[0]).mac)
        except KeyNotFoundError:
            return _mark(b"")
        except (StoreIntegrityError, InvalidInputError):  # one bad record stops no service
            return None


def _mark(mac: bytes) -> str:
    """What names one state of a record without giving its MAC away; of no record it is empty."""
    return sha256(mac).hex()[:32] if mac else ""
