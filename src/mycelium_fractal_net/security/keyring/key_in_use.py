"""One key version at work: unwrapped when it is first needed, with the counts of its uses."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.blocking import about_to_block
from mycelium_fractal_net.security.byte_io.buffers import as_bytes
from mycelium_fractal_net.security.errors import DecryptionError, KeyUsageError
from mycelium_fractal_net.security.key_store.freshness import NEVER
from mycelium_fractal_net.security.keyring.named_handles import NOBODY
from mycelium_fractal_net.security.records.keys import (
    HANDLE_BYTES,
    Key,
    KeyState,
    KeyType,
    KeyUse,
    KeyVersion,
    RotationPolicy,
    version_id,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.aes_encryption import RawCipher
    from mycelium_fractal_net.security.algorithms.mac import MacKey
    from mycelium_fractal_net.security.byte_io.buffers import Buffer
    from mycelium_fractal_net.security.byte_io.secret_bytes import SecretBytes
    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.records.index_fields import IndexField
    from mycelium_fractal_net.security.sealed.blind_index import FieldKey, IndexKey
    from mycelium_fractal_net.security.sealed.deterministic import (
        DeterministicCipher,
        DeterministicKey,
    )
    from mycelium_fractal_net.security.sealed.sealer import Sealer
    from mycelium_fractal_net.security.signatures.external_key import ExternalSigningKey
    from mycelium_fractal_net.security.signatures.signing_key import SigningKey
    from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey


_MOST_FIELDS: Final = 256  # of a key, each with a hash state of 200 bytes, or a cipher
_MOST_FIELD_BYTES: Final = 1024  # of associated data that is remembered, with its cipher


class Uses:
    """A count that threads may add to: ``next`` on an iterator is one step of the interpreter."""

    __slots__ = ("_taken", "day", "day_ends", "ticks")

    def __init__(self) -> None:
        self.ticks: Iterator[int] = itertools.count()
        self.day = 0
        self.day_ends = NEVER
        self._taken = 0

    def take(self) -> int:
        """The uses since this was last called."""
        now = next(self.ticks)  # itself takes a number, which is no use
        used = now - self._taken
        self._taken = now + 1
        return used


class KeyInUse:
    """One key version, unwrapped when it is first needed. Made by :class:`KeyCache` alone."""

    def __init__(
        self,
        provider: StoredKeyProvider,
        key: Key,
        version: KeyVersion,
        deadline: float,
    ) -> None:
        self.key = key
        self.version = version
        self.version_id = version_id(key.key_id, version.version)
        self.active_type = key.key_type if version.state is KeyState.ACTIVE else None
        self.asks = version.external is not None  # the custodian, for each signature
        self.deadline = deadline  # by the monotonic clock
        self.protected = Uses()
        self.opened = Uses()
        self.leased = Uses()
        self.refused = Uses()
        self.raw_block: Iterator[int] = iter(())
        self.raw_block_size = 1
        self._provider = provider
        self._material: SecretBytes | None = None
        self._sealer: Sealer | None = None
        self._raw: RawCipher | None = None
        self._signing: SigningKey | ExternalSigningKey | None = None
        self._mac_key: MacKey | None = None
        self._index_key: IndexKey | None = None
        self._fields: dict[IndexField, FieldKey] = {}
        self._deterministic_key: DeterministicKey | None = None
        self._ciphers: dict[bytes, DeterministicCipher] = {}
        self._verifying: VerifyingKey | None = None

    def __repr__(self) -> str:
        return f"KeyInUse({self.version_id!r})"

    @property
    def material(self) -> SecretBytes:
        """The bytes of this version. Asking for them counts nothing and checks no state."""
        found = self._material
        if found is None:
            found = self._material = self._unwrapped()
        return found

    def _unwrapped(self) -> SecretBytes:
        about_to_block()
        return self._provider.keys.unwrap_in_use(self.key, self.version)

    def forget(self) -> None:
        """Let go of the key: who is at work with it goes on, and it is wiped after the last."""
        self._material = self._sealer = self._raw = self._signing = self._mac_key = None
        self._index_key = self._deterministic_key = None
        self._fields, self._ciphers = {}, {}

    @property
    def sealer(self) -> Sealer:
        """Seals and opens messages of this version; the key of the XOR cipher knows none.

        Raises :class:`DecryptionError` there: a message that names it was never sealed here.
        """
        found = self._sealer
        if found is None:
            if self.key.is_legacy:
                raise DecryptionError
            found = self._provider.policy.sealer(self.material, self.version.handle)
            self._sealer = found
        return found

    def sealer_of(self, name: bytes) -> Sealer:
        """:attr:`sealer`; with the digest of a file's name, of messages bound to that."""
        sealer = self.sealer
        if name:
            return self._provider.policy.sealer(self.material, self.version.handle, name)
        return sealer

    @property
    def raw(self) -> RawCipher:
        """Plain AES-256-GCM under this version."""
        found = self._raw
        if found is None:
            found = self._raw = self._provider.policy.raw_cipher(self.material)
        return found

    @property
    def signing(self) -> SigningKey | ExternalSigningKey:
        """Signs under this version."""
        found = self._signing
        if found is None:
            provider = self._provider
            if self.asks:
                found = provider.keys.external.signer(self.key, self.version)
            else:
                found = provider.policy.signing_key(self.key.algorithm, self._unwrapped())
            self._signing = found
        return found

    @property
    def verifying(self) -> VerifyingKey:
        """Verifies what this version signed; needs no unwrapping, and outlives destruction."""
        if self._verifying is None:
            public_key = self.version.public_key
            if public_key is None:
                raise KeyUsageError(f"{self.version_id} has no public key")
            self._verifying = self._provider.policy.verifying_key(public_key)
        return self._verifying

    @property
    def mac_key(self) -> MacKey:
        """Makes and checks MACs under this version."""
        found = self._mac_key
        if found is None:
            found = self._provider.policy.mac(self.key.algorithm, self._unwrapped())
            self._mac_key = found
        return found

    @property
    def index_key(self) -> IndexKey:
        """Makes the keys of fields under this version."""
        found = self._index_key
        if found is None:
            found = self._provider.policy.index_key(self.key.algorithm, self._unwrapped())
            self._index_key = found
        return found

    def field_key(self, field: IndexField) -> FieldKey:
        """Makes the tags of one field under this version."""
        found = self._fields.get(field)
        if found is None:
            if len(self._fields) >= _MOST_FIELDS:
                self._fields.clear()
            found = self._fields[field] = self.index_key.field(field)
        return found

    @property
    def deterministic_key(self) -> DeterministicKey:
        """Makes the keys of deterministic messages under this version."""
        found = self._deterministic_key
        if found is None:
            policy = self._provider.policy
            found = policy.deterministic_key(self._unwrapped(), self.version.handle)
            self._deterministic_key = found
        return found

    def deterministic(self, associated_data: Buffer) -> DeterministicCipher:
        """Seals and opens deterministic messages of this version and that associated data."""
        field = associated_data
        if type(field) is not bytes:
            field = bytes(as_bytes(field))
        found = self._ciphers.get(field)
        if found is None:
            found = self.deterministic_key.cipher(field)
            if len(field) <= _MOST_FIELD_BYTES:
                if len(self._ciphers) >= _MOST_FIELDS:
                    self._ciphers.clear()
                self._ciphers[field] = found
        return found


_SINCE_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NO_VERSION: Final = KeyVersion(1, bytes(HANDLE_BYTES), KeyState.DESTROYED, _SINCE_EVER, b"")
_NO_KEY: Final = Key(
    key_id=NOBODY,
    key_type=KeyType.ENCRYPTION,
    use=KeyUse.DATA,
    algorithm="",
    rotation=RotationPolicy(interval_days=1, retain_count=1),
    created_at=_SINCE_EVER,
    versions=(_NO_VERSION,),
)


def nobody(provider: StoredKeyProvider) -> KeyInUse:
    """What stands where no key is: looked at as every key is, never permitted, never fresh."""
    return KeyInUse(provider, _NO_KEY, _NO_VERSION, -inf)
