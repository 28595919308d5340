"""Signers registered and revoked. What is registered is a public key: nothing of it is secret."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mycelium_fractal_net.security.errors import (
    AlgorithmNotAllowedError,
    InvalidInputError,
    KeyExistsError,
)
from mycelium_fractal_net.security.key_providers.authenticated_table import AuthenticatedTable
from mycelium_fractal_net.security.records.credentials import Credential
from mycelium_fractal_net.security.records.keys import Key, KeyUse
from mycelium_fractal_net.security.records.signers import (
    SIGNER_ALGORITHMS,
    Signer,
    SignerState,
    check_signer,
)

if TYPE_CHECKING:
    from mycelium_fractal_net.security.key_providers.credentials import Credentials
    from mycelium_fractal_net.security.key_providers.keys import Keys
    from mycelium_fractal_net.security.key_store.record_table import RecordTable


class Signers(AuthenticatedTable[Signer]):
    """The life of signers. Revoked ones stay in the store, so that nobody takes their name."""

    def __init__(self, table: RecordTable[Signer], keys: Keys, credentials: Credentials) -> None:
        super().__init__(table, keys.record_macs, keys.journal, keys.clock)
        self._keys = keys
        self._credentials = credentials

    def add(
        self,
        name: str,
        public_key: bytes,
        *,
        credentials: tuple[str, ...] = (),
        any_credential: bool = False,
    ) -> Signer:
        """Register a public key, PEM, JWK or DER, that signs requests of ``credentials`` or of any.

        The credentials are bound before it is there, so that none ever works without. Raises
        :class:`KeyExistsError` where the name or the key is taken, :class:`KeyNotFoundError` for a
        credential that is not there, :class:`InvalidKeyError`, :class:`AlgorithmNotAllowedError`,
        and :class:`InvalidInputError`, also for the public key of a key of this store that signs
        data.
        """
        check_signer(name, credentials, any_credential)
        verifying = self.record_macs.policy.read_verifying_key(public_key)
        if verifying.algorithm not in SIGNER_ALGORITHMS:
            raise AlgorithmNotAllowedError(
                f"requests are signed with {', '.join(SIGNER_ALGORITHMS)}"
            )
        for credential_id in credentials:
            self._credentials.get(credential_id)
        if self.table.has(name):
            raise KeyExistsError(self.kind.taken.format(name))
        der = verifying.der()
        for _, found in self.each():
            if isinstance(found, Signer) and found.public_key == der:
                raise KeyExistsError(
                    f"that public key is the one of signer {found.name!r}; a key is registered once"
                )
        if self._signs_data(der):
            raise InvalidInputError(
                "that is the public key of a key that signs data: whoever may have data signed"
                " would sign requests with it; make a key of use request"
            )
        signer = Signer(
            name=name,
            public_key=der,
            algorithm=verifying.algorithm,
            credentials=tuple(dict.fromkeys(credentials)),
            any_credential=any_credential,
            state=SignerState.ACTIVE,
            created_at=self.clock(),
        )
        for credential_id in signer.credentials:
            self._credentials.bind(credential_id)
        return self.insert(lambda master_id: replace(signer, master_id=master_id), "signer.add")

    def bind_named(self) -> None:
        """Bind the credentials that signers of an earlier release name; others are left alone.

        A record that is refused stays as it is.
        """
        named = {
            credential_id
            for _, found in self.each()
            if isinstance(found, Signer)
            for credential_id in found.credentials
        }
        for _, found in self._credentials.some(sorted(named)):
            if isinstance(found, Credential) and not found.bound:
                self._credentials.bind(found.credential_id)

    def revoke(self, name: str) -> Signer:
        """End a signer for ever. A credential whose last signer it was works no more.

        Raises :class:`KeyNotFoundError`.
        """

        def change(signer: Signer) -> Signer:
            if signer.state is SignerState.REVOKED:
                return signer
            return replace(signer, state=SignerState.REVOKED)

        return self.update(name, change, "signer.revoke")

    def _signs_data(self, der: bytes) -> bool:
        return any(
            isinstance(key, Key)
            and key.use is not KeyUse.REQUEST
            and any(version.public_key == der for version in key.versions)
            for _, key in self._keys.each()
        )
