"""Credentials made, rotated and revoked. A secret leaves these methods once and is kept nowhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mycelium_fractal_net.security.errors import InvalidInputError, KeyStateError
from mycelium_fractal_net.security.key_providers.authenticated_table import AuthenticatedTable
from mycelium_fractal_net.security.records import api_keys
from mycelium_fractal_net.security.records.credentials import (
    Credential,
    CredentialState,
    check_name,
    check_scopes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime, timedelta

    from mycelium_fractal_net.security.records.api_keys import ApiKey


class Credentials(AuthenticatedTable[Credential]):
    """The life of credentials. Revoked ones stay in the store, so that nobody takes their id."""

    def create(
        self,
        name: str,
        scopes: tuple[str, ...],
        *,
        expires_at: datetime | None = None,
        bound: bool = False,
    ) -> tuple[Credential, ApiKey]:
        """A new credential and its API key. ``name``, for people, need not be unique.

        One that is ``bound`` works only in signed requests, so not before it has a signer.
        Raises :class:`InvalidInputError` for a name that is not 1 to 200 characters of printable
        ASCII, a scope that does not exist, none at all, or an end that has passed.
        """
        check_name(name)
        check_scopes(scopes)
        now = self.clock()
        if expires_at is not None and expires_at <= now:
            raise InvalidInputError("a credential ends in the future")
        key = api_keys.generate()
        credential = Credential(
            credential_id=key.credential_id,
            name=name,
            digest=key.digest,
            scopes=tuple(dict.fromkeys(scopes)),
            state=CredentialState.ACTIVE,
            created_at=now,
            expires_at=expires_at,
            bound=bound,
        )
        made = self.insert(
            lambda master_id: replace(credential, master_id=master_id), "credential.create"
        )
        return made, key

    def rotate(
        self, credential_id: str, *, overlap: timedelta, revoke_previous: bool = False
    ) -> tuple[Credential, ApiKey]:
        """A new secret under the same id; scopes and end stay as they are.

        The former secret is accepted for ``overlap``, or ends at once with ``revoke_previous``;
        one before that ends in any case. Raises :class:`KeyNotFoundError`, and
        :class:`KeyStateError` for a credential that is revoked or expired.
        """
        key = api_keys.generate(credential_id)

        def change(credential: Credential) -> Credential:
            now = self.clock()
            if credential.state is CredentialState.UNCONFIRMED:
                raise KeyStateError(
                    "the credential is unconfirmed since the store was restored;"
                    f" if it is still good: mfn credential confirm {credential_id}"
                )
            if credential.state is not CredentialState.ACTIVE:
                raise KeyStateError("the credential is revoked; create another")
            if credential.expires_at is not None and credential.expires_at <= now:
                raise KeyStateError("the credential has expired; create another")
            return replace(
                credential,
                digest=key.digest,
                rotated_at=now,
                previous_digest=None if revoke_previous else credential.digest,
                previous_until=None if revoke_previous else now + overlap,
            )

        return self.update(credential_id, change, "credential.rotate"), key

    def revoke(self, credential_id: str) -> Credential:
        """End a credential for ever. Raises :class:`KeyNotFoundError`."""

        def change(credential: Credential) -> Credential:
            if credential.state is CredentialState.REVOKED:
                return credential
            return replace(
                credential,
                state=CredentialState.REVOKED,
                previous_digest=None,
                previous_until=None,
            )

        return self.update(credential_id, change, "credential.revoke")

    def bind(self, credential_id: str) -> Credential:
        """Have a credential work only in requests that one of its signers signed, for ever.

        Raises :class:`KeyNotFoundError`.
        """

        def change(credential: Credential) -> Credential:
            return credential if credential.bound else replace(credential, bound=True)

        return self.update(credential_id, change, "credential.bind")

    def confirm(self, credential_id: str) -> Credential:
        """Make a credential that came with a restored store work again; an active one stays so.

        Raises :class:`KeyNotFoundError`, and :class:`KeyStateError` for one that is revoked.
        """

        def change(credential: Credential) -> Credential:
            if credential.state is CredentialState.ACTIVE:
                return credential
            if credential.state is CredentialState.REVOKED:
                raise KeyStateError("the credential is revoked; create another")
            return replace(credential, state=CredentialState.ACTIVE)

        return self.update(credential_id, change, "credential.confirm")

    def unconfirmed(self) -> Iterator[Credential]:
        """Those of a restored store that nobody has confirmed or revoked, in order of id."""
        for _, found in self.each():
            if isinstance(found, Credential) and found.state is CredentialState.UNCONFIRMED:
                yield found
