"""The public keys of a keyring: of one version, and of all keys that are published."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mycelium_fractal_net.security.blocking import about_to_block
from mycelium_fractal_net.security.errors import KeyStateError
from mycelium_fractal_net.security.keyring.cache import KeyCache
from mycelium_fractal_net.security.keyring.candidates import check_type
from mycelium_fractal_net.security.records.keys import (
    Key,
    KeyType,
    KeyVersion,
    parse_key_id,
    version_id,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.key_store.freshness import Freshness
    from mycelium_fractal_net.security.policy import Policy


class PublicKeyInfo(NamedTuple):
    """The public key of one version of a signing key. Nothing of it is secret."""

    key_id: str
    algorithm: str
    pem: str
    jwk: dict[str, str]


class PublicKeys:
    """Hands out public keys. A base of :class:`Keyring`."""

    policy: Policy
    provider: StoredKeyProvider
    freshness: Freshness
    _cache: KeyCache
    _published: tuple[int, list[dict[str, str]]] = (-1, [])

    def public_key(self, key_id: str) -> PublicKeyInfo:
        """The public key of the version named, or of a bare name the newest, whatever its state.

        Raises :class:`KeyNotFoundError` and, for a key that signs nothing,
        :class:`KeyUsageError`.
        """
        name, number = parse_key_id(key_id)
        key = self._cache.record(name)
        check_type(key, KeyType.SIGNING)
        version = key.latest if number is None else key.version(number)
        return self._info(key, version)

    def published_keys(self) -> list[dict[str, str]]:
        """The JWKs (RFC 7517) of all versions that may verify, of keys marked ``publish``.

        Each ``kid`` is a version id. Read again once the store has changed.
        """
        self.freshness.ensure()
        generation, found = self._published
        if generation != self.freshness.generation or generation < 0:
            about_to_block()
            generation = self.freshness.generation
            found = [info.jwk for info in self._verifying_infos()]
            self._published = generation, found
        return found

    def _verifying_infos(self) -> Iterator[PublicKeyInfo]:
        for key in self.provider.keys.published():
            for version in key.versions:
                try:
                    key.check_verify(version)
                except KeyStateError:
                    continue
                yield self._info(key, version)

    def _info(self, key: Key, version: KeyVersion) -> PublicKeyInfo:
        verifying = self.policy.verifying_key(version.public_key or b"")
        named = version_id(key.key_id, version.version)
        pem = verifying.pem().decode("ascii")
        return PublicKeyInfo(named, key.algorithm, pem, {"kid": named, **verifying.jwk()})
