"""Records that are trusted: checked when they come out of the store, sealed when they go in.

Between the key store, which knows no cryptography, and the custodian, which knows no records.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.errors import (
    ConflictError,
    KeyStateError,
    MasterKeyError,
    MfnError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_providers.audited import AUTHORITY_ALGORITHM
from mycelium_fractal_net.security.key_providers.authorities import ATTEMPTS
from mycelium_fractal_net.security.key_providers.base import Binding
from mycelium_fractal_net.security.key_providers.trusted_credentials import TrustedCredentials
from mycelium_fractal_net.security.key_providers.trusted_signers import TrustedSigners
from mycelium_fractal_net.security.key_store.authority import check_key, seal_key
from mycelium_fractal_net.security.records.keys import Key, KeyVersion, parse_key_id, version_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mycelium_fractal_net.security.key_store import StoredKey

__all__ = ["TrustedRecords"]

# What a record comes to that was edited: a MAC that is wrong, or a master key that nobody has.
_REFUSED: Final = (StoreIntegrityError, MasterKeyError)


class TrustedRecords(TrustedCredentials, TrustedSigners):
    """The keys, credentials and signers of a :class:`KeyStore` under a custodian's master key.

    All methods may be called from any thread; they raise
    :class:`StoreUnavailableError` when the store does not answer and
    :class:`StoreIntegrityError` for a record that fails its authentication.
    """

    # The store as a whole ---------------------------------------------------------------

    def initialise(self) -> None:
        """Begin an empty store under the custodian's newest master key."""
        master_id = self.custodian.newest_id
        authority = self.policy.generate_key_material(AUTHORITY_ALGORITHM)
        self.store.begin(
            master_id, self.custodian.wrap(master_id, authority, self._authority_binding())
        )

    def rewrap_master(self, progress: Callable[[int], None] | None = None) -> str:
        """Move the whole store under a new master key; returns the new one's id.

        May be killed at any moment and called again: it goes on where it stopped, and at
        every step the custodian holds each master key that some row still needs. Processes
        that have the store open follow by themselves. ``progress`` gets 1 for each key.
        Raises :class:`ConflictError` while another process moves the store.
        """
        with self.custodian.moving(), self._recorded("master.rotate", b"", b""):
            current = self.store.require_pulse().master_id
            if not self._move_is_under_way(current):
                self.custodian.add_master_key()
            newest = self.custodian.newest_id
            if newest != current:
                authority = self.policy.generate_key_material(AUTHORITY_ALGORITHM)
                wrapped = self.custodian.wrap(newest, authority, self._authority_binding())
                self.store.move_to(current, newest, wrapped)
            while names := self.store.under_other_master(newest):
                for name in names:
                    self.update(name, lambda key: key)
                    if progress is not None:
                        progress(1)
            while ids := self.store.credentials_under_other_master(newest):
                for credential_id in ids:
                    self.update_credential(credential_id, lambda credential: credential)
            while signers := self.store.signers_under_other_master(newest):
                for name in signers:
                    self.update_signer(name, lambda signer: signer)
            self._move_audit_key(newest)
            self.store.forget_other_masters(newest)
            self.custodian.forget_master_keys(newest)
            self.forget_authorities()
            return newest

    def _move_is_under_way(self, current: str) -> bool:
        return (
            self.custodian.newest_id != current
            or bool(self.store.under_other_master(current, limit=1))
            or self.store.former_masters(current)
        )

    # Keys -------------------------------------------------------------------------------

    def key(self, key_id: str) -> Key:
        """The authenticated record of that key; a version id names its key.

        Raises :class:`KeyNotFoundError`.
        """
        return self._checked(self.store.load(parse_key_id(key_id)[0]))

    def key_by_handle(self, handle: bytes) -> Key:
        """The key one of whose versions has that handle. Raises :class:`KeyNotFoundError`."""
        key = self._checked(self.store.load_by_handle(handle))
        key.by_handle(handle)
        return key

    def keys(self, after: str = "", limit: int = 1000) -> list[Key]:
        """Up to ``limit`` keys whose names sort after ``after``, in order of name."""
        return [self._checked(stored) for stored in self.store.page(after, limit)]

    def all_keys(self) -> Iterator[Key]:
        """Every key, in order of name, a page at a time."""
        after = ""
        while page := self.keys(after):
            yield from page
            after = page[-1].key_id

    def authentic_keys(self) -> Iterator[tuple[str, Key | MfnError]]:
        """Every key, in order of name. One that fails its authentication is given as its error.

        It must not keep the others from being rotated, or looked over.
        """
        after: str | None = ""
        while after is not None:
            try:
                page = {key.key_id: key for key in self.keys(after)}
            except _REFUSED:
                for name in (names := self.store.key_ids(after)):
                    yield name, self._key_or_error(name)
            else:
                names = list(page)
                yield from page.items()
            after = names[-1] if names else None

    def _key_or_error(self, name: str) -> Key | MfnError:
        try:
            return self.key(name)
        except _REFUSED as error:
            return error

    def published_keys(self) -> list[Key]:
        """Every key that is marked to be published, in order of name."""
        return [self._checked(stored) for stored in self.store.published()]

    def count(self) -> int:
        """How many keys there are."""
        return self.store.count()

    def unwrap(self, key: Key, version: KeyVersion) -> bytes:
        """The material of one version. The caller has checked what its state permits."""
        if not version.wrapped:
            raise KeyStateError(
                f"version {version.version} of key {key.key_id!r} is destroyed: no material is left"
            )
        return self.custodian.unwrap(key.master_id, version.wrapped, self._binding(key, version))

    def insert(self, key: Key) -> Key:
        """Store a key that is new. Raises :class:`ConflictError` where its name is taken."""
        mac = self._seal(key)
        with self._recorded("key.create", mac, b"", key=version_id(key.key_id, 1)):
            self.store.insert(key, mac)
        return key

    def update(
        self,
        name: str,
        change: Callable[[Key], Key],
        event: str | None = None,
        *,
        reason: str | None = None,
    ) -> Key:
        """Swap a key's record for what ``change`` makes of it, and try again if it lost a race.

        Whatever is written is wrapped by the store's present master key. ``event`` is what the
        audit log calls it, ``reason`` an operator's word for it.
        """
        for _ in range(ATTEMPTS):
            old = self.key(name)
            present = self._under_present_master(old)
            new = change(present)
            if new is old or (new is present and event is not None):
                return old  # and no record says that something was done
            new = replace(new, revision=old.revision + 1)
            mac, named = self._seal(new), _named_by(event, old, new)
            try:
                with self._recorded(event, mac, self._seal(old), key=named, reason=reason):
                    self.store.replace(old, new, mac)
            except ConflictError:
                continue
            return new
        raise ConflictError(f"key {name!r} is being changed by many at once; try again")

    def _under_present_master(self, key: Key) -> Key:
        master_id = self.store.require_pulse().master_id
        if key.master_id == master_id:
            return key
        moved = replace(key, master_id=master_id)
        return replace(moved, versions=tuple(self._rewrapped(key, moved, v) for v in key.versions))

    def _rewrapped(self, old: Key, new: Key, version: KeyVersion) -> KeyVersion:
        if not version.wrapped:
            return version
        material = self.unwrap(old, version)
        wrapped = self.custodian.wrap(new.master_id, material, self._binding(new, version))
        return replace(version, wrapped=wrapped)

    # Beneath ----------------------------------------------------------------------------

    def _seal(self, key: Key) -> bytes:
        return seal_key(self._authority(key.master_id), self.custodian.store_id, key)

    def _checked(self, stored: StoredKey) -> Key:
        authority = self._authority(stored.key.master_id)
        check_key(authority, self.custodian.store_id, stored.key, stored.mac)
        return stored.key

    def _binding(self, key: Key, version: KeyVersion) -> Binding:
        return Binding(
            store_id=self.custodian.store_id,
            key_id=key.key_id,
            key_type=key.key_type.value,
            use=key.use.value,
            algorithm=key.algorithm,
            version=version.version,
            handle=version.handle,
        )


def _named_by(event: str | None, old: Key, new: Key) -> str:
    """The key, or the one version that a change is about."""
    if event == "key.rotate":
        return version_id(new.key_id, new.latest.version)
    before = {each.handle: each for each in old.versions}
    changed = [each for each in new.versions if before.get(each.handle) != each]
    return version_id(new.key_id, changed[0].version) if len(changed) == 1 else new.key_id
