"""Every signer of the store in memory, found by its name or its public key.

As fresh as the caches of keys (:mod:`.freshness`): a signer that is revoked stops within seconds
in every process, or the process stops answering.
"""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from mycelium_fractal_net.security.blocking import about_to_block
from mycelium_fractal_net.security.errors import (
    AlgorithmNotAllowedError,
    InvalidKeyError,
    InvalidSignatureError,
)
from mycelium_fractal_net.security.records.signers import Signer, SignerState

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers import StoredKeyProvider
    from mycelium_fractal_net.security.key_store.freshness import Freshness
    from mycelium_fractal_net.security.signatures.verifying_key import VerifyingKey


_LOG: Final = logging.getLogger(__name__)


class KnownSigner(NamedTuple):
    """A signer, the key that verifies what it signed, and the SHA-256 of that key's DER."""

    signer: Signer
    verifying: VerifyingKey
    thumbprint: bytes


class _Signers(NamedTuple):
    by_name: dict[str, KnownSigner]
    by_public_key: dict[bytes, KnownSigner]
    bound: frozenset[str]


class SignerDirectory:
    """All signers of a store. Every method may be called from any thread.

    All may raise :class:`StoreUnavailableError` where the signers in memory can no longer be
    known to be good.
    """

    def __init__(self, provider: StoredKeyProvider, freshness: Freshness) -> None:
        self._provider = provider
        self._freshness = freshness
        self._signers: _Signers | None = None
        freshness.subscribe(self)

    def by_name(self, name: str) -> KnownSigner:
        """The signer of that name. Raises :class:`InvalidSignatureError` where none may sign."""
        return _found(self._fresh().by_name.get(name))

    def by_public_key(self, der: bytes) -> KnownSigner:
        """The signer with that public key, DER SubjectPublicKeyInfo.

        A key that nobody registered is worth nothing: :class:`InvalidSignatureError`.
        """
        return _found(self._fresh().by_public_key.get(der))

    def is_bound(self, credential_id: str) -> bool:
        """Whether that credential works only with a signature: some signer names it, or did."""
        return credential_id in self._fresh().bound

    @property
    def binds_nobody(self) -> bool:
        """Whether it is known, without asking the store, that no credential is bound."""
        known = self._signers
        fresh = monotonic() < self._freshness.until
        return fresh and known is not None and not known.bound

    def load(self) -> None:
        """Read every signer, so that no request has to wait for that."""
        self._fresh()

    def _fresh(self) -> _Signers:
        if monotonic() >= self._freshness.until:
            self._freshness.ensure()
        found = self._signers
        while found is None:
            about_to_block()
            before = self._freshness.generation
            read = self._read()
            with self._freshness.lock:
                if self._freshness.generation == before:
                    found = self._signers = read
        return found

    @property
    def restored_at(self) -> int | None:
        """When the store came from a backup, in microseconds, as fresh as the signers are."""
        return self._freshness.restored_at

    def changed(self, since: int, *, moved: bool) -> None:
        """Read the signers again where one changed after ``since``, or where the store moved."""
        if self._signers is None:
            return
        if moved or self._provider.store.signers.ids(limit=1, since=since):
            self._signers = self._read()

    def _read(self) -> _Signers:
        by_name: dict[str, KnownSigner] = {}
        bound: set[str] = set()
        for name, found in self._provider.signers.each():
            if not isinstance(found, Signer):
                _LOG.error("a signer is refused: %s", found)
                continue
            bound.update(found.credentials)
            if found.state is SignerState.ACTIVE:
                try:
                    verifying = self._provider.policy.verifying_key(found.public_key)
                except (AlgorithmNotAllowedError, InvalidKeyError) as error:
                    _LOG.error("signer %s is refused: %s", name, error)
                    continue
                by_name[name] = KnownSigner(found, verifying, verifying.thumbprint())
        by_key = {known.signer.public_key: known for known in by_name.values()}
        return _Signers(by_name, by_key, frozenset(bound))


def _found(known: KnownSigner | None) -> KnownSigner:
    if known is None:
        raise InvalidSignatureError
    return known
