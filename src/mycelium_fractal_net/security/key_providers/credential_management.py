"""Credentials made, rotated and revoked. A secret leaves these methods once and is kept nowhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mycelium_fractal_net.security.errors import (
    ConflictError,
    InvalidInputError,
    KeyStateError,
    StoreIntegrityError,
)
from mycelium_fractal_net.security.key_providers.trusted import TrustedRecords
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

__all__ = ["CredentialManagement"]

_ATTEMPTS: Final = 8  # rounds before a writer gives up
_PAGE: Final = 1000


class CredentialManagement(TrustedRecords):
    """The life of credentials. Revoked ones stay in the store, so that nobody takes their id."""

    def create_credential(
        self, name: str, scopes: tuple[str, ...], *, expires_at: datetime | None = None
    ) -> tuple[Credential, ApiKey]:
        """A new credential and its API key. ``name``, for people, need not be unique.

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
        )
        for _ in range(_ATTEMPTS):
            try:
                return self.insert_credential(credential), key
            except ConflictError:
                continue  # the store moved to another master key meanwhile
        raise ConflictError("the store is being changed by many at once; try again")

    def rotate_credential(
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

        return self.update_credential(credential_id, change, "credential.rotate"), key

    def revoke_credential(self, credential_id: str) -> Credential:
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

        return self.update_credential(credential_id, change, "credential.revoke")

    def confirm_credential(self, credential_id: str) -> Credential:
        """Make a credential that came with a restored store work again; an active one stays so.

        Raises :class:`KeyNotFoundError`, and :class:`KeyStateError` for one that is revoked.
        """

        def change(credential: Credential) -> Credential:
            if credential.state is CredentialState.ACTIVE:
                return credential
            if credential.state is CredentialState.REVOKED:
                raise KeyStateError("the credential is revoked; create another")
            return replace(credential, state=CredentialState.ACTIVE)

        return self.update_credential(credential_id, change, "credential.confirm")

    def unconfirmed_credentials(self) -> Iterator[Credential]:
        """Those of a restored store that nobody has confirmed or revoked, in order of id."""
        for _, found in self.authentic_credentials():
            if isinstance(found, Credential) and found.state is CredentialState.UNCONFIRMED:
                yield found

    def all_credentials(self) -> Iterator[Credential]:
        """Every credential, in order of id, a page at a time."""
        after = ""
        while page := self.credentials(after):
            yield from page
            after = page[-1].credential_id

    def authentic_credentials(
        self, since: int = -1
    ) -> Iterator[tuple[str, Credential | StoreIntegrityError]]:
        """Every credential that changed after the store's generation ``since``, by id.

        A record that fails its authentication is given as its error: it must not keep the
        others from their work.
        """
        after = ""
        while True:
            try:
                page = self.credentials(after, _PAGE, since=since)
            except StoreIntegrityError:
                ids = self.store.credential_ids(after, _PAGE, since=since)
                for credential_id in ids:
                    yield credential_id, self._authentic(credential_id)
            else:
                ids = [credential.credential_id for credential in page]
                yield from zip(ids, page, strict=True)
            if len(ids) < _PAGE:
                return
            after = ids[-1]

    def _authentic(self, credential_id: str) -> Credential | StoreIntegrityError:
        try:
            return self.credential(credential_id)
        except StoreIntegrityError as error:
            return error
