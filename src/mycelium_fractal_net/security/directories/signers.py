"""Every signer of the store in memory, found by its name or its public key."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from mycelium_fractal_net.security.directories.credentials import CredentialDirectory
from mycelium_fractal_net.security.directories.held import Held
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


class SignerDirectory(Held[_Signers]):
    """All signers of a store, and by ``credentials`` whom they bind. For any thread.

    All may raise :class:`StoreUnavailableError`, as :class:`.Held` does.
    """

    def __init__(
        self,
        provider: StoredKeyProvider,
        freshness: Freshness,
        credentials: CredentialDirectory | None = None,
    ) -> None:
        self._credentials = credentials or CredentialDirectory(provider, freshness)
        super().__init__(provider, freshness)

    def by_name(self, name: str) -> KnownSigner:
        """The signer of that name. Raises :class:`InvalidSignatureError` where none may sign."""
        return _found(self._fresh().by_name.get(name))

    def by_public_key(self, der: bytes) -> KnownSigner:
        """The signer with that public key, DER SubjectPublicKeyInfo.

        A key that nobody registered is worth nothing: :class:`InvalidSignatureError`.
        """
        return _found(self._fresh().by_public_key.get(der))

    def is_bound(self, credential_id: str) -> bool:
        """Whether that credential works only with a signature."""
        return self._credentials.is_bound(credential_id)

    @property
    def restored_at(self) -> int | None:
        """When the store came from a backup, in microseconds, as fresh as the signers are."""
        return self._freshness.restored_at

    def _read(self, before: _Signers | None, since: int) -> _Signers:
        if before is not None and not self._provider.store.signers.ids(limit=1, since=since):
            return before
        by_name: dict[str, KnownSigner] = {}
        for name, found in self._provider.signers.each():
            if not isinstance(found, Signer):
                _LOG.error("a signer is refused: %s", found)
            elif found.state is SignerState.ACTIVE:
                try:
                    verifying = self._provider.policy.verifying_key(found.public_key)
                except (AlgorithmNotAllowedError, InvalidKeyError) as error:
                    _LOG.error("signer %s is refused: %s", name, error)
                    continue
                by_name[name] = KnownSigner(found, verifying, verifying.thumbprint())
        return _Signers(by_name, {each.signer.public_key: each for each in by_name.values()})


def _found(known: KnownSigner | None) -> KnownSigner:
    if known is None:
        raise InvalidSignatureError
    return known
