"""Keys brought along: a one-time public key to wrap one for, and the wrapped key taken in.

The private half of the one-time key is in the store, wrapped by the master key, until the import
is finished, given up, or an hour has passed.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from mycelium_fractal_net.security.audit.events import acting_as
from mycelium_fractal_net.security.errors import (
    ConflictError,
    DecryptionError,
    InvalidInputError,
    InvalidKeyError,
    KeyExistsError,
    KeyNotFoundError,
    KeyUsageError,
)
from mycelium_fractal_net.security.key_providers.authenticated_table import AuthenticatedTable
from mycelium_fractal_net.security.key_providers.keys import NewVersion
from mycelium_fractal_net.security.records.imports import IMPORT_ID, IMPORT_WINDOW, PendingImport
from mycelium_fractal_net.security.records.keys import Key, KeyType, KeyUse, parse_key_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy.engine import Connection

    from mycelium_fractal_net.security.byte_io.buffers import Octets
    from mycelium_fractal_net.security.key_providers.custodian import Binding
    from mycelium_fractal_net.security.key_providers.keys import Keys
    from mycelium_fractal_net.security.key_store.import_table import ImportTable

MAX_WRAPPED_BYTES: Final = 16_384  # a wrapped ML-DSA-65 key has 600, a wrapped P-384 key 710
MOST_UNDER_WAY: Final = 100  # so that nobody fills the store with what is never finished
_ID_BYTES: Final = 16


class Imports(AuthenticatedTable[PendingImport]):
    """Imports under way. ``clock`` is the store's: machines that share it agree when one ends."""

    def __init__(self, table: ImportTable, keys: Keys, clock: Callable[[], datetime]) -> None:
        super().__init__(table, keys.record_macs, keys.journal, clock)
        self._imports = table
        self._keys = keys
        self._wrapping = keys.record_macs.wrapping
        self._policy = keys.record_macs.policy

    def begin(
        self,
        key_id: str,
        key_type: str | None = None,
        *,
        existing: bool = False,
        algorithm: str | None = None,
        use: str | None = None,
        publish: bool = False,
        exportable: bool = False,
        method: str | None = None,
    ) -> PendingImport:
        """Make a one-time key, for which a key is wrapped elsewhere within the hour.

        That becomes the first version of a new key, as :meth:`.Keys.create` would make it; or, of
        an ``existing`` one, its next version, with its type and algorithm. ``method`` is
        ``rsa-aes``, which takes up to 2 s, ``hpke``, ``hpke-p256`` or ``hpke-p384``; where none is
        named, the first of these that the policy allows.
        Raises :class:`KeyExistsError`, :class:`KeyNotFoundError`, :class:`KeyUsageError`,
        :class:`AlgorithmNotAllowedError`, and :class:`InvalidInputError` for what does not fit.
        """
        self.purge()
        if self.table.count() >= MOST_UNDER_WAY:
            raise ConflictError(
                f"{MOST_UNDER_WAY} imports are under way, and no more; each ends within the hour"
            )
        if existing:
            if publish or exportable or (key_type, algorithm, use) != (None, None, None):
                raise InvalidInputError(
                    "a key that is there has its type, algorithm and use; only its name is given"
                )
            planned = self._there(key_id)
        else:
            planned = self._keys.planned(
                key_id,
                key_type or KeyType.ENCRYPTION,
                algorithm=algorithm,
                use=use or KeyUse.DATA,
                publish=publish,
                exportable=exportable,
            )
            if self._keys.table.has(planned.key_id):
                raise KeyExistsError(self._keys.kind.taken.format(planned.key_id))
        self._policy.check(planned.algorithm)
        method = self._policy.wrap_method() if method is None else method
        now = self.clock()
        made = self._policy.generate_unwrapping_key(method)
        pending = PendingImport(
            import_id=secrets.token_hex(_ID_BYTES),
            key_id=planned.key_id,
            existing=existing,
            key_type=planned.key_type,
            use=planned.use,
            algorithm=planned.algorithm,
            publish=planned.publish,
            exportable=planned.exportable,
            method=method,
            created_at=now,
            expires_at=now + IMPORT_WINDOW,
            public_key=made.public.der(),
        )
        binding, private = self._binding(pending), made.private_bytes()
        return self.insert(
            lambda master_id: replace(
                pending,
                master_id=master_id,
                wrapped=self._wrapping.wrap(master_id, private, binding),
            ),
            "import.begin",
        )

    def _there(self, key_id: str) -> Key:
        name, number = parse_key_id(key_id)
        if number is not None:
            raise InvalidInputError("a key is imported into by its name, without a version")
        key = self._keys.get(name)
        if key.is_legacy:
            raise KeyUsageError(
                f"key {name!r} only opens what the XOR cipher wrote: it has no next version"
            )
        if key.is_external:
            raise KeyUsageError(
                f"the keys of {name!r} are made by its custodian, and never brought"
            )
        return key

    def finish(self, import_id: str, wrapped: bytes) -> Key:
        """Take the wrapped key in, as the newest version of its key, and return that.

        ``wrapped`` is what the method of the import makes of 32 bytes, or of the DER PKCS #8 of a
        signing key. An import is used once. What does not unwrap, or is no key of the algorithm
        that was named, uses it up as well and is :class:`InvalidKeyError`, with one text for all
        that can be wrong with it: nobody can ask again and again what the private half makes of
        something. Raises :class:`KeyNotFoundError` for one that was used or has expired, and
        :class:`KeyExistsError` where its name was taken in the meantime.
        """
        if len(wrapped) > MAX_WRAPPED_BYTES:
            raise InvalidInputError(f"a wrapped key has at most {MAX_WRAPPED_BYTES} bytes")
        self.purge()
        if IMPORT_ID.fullmatch(import_id) is None:
            raise KeyNotFoundError(self.kind.not_found)
        pending = self.get(import_id)
        private = self._wrapping.unwrap(pending.master_id, pending.wrapped, self._binding(pending))
        key = self._policy.unwrapping_key(pending.method, private)
        try:
            brought = self._policy.material_to_keep(pending.algorithm, key.unwrap(wrapped))
        except (DecryptionError, InvalidKeyError):
            self._end(import_id, "import.end", self._imports.mac(import_id))
            self._imports.meta.database.scrub()
            raise InvalidKeyError(
                f"no key of {pending.algorithm} was wrapped for this import, which has ended;"
                f" begin another one: mfn key import begin {pending.key_id}"
            ) from None
        made = self._stored(pending, brought)
        self._imports.meta.database.scrub()
        return made

    def _stored(self, pending: PendingImport, brought: tuple[Octets, bytes | None]) -> Key:
        added = NewVersion(self._keys, brought=brought)

        def also(connection: Connection) -> None:
            self._imports.take(connection, pending.import_id)

        if pending.existing:
            return self._keys.update(pending.key_id, added.to, "key.import", also=also)
        planned = self._keys.planned(
            pending.key_id,
            pending.key_type,
            algorithm=pending.algorithm,
            use=pending.use,
            publish=pending.publish,
            exportable=pending.exportable,
        )
        return self._keys.begin(planned, added, "key.import", also)

    def cancel(self, import_id: str) -> None:
        """End an import for good, waiting, expired or damaged, with what opens its key.

        Raises :class:`KeyNotFoundError` for one that is not there, used ones among them.
        """
        if IMPORT_ID.fullmatch(import_id) is None:
            raise KeyNotFoundError(self.kind.not_found)
        self._end(import_id, "import.cancel", self._imports.mac(import_id))
        self._imports.meta.database.scrub()

    def _end(self, import_id: str, event: str, mac: bytes) -> None:
        with self.journal.recorded(event, b"", mac, subject=import_id):
            self._imports.end(import_id)

    def purge(self) -> int:
        """Delete imports that have expired, with what opens them; returns how many there were.

        Each is a record, ``import.expire``, but for those to whom no id was left.
        """
        now, gone = self.clock(), 0
        expired = self._imports.expired(now)
        if not expired:
            return 0
        with acting_as("system"):
            for import_id, mac in expired:
                if isinstance(import_id, str) and IMPORT_ID.fullmatch(import_id) is not None:
                    with suppress(KeyNotFoundError):  # somebody else's purge was faster
                        self._end(import_id, "import.expire", mac)
                        gone += 1
        gone += self._imports.purge(now)
        self._imports.meta.database.scrub()
        return gone

    def _named(
        self, event: str | None, old: PendingImport | None, new: PendingImport
    ) -> dict[str, str]:
        return {**super()._named(event, old, new), "key": new.key_id}

    def _binding(self, pending: PendingImport) -> Binding:
        handle = bytes.fromhex(pending.import_id)
        return self._wrapping.binding_of("import", pending.method, handle)

    def _under(
        self, record: PendingImport, master_id: str, memory: dict[Any, Any]
    ) -> PendingImport:
        if master_id not in memory:
            items = [(record.wrapped, self._binding(record))]
            (memory[master_id],) = self._wrapping.rewrap(record.master_id, master_id, items)
        return replace(record, master_id=master_id, wrapped=memory[master_id])
