"""A store whose changes are recorded, and the key that the records are chained with."""

from __future__ import annotations

import contextlib
import weakref
from typing import TYPE_CHECKING, Any, Final, Protocol

from mycelium_fractal_net.security.algorithms.digests import sha256
from mycelium_fractal_net.security.audit import Event
from mycelium_fractal_net.security.errors import (
    ConflictError,
    InvalidInputError,
    KeyNotFoundError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_providers.base import Binding
from mycelium_fractal_net.security.key_store.audit_table import StoredAuditKey
from mycelium_fractal_net.security.records.keys import parse_key_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.audit import AuditLog
    from mycelium_fractal_net.security.key_providers.base import Custodian
    from mycelium_fractal_net.security.key_store import KeyStore
    from mycelium_fractal_net.security.key_store.authority import Mac
    from mycelium_fractal_net.security.policy import Policy

__all__ = ["AUTHORITY_ALGORITHM", "AuditedStore", "Counting"]

AUTHORITY_ALGORITHM: Final = "HMAC-SHA-256"
_FIRST: Final = 1  # there is one audit key; a number leaves room for the next


class Counting(Protocol):
    """What counts uses of keys in memory."""

    def flush(self) -> None:
        """Write the counts."""


class AuditedStore:
    """A :class:`KeyStore` under a :class:`Custodian`'s master key, with an audit log if it has one.

    The base of every provider. ``audit`` and ``require_backup`` are set by whoever puts a keyring
    together: with the second a new version protects data only once a backup holds it. What counts
    uses in memory is in ``counting``, so that they are written before they are judged.
    """

    def __init__(self, store: KeyStore, custodian: Custodian, policy: Policy) -> None:
        self.store = store
        self.custodian = custodian
        self.policy = policy
        self.audit: AuditLog | None = None
        self.require_backup = False
        self.counting: weakref.WeakSet[Counting] = weakref.WeakSet()
        self._alarms: dict[bytes, float] = {}  # until when a version is not alarmed about again

    @contextlib.contextmanager
    def _recorded(
        self, event: str | None, mac: bytes, former: bytes, **named: str | None
    ) -> Iterator[None]:
        """Record what the block changes; ``mac`` and ``former`` are of the record after, before."""
        if self.audit is None or event is None:
            yield
            return
        with self.audit.change(event, mark=_mark(mac), former=_mark(former), **named):
            yield

    def resolve_intents(self, intents: list[dict[str, Any]]) -> Iterator[Event]:
        """How changes ended whose process is gone: ``done``, ``not-done`` or ``superseded``.

        Each intent has the marks of the record before and after; the store has one of them,
        or that of a later change; of a record that is damaged it is ``unknown``. A move to
        another master key is ``interrupted``: it goes on when it is run again.
        """
        for intent in intents:
            key, subject = intent.get("key"), intent.get("subject")
            outcome = "interrupted"
            if key is not None or subject is not None:
                outcomes = {intent.get("former"): "not-done", intent.get("mark"): "done"}
                outcomes[None] = "unknown"
                outcome = outcomes.get(
                    self._present_mark(intent["event"], key, subject), "superseded"
                )
            yield Event(
                intent["event"], outcome, key=key, subject=subject, actor="system",
                intent=intent["sequence"],
            )  # fmt: skip

    def _present_mark(self, event: str, key: str | None, subject: str | None) -> str | None:
        """The mark of the record that the store has; None where that cannot be told."""
        try:
            if subject is not None and event.startswith("signer."):
                return _mark(self.store.load_signer(subject).mac)
            if subject is not None:
                return _mark(self.store.load_credential(subject).mac)
            return _mark(self.store.load(parse_key_id(key or "")[0]).mac)
        except KeyNotFoundError:
            return _mark(b"")
        except (StoreIntegrityError, InvalidInputError):  # one bad record stops no service
            return None

    # The audit key ----------------------------------------------------------------------

    def audit_key(self) -> Mac:
        """The MAC key of the audit log, which is made where the store has none yet.

        No scope reaches it, and no method gives its bytes.
        """
        stored = self.store.audit_key()
        while stored is None:
            master_id = self.store.require_pulse().master_id
            material = self.policy.generate_key_material(AUTHORITY_ALGORITHM)
            wrapped = self.custodian.wrap(master_id, material, self._binding_of("audit"))
            with contextlib.suppress(ConflictError):  # somebody was first, or the master key moved
                self.store.insert_audit_key(StoredAuditKey(_FIRST, wrapped, master_id))
            stored = self.store.audit_key()
        return self.policy.mac(AUTHORITY_ALGORITHM, self._unwrapped_audit_key(stored))

    def _unwrapped_audit_key(self, stored: StoredAuditKey) -> bytes:
        binding = self._binding_of("audit")
        return self.custodian.unwrap(stored.master_id, stored.wrapped, binding)

    def _move_audit_key(self, master_id: str) -> None:
        """Wrap the audit key by the store's new master key."""
        stored = self.store.audit_key()
        if stored is None or stored.master_id == master_id:
            return
        material = self._unwrapped_audit_key(stored)
        wrapped = self.custodian.wrap(master_id, material, self._binding_of("audit"))
        self.store.replace_audit_key(stored, StoredAuditKey(stored.number, wrapped, master_id))

    def _binding_of(self, key_type: str) -> Binding:
        # No named key has the type "authority" or "audit", so no key's wrapping passes for one.
        return Binding(
            store_id=self.custodian.store_id,
            key_id="",
            key_type=key_type,
            use="",
            algorithm=AUTHORITY_ALGORITHM,
            version=0,
            handle=b"",
        )


def _mark(mac: bytes) -> str:
    """What names one state of a record without giving its MAC away; of no record it is empty."""
    return sha256(mac).hex()[:32] if mac else ""
