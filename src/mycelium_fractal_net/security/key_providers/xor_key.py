"""The master key of the XOR cipher, taken over as a key that only opens."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.errors import ConflictError, KeyExistsError
from mycelium_fractal_net.security.key_providers.trusted import TrustedRecords
from mycelium_fractal_net.security.keys import (
    HANDLE_BYTES,
    LEGACY_XOR,
    LEGACY_XOR_KEY_ID,
    Key,
    KeyState,
    KeyType,
    KeyUse,
    KeyVersion,
    RotationPolicy,
)

if TYPE_CHECKING:
    from cryptography.utils import Buffer

__all__ = ["XorKey"]

# Nothing rotates it: there is no next version, and what it opened moves to other keys.
_ROTATION: Final = RotationPolicy(interval_days=36_500, retain_count=1, automatic=False)


class XorKey(TrustedRecords):
    """The one door by which the old master key comes into the store."""

    def import_xor_key(self, material: Buffer) -> Key:
        """Store the 32-byte master key of the XOR cipher as ``legacy-xor:v1``; returns the record.

        It is wrapped as every key is, and deactivated from the start (SP 800-57 part 1 section
        7): it opens, and can never be made to protect. Raises :class:`InvalidKeyError` for
        another size, :class:`KeyExistsError` where the name is taken, and
        :class:`ConfigurationError` in FIPS mode.
        """
        self.policy.xor_opener(material)
        now = self.clock()
        version = KeyVersion(
            version=1,
            handle=secrets.token_bytes(HANDLE_BYTES),
            state=KeyState.DEACTIVATED,
            created_at=now,
            wrapped=b"",
        )
        master_id = self.store.require_pulse().master_id
        key = Key(
            key_id=LEGACY_XOR_KEY_ID,
            key_type=KeyType.ENCRYPTION,
            use=KeyUse.DATA,
            algorithm=LEGACY_XOR,
            rotation=_ROTATION,
            created_at=now,
            versions=(),
            master_id=master_id,
        )
        wrapped = self.custodian.wrap(master_id, bytes(material), self._binding(key, version))
        try:
            return self.insert(replace(key, versions=(replace(version, wrapped=wrapped),)))
        except ConflictError:
            if not self.store.has(LEGACY_XOR_KEY_ID):  # the master key moved meanwhile
                raise
            raise KeyExistsError(f"a key named {LEGACY_XOR_KEY_ID!r} is there already") from None
