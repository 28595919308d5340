"""The plan's interface of a key provider, and the one over a key store under a custodian.

Whoever holds the master key, every provider therefore has the same versions, states,
rotation and verbs. What differs is in the :class:`Custodian`.
"""

from __future__ import annotations

import contextlib
import secrets
from abc import ABC, abstractmethod
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mycelium_fractal_net.security.errors import KeyNotExportableError, KeyNotFoundError
from mycelium_fractal_net.security.forking import OfOneProcess
from mycelium_fractal_net.security.key_providers.audit_key import AuditKey
from mycelium_fractal_net.security.key_providers.credentials import Credentials
from mycelium_fractal_net.security.key_providers.exporting import Exports
from mycelium_fractal_net.security.key_providers.former_masters import FormerMasters
from mycelium_fractal_net.security.key_providers.imports import Imports
from mycelium_fractal_net.security.key_providers.journal import EXPORT, Journal
from mycelium_fractal_net.security.key_providers.keys import Keys, key_type_of
from mycelium_fractal_net.security.key_providers.master_move import MasterKeys
from mycelium_fractal_net.security.key_providers.record_macs import RecordMacs
from mycelium_fractal_net.security.key_providers.restoring import Restoring
from mycelium_fractal_net.security.key_providers.retirement import Retirement
from mycelium_fractal_net.security.key_providers.signers import Signers
from mycelium_fractal_net.security.key_providers.states import KeyStates
from mycelium_fractal_net.security.key_providers.wrapping import Wrapping
from mycelium_fractal_net.security.key_store import UsageStore
from mycelium_fractal_net.security.records.keys import parse_key_id, version_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.security.audit import AuditLog
    from mycelium_fractal_net.security.key_providers.custodian import Custodian
    from mycelium_fractal_net.security.key_store import KeyStore
    from mycelium_fractal_net.security.policy import Policy
    from mycelium_fractal_net.security.records.keys import Key, KeyVersion


def utc_now() -> datetime:
    """The time by this machine's clock."""
    return datetime.now(UTC)


class KeyProvider(ABC):
    """Abstract base class for key providers."""

    @abstractmethod
    def get_key(self, key_id: str) -> bytes:
        """Retrieve a key by ID.

        A bare name gives the version that protects new data, a version id that version.
        Encryption and MAC keys are 32 bytes, signing keys their private encoding. Bytes that
        were handed out lie outside every count of uses.
        """

    @abstractmethod
    def generate_key(self, key_type: str) -> str:
        """Generate a new key, return key ID. Types: ``encryption``, ``signing``, ``mac``."""

    @abstractmethod
    def rotate_key(self, key_id: str) -> str:
        """Rotate a key, return new version ID, such as ``orders:v3``."""


class StoredKeyProvider(OfOneProcess, KeyProvider):
    """The plan's interface over a :class:`KeyStore` under a :class:`Custodian`.

    What there is beyond the plan is done by the services that it holds: ``keys``, ``states``,
    ``retirement``, ``credentials``, ``signers``, ``imports``, ``exports``, ``master_keys``,
    ``former_masters``, ``restoring``. ``store_id`` are the 16 bytes that name the store, which are
    not kept in it; ``clock`` gives the time in UTC.
    A key that was unwrapped serves for ``outage_seconds`` while the custodian does not answer.
    """

    def __init__(
        self,
        store: KeyStore,
        custodian: Custodian,
        policy: Policy,
        *,
        store_id: bytes,
        outage_seconds: float = 0.0,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.store = store
        self.custodian = custodian
        self.policy = policy
        self.clock = clock
        self.store_id = store_id
        self.wrapping = Wrapping(custodian, store_id, outage_seconds=outage_seconds)
        self.record_macs = RecordMacs(store, self.wrapping, policy)
        self.journal = Journal(store)
        self.audit_keys = AuditKey(self.record_macs)

        def ticking() -> datetime:
            return self.clock()

        parts = (self.record_macs, self.journal, ticking)
        self.keys = Keys(store.keys, *parts)
        self.credentials = Credentials(store.credentials, *parts)
        self.signers = Signers(store.signers, self.keys, self.credentials)
        self.states = KeyStates(self.keys, store.database)
        self.retirement = Retirement(self.keys, UsageStore(store.database))
        self.imports = Imports(store.imports, self.keys, store.database.now)
        self.exports = Exports(self.keys, policy, self._to_export)
        self.restoring = Restoring(self.keys, self.credentials)
        self.master_keys = MasterKeys(
            self.record_macs,
            self.journal,
            self.audit_keys,
            self.keys,
            (self.credentials, self.signers, self.imports),
        )
        self.former_masters = FormerMasters(
            self.record_macs, self.journal, self.keys, self.master_keys
        )

    # The plan's interface -----------------------------------------------------------------

    def get_key(self, key_id: str) -> bytes:
        """The key's bytes: of the version that protects new data, or of the version named.

        Raises :class:`KeyNotFoundError`, :class:`KeyStateError`, and
        :class:`KeyNotExportableError` for a credential, for the key of the XOR cipher, and for an
        external key.
        """
        key, version = self._to_hand_out(key_id)
        material = self.keys.unwrap(key, version)
        if self.audit is not None:
            self.audit.now(EXPORT, key=version_id(key.key_id, version.version))
        return bytes(material)

    def forget(self) -> None:
        """Forget the keys that were unwrapped; what needs one later has it unwrapped again."""
        self.record_macs.forget()
        self.wrapping.forget()

    def _to_export(self, key_id: str) -> tuple[Key, KeyVersion]:
        return self._to_hand_out(key_id, exported=True)

    def _to_hand_out(self, key_id: str, *, exported: bool = False) -> tuple[Key, KeyVersion]:
        """The version that a name means, if its bytes may be had, or ``exported`` to others."""
        name, number = parse_key_id(key_id)
        try:
            key = self.keys.get(name)
        except KeyNotFoundError:
            self._refuse_credential(name)
            raise
        if key.is_external:
            raise KeyNotExportableError(f"the private key of {name!r} never leaves its custodian")
        if key.is_legacy:
            raise KeyNotExportableError("the key of the XOR cipher only opens messages here")
        if exported and not key.exportable:
            raise KeyNotExportableError(
                f"key {key.key_id!r} was not made exportable, and that is fixed for ever"
            )
        version = key.primary if number is None else key.version(number)
        if number is not None:
            self.retirement.refuse_pending(key, version)
            key.check_decrypt(version)
        return key, version

    def _refuse_credential(self, name: str) -> None:
        with contextlib.suppress(KeyNotFoundError):
            self.credentials.get(name)
            raise KeyNotExportableError(
                "a credential is stored as a digest; there is no key to get"
            )

    def generate_key(self, key_type: str) -> str:
        """A new key of that type under a random name, such as ``encryption-5f3a…``; returns it."""
        kind = key_type_of(key_type)
        return self.keys.create(f"{kind.value}-{secrets.token_hex(8)}", kind).key_id

    def rotate_key(self, key_id: str, *, activate_at: datetime | None = None) -> str:
        """Add a version, which protects from now on; returns its id, such as ``orders:v3``.

        See :meth:`.Keys.rotate`.
        """
        return self.keys.rotate(key_id, activate_at=activate_at)

    # Beyond it ----------------------------------------------------------------------------

    @property
    def audit(self) -> AuditLog | None:
        """The audit log, where there is one; set by whoever puts a keyring together."""
        return self.journal.log

    @audit.setter
    def audit(self, log: AuditLog | None) -> None:
        self.journal.log = log
