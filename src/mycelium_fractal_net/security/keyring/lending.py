"""Keys of fields, for whoever makes tags or deterministic messages elsewhere (ADR 0040).

The named key stays here. What is lent makes what one field has, of every version, and is to be
asked for again when its seconds are over: so a revocation, and a new version, are known there as
soon as in every process that holds a keyring.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mycelium_fractal_net.security.errors import KeyStateError
from mycelium_fractal_net.security.keyring.candidates import check_type
from mycelium_fractal_net.security.keyring.lookups import there
from mycelium_fractal_net.security.records.index_fields import IndexField
from mycelium_fractal_net.security.records.keys import KeyType

if TYPE_CHECKING:
    from collections.abc import Callable

    from mycelium_fractal_net.security.byte_io.buffers import Buffer
    from mycelium_fractal_net.security.key_store.freshness import Freshness
    from mycelium_fractal_net.security.keyring.cache import KeyCache
    from mycelium_fractal_net.security.keyring.key_in_use import KeyInUse
    from mycelium_fractal_net.security.records.index_fields import Normalisation


@dataclass(frozen=True, slots=True)
class LentKey:
    """The key of one field under one version: 32 bytes of an index, 64 of messages.

    ``handle`` stands in the messages of the version. ``opens`` says whether its state lets them be
    opened.
    """

    key: bytes | bytearray = field(repr=False)
    version_id: str
    handle: bytes
    opens: bool


@dataclass(frozen=True, slots=True)
class LentKeys:
    """The keys of one field, of every version that is not destroyed, newest first.

    ``stored`` is the version in use, None where the key protects nothing. They may be used for so
    many ``seconds``: as long as this keyring would go on with what it knows.
    """

    key_id: str
    stored: str | None
    keys: tuple[LentKey, ...]
    seconds: float


class Lending:
    """The keys of fields. A base of :class:`.Keyring`."""

    freshness: Freshness
    _cache: KeyCache

    def index_field_keys(
        self,
        *,
        key_id: str,
        context: Buffer,
        bits: int | None = None,
        normalisation: Normalisation = "exact",
    ) -> LentKeys:
        """What makes the tags of one field elsewhere, and of no other: as :meth:`.Keyring.index`.

        Raises :class:`KeyStateError` where :meth:`.Keyring.index_tags` does.
        """
        of = IndexField.checked(context, bits, normalisation)
        return self._lent(key_id, KeyType.INDEX, lambda found: found.index_key.field_key(of))

    def deterministic_field_keys(self, *, key_id: str, associated_data: Buffer = b"") -> LentKeys:
        """What seals and opens the deterministic messages of that associated data elsewhere.

        Raises :class:`KeyStateError` where :meth:`.Keyring.deterministic_messages` does.
        """
        return self._lent(
            key_id,
            KeyType.DETERMINISTIC,
            lambda found: found.deterministic_key.field_key(associated_data),
        )

    def _lent(
        self, key_id: str, key_type: KeyType, make: Callable[[KeyInUse], bytes | bytearray]
    ) -> LentKeys:
        self.freshness.ensure()
        seconds = self.freshness.left()  # before the key is looked at: what is newer is no harm
        key = self._cache.named(key_id)
        check_type(key, key_type)
        stored = None
        with suppress(KeyStateError):
            stored = self._cache.protecting(key.key_id, key_type).version_id
        lent = []
        for found in there(self._cache, key, allow_compromised=False):
            self._cache.counts.leased(found)
            opens = False
            with suppress(KeyStateError):
                key.check_decrypt(found.version)
                opens = True
            lent.append(LentKey(make(found), found.version_id, found.version.handle, opens))
        return LentKeys(key.key_id, stored, tuple(lent), seconds)
